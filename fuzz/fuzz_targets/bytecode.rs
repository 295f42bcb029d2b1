//! Any bytes as code: nothing panics, and a second run, by then maybe decoded, agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::{
    Account, Address, B256, BlockEnv, Bytes, Database, DbError, SpecId, U256, keccak256,
};
use zvm_evm::{Config, Evm, Message, NoTracer};

/// One contract, and nothing else.
struct OneContract(Bytes);

const CONTRACT: Address = Address::repeat_byte(0xc0);

impl Database for OneContract {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        let mut account = Account::default();
        account.info.nonce = 1;
        account.info.code_hash = keccak256(&self.0);
        Ok((address == CONTRACT).then_some(account))
    }

    fn storage(&self, _: Address, slot: U256) -> Result<U256, DbError> {
        Ok(slot & U256::from(1))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        if code_hash == keccak256(&self.0) {
            Ok(self.0.clone())
        } else {
            Err(DbError::MissingCode { code_hash })
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        Ok(keccak256(number.to_be_bytes()))
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&spec, code)) = input.split_first() else { return };
    let spec = SpecId::ALL[usize::from(spec) % SpecId::ALL.len()];
    let config = Config::new(spec).expect("default features have every precompile");
    let db = OneContract(Bytes::copy_from_slice(code));
    let message = Message {
        caller: Address::ZERO,
        address: CONTRACT,
        origin: Address::ZERO,
        gas_price: U256::ZERO,
        code: None,
        data: Bytes::copy_from_slice(&code[..code.len().min(100)]),
        value: U256::ZERO,
        gas: 200_000,
    };
    let mut evm = Evm::new();
    let mut run = || evm.call(&message, &BlockEnv::default(), &config, &db, &mut NoTracer);
    let (first, second) = (run(), run());
    assert_eq!(first.ok(), second.ok());
});
