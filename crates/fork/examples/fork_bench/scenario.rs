//! What is measured: 200 calls that touch 500 slots in 40 contracts, and a deployment.

use zvm_core::{
    Address, BlockEnv, Bytes, Database, DbError, SpecId, StateBackend, Transaction, TxKind, U256,
};
use zvm_evm::{Config, Evm, Message, NoTracer};
use zvm_fork::{ForkDb, Read};

use crate::support::Anvil;

const CONTRACTS: u64 = 40;
const SLOTS: u64 = 500;
const CALLS: u64 = 200;
const SENDER: Address = Address::repeat_byte(0x5e);

/// Adds up as many slots as the second word of calldata says, from the first word on.
const SUM: [u8; 36] = [
    0x5f, 0x35, 0x60, 0x20, 0x35, 0x5f, // i, n, sum
    0x5b, 0x81, 0x15, 0x60, 0x1d, 0x57, // while n is not zero
    0x82, 0x54, 0x01, // sum += sload(i)
    0x91, 0x60, 0x01, 0x01, 0x91, // i += 1
    0x90, 0x60, 0x01, 0x90, 0x03, 0x90, // n -= 1
    0x60, 0x06, 0x56, //
    0x5b, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, // return sum
];

/// The contract that has everything one call reads.
const LARGE: Address = Address::repeat_byte(0x1a);

/// A call: whom, from which slot on, and how many.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) to: Address,
    from: u64,
    count: u64,
}

impl Load {
    pub(crate) fn data(&self) -> Bytes {
        [U256::from(self.from), U256::from(self.count)]
            .map(|word| word.to_be_bytes::<32>())
            .concat()
            .into()
    }

    pub(crate) fn expected(&self) -> U256 {
        let word = |slot| word(self.to, slot);
        (self.from..self.from + self.count).map(word).fold(U256::ZERO, U256::wrapping_add)
    }
}

fn contract(index: u64) -> Address {
    Address::left_padding_from(&(0xc0de_0000 + index).to_be_bytes())
}

fn word(address: Address, slot: u64) -> U256 {
    U256::from_be_bytes(zvm_core::keccak256([address.as_slice(), &slot.to_be_bytes()].concat()).0)
}

/// How many of the slots a contract has.
fn slots(index: u64) -> u64 {
    SLOTS / CONTRACTS + u64::from(index < SLOTS % CONTRACTS)
}

/// Puts everything onto the upstream node.
pub(crate) fn prepare(anvil: &Anvil) {
    anvil.set_balance(SENDER, U256::from(10).pow(U256::from(20)));
    for (address, count) in
        (0..CONTRACTS).map(|index| (contract(index), slots(index))).chain([(LARGE, SLOTS)])
    {
        anvil.set_code(address, &SUM);
        for slot in 0..count {
            anvil.set_storage(address, U256::from(slot), word(address, slot));
        }
    }
    anvil.mine();
}

/// The calls: each contract gets five, with a fifth of its slots each.
pub(crate) fn loads() -> Vec<Load> {
    let load = |call: u64| {
        let (index, part) = (call % CONTRACTS, call / CONTRACTS);
        let parts = CALLS / CONTRACTS;
        let place = |part: u64| part * slots(index) / parts;
        Load { to: contract(index), from: place(part), count: place(part + 1) - place(part) }
    };
    (0..CALLS).map(load).collect()
}

/// One call that reads as many slots.
pub(crate) fn large() -> Load {
    Load { to: LARGE, from: 0, count: SLOTS }
}

/// All reads of the calls.
pub(crate) fn reads(loads: &[Load]) -> Vec<Read> {
    let of = |load: &Load| {
        let to = load.to;
        let slots =
            (load.from..load.from + load.count).map(move |slot| Read::Slot(to, U256::from(slot)));
        [Read::Account(to)].into_iter().chain(slots)
    };
    [Read::Account(SENDER), Read::Account(Address::ZERO)]
        .into_iter()
        .chain(loads.iter().flat_map(of))
        .collect()
}

/// A machine for the fork's block.
pub(crate) struct Machine {
    evm: Evm,
    config: Config,
    block: BlockEnv,
}

impl Machine {
    pub(crate) fn new(db: &ForkDb) -> Self {
        let header = &db.origin().header;
        let config = Config::new(SpecId::OSAKA).expect("every precompile is there");
        let block = BlockEnv { number: header.number + 1, base_fee: 0, ..header.env() };
        Self { evm: Evm::new(), config, block }
    }

    /// Whether the call answers what it must.
    pub(crate) fn call(&mut self, db: &dyn Database, load: &Load) -> bool {
        let message = Message {
            caller: SENDER,
            address: load.to,
            origin: SENDER,
            gas_price: U256::ZERO,
            code: None,
            data: load.data(),
            value: U256::ZERO,
            gas: 30_000_000,
        };
        let called = self.evm.call(&message, &self.block, &self.config, db, &mut NoTracer);
        called.is_ok_and(|executed| executed.output.as_ref() == load.expected().to_be_bytes::<32>())
    }

    /// Deploys a contract, and makes it a block.
    pub(crate) fn deploy(&mut self, db: &mut ForkDb) -> Result<(), DbError> {
        // Initcode that returns one byte of code.
        let initcode = Bytes::from_static(&[0x60, 0x01, 0x5f, 0xf3]);
        let tx = Transaction {
            sender: SENDER,
            nonce: db.account(SENDER)?.map_or(0, |account| account.nonce),
            to: TxKind::Create,
            data: initcode,
            gas_limit: 1_000_000,
            ..Transaction::default()
        };
        let Self { evm, config, block } = self;
        let executed = evm.execute(&tx, block, config, db, &mut NoTracer);
        let executed = executed.expect("a small deployment is valid");
        assert!(executed.created.is_some(), "{executed:?}");
        db.commit(&executed.diff)
    }
}
