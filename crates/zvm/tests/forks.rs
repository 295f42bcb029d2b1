//! Tests of contracts that live elsewhere: what a test file of a user looks like, and that its
//! recording gives the same without a network.
#![cfg(feature = "sol")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use zvm::{
    Address, BlockId, DbError, Error, Executed, SpecId, StateBackend, U256, Zvm, expect_revert,
    hex, sol,
};
use zvm_core::{Header, keccak256};
use zvm_fork::{ForkDb, Found, Kept, Origin, Read, Recorder, RemoteAccount, Source};

sol! {
    interface Token {
        constructor(string name, string symbol, uint256 supply);
        function transfer(address to, uint256 value) returns (bool);
        function balanceOf(address holder) returns (uint256);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
    }
}

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const WHALE: Address = Address::repeat_byte(0xee);
const ONE: U256 = U256::from_limbs([1, 0, 0, 0]);

/// What a user would write: the token is there already, and nobody's keys are needed.
fn scenario(zvm: &mut Zvm, token: Address) -> Result<Vec<Executed>, Error> {
    // Whoever has much of it may be anybody in a test.
    let balance = zvm.call(token, Token::balanceOfCall { holder: WHALE })?;
    let all = Token::transferCall { to: ALICE, value: balance };
    let moved = zvm.impersonate(WHALE).transact(token, all)?.executed;
    assert_eq!(zvm.token_balance(token, ALICE)?, balance);

    // Money out of nothing, in ether and in tokens.
    zvm.deal(BOB, ONE)?;
    zvm.deal_token(token, BOB, U256::from(1_000_000))?;
    assert_eq!(zvm.call(token, Token::balanceOfCall { holder: BOB })?, U256::from(1_000_000));
    assert_eq!((zvm.balance(BOB)?, zvm.token_balance(token, ALICE)?), (ONE, balance));

    // What must not work, does not.
    let too_much = Token::transferCall { to: ALICE, value: U256::from(1_000_001) };
    let reason = expect_revert(zvm.impersonate(BOB).transact(token, too_much));
    assert!(reason.to_string().starts_with("custom error 0xe450d38c"), "{reason}");

    // Tomorrow, a thousand blocks on.
    zvm.warp(zvm.block().timestamp + 86_400);
    zvm.roll(zvm.block().number + 1000);
    let some = Token::transferCall { to: WHALE, value: ONE };
    let back = zvm.impersonate(BOB).transact(token, some)?.executed;
    Ok(vec![moved, back])
}

/// A state in memory as a node has it.
struct Elsewhere {
    db: Box<dyn StateBackend>,
    origin: Origin,
    /// How often it was asked.
    requests: Arc<AtomicUsize>,
}

impl Source for Elsewhere {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn name(&self) -> String {
        "elsewhere".into()
    }

    fn fetch(&self, reads: &[Read]) -> Result<Vec<Found>, DbError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let find = |read: &Read| match *read {
            Read::Account(address) => Ok(Found::Account(
                self.db
                    .account(address)?
                    .map(|account| RemoteAccount { info: account.info, storage_root: None }),
            )),
            Read::Slot(address, slot) => self.db.storage(address, slot).map(Found::Word),
            Read::Code(hash, _) => self.db.code(hash).map(Found::Code),
            Read::BlockHash(number) => self.db.block_hash(number).map(Found::BlockHash),
        };
        reads.iter().map(find).collect()
    }
}

/// A token at block 17, and where it is.
fn elsewhere() -> (Elsewhere, Address) {
    let artifact = include_str!("../../../contracts/artifacts/Token.json");
    let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap();
    let bytecode = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    let mut db = zvm_state::MemoryDb::new();
    let mut zvm = Zvm::memory();
    let supply = U256::from(10).pow(U256::from(24));
    let arguments = Token::constructorCall { name: "Demo".into(), symbol: "DMO".into(), supply };
    let token = zvm.from(WHALE).deploy_with(bytecode, arguments).unwrap();
    let code = zvm.code(token).unwrap();
    for (slot, word) in zvm.storage_entries(token).unwrap() {
        db.set_storage(token, slot, word);
    }
    db.set_code(token, code);
    db.set_nonce(token, 1);
    db.set_balance(WHALE, ONE);
    let header = Header {
        number: 17,
        timestamp: 1_700_000_000,
        gas_limit: 60_000_000,
        state_root: db.state_root().unwrap(),
        ..Header::default()
    };
    let block = BlockId { number: 17, hash: header.hash() };
    let spec = Some(SpecId::CANCUN);
    let origin = Origin { chain_id: 31_337, block, header, spec, is_verified: false };
    (Elsewhere { db: Box::new(db), origin, requests: Arc::default() }, token)
}

/// The same with everything read of it recorded.
fn recorded(source: Elsewhere) -> (Zvm, Arc<Recorder>) {
    let header = source.origin.header.clone();
    let recorder = Arc::new(Recorder::new(Arc::new(source)));
    let block = zvm::BlockEnv { number: 18, timestamp: 1_700_000_001, ..header.env() };
    let zvm = Zvm::builder().backend(Box::new(ForkDb::new(recorder.clone())));
    let zvm = zvm.spec(SpecId::CANCUN).chain_id(31_337).block(block).build().unwrap();
    (zvm, recorder)
}

#[test]
fn calls_made_together_ask_as_often_as_one() {
    let holders = (0..200_u8).map(Address::repeat_byte).chain([WHALE]);
    let calls = |token| holders.clone().map(move |holder| (token, Token::balanceOfCall { holder }));
    let asked = |all: bool| {
        let (source, token) = elsewhere();
        let requests = source.requests.clone();
        let kept = Arc::new(Kept::new(Arc::new(source), Kept::MEMORY_BYTES));
        let zvm = Zvm::builder().backend(Box::new(ForkDb::new(kept))).spec(SpecId::CANCUN);
        let mut zvm = zvm.build().unwrap();
        let balances: Vec<_> = match all {
            true => zvm.call_all(calls(token)).unwrap().into_iter().map(Result::unwrap).collect(),
            false => calls(token).map(|(to, call)| zvm.call(to, call).unwrap()).collect(),
        };
        assert_eq!(balances.last(), Some(&U256::from(10).pow(U256::from(24))));
        (balances, requests.load(Ordering::Relaxed))
    };
    let (together, one_by_one) = (asked(true), asked(false));
    assert_eq!(together.0, one_by_one.0);
    assert!(together.1 < 10 && one_by_one.1 > 200, "{} and {}", together.1, one_by_one.1);
}

#[test]
fn a_token_elsewhere_is_used_and_its_recording_gives_the_same() {
    let (source, token) = elsewhere();
    let (mut zvm, recorder) = recorded(source);
    let live = scenario(&mut zvm, token).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.fork");
    recorder.recording().write(&path).unwrap();

    let mut zvm = Zvm::fork("https://mainnet.example/KEY").at(17).recorded(&path).open().unwrap();
    let origin = zvm.forked().expect("a fork").origin();
    assert_eq!((zvm.spec(), zvm.block().number), (SpecId::CANCUN, 18));
    assert_eq!((origin.chain_id, origin.block.number), (31_337, 17));
    assert_eq!(scenario(&mut zvm, token).unwrap(), live);

    // The same again is the same file.
    let (mut zvm, recorder) = recorded(elsewhere().0);
    scenario(&mut zvm, token).unwrap();
    assert_eq!(recorder.recording().encode(), std::fs::read(&path).unwrap());
}

#[test]
fn what_is_not_recorded_is_an_error_with_its_name() {
    let (source, token) = elsewhere();
    let (mut zvm, recorder) = recorded(source);
    zvm.call(token, Token::balanceOfCall { holder: WHALE }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.fork");
    recorder.recording().write(&path).unwrap();
    let open = || Zvm::fork("").recorded(&path);

    let mut zvm = open().at(17).open().unwrap();
    let error = zvm.call(token, Token::balanceOfCall { holder: ALICE }).unwrap_err();
    let slot: U256 = keccak256([ALICE.into_word(), U256::from(3).into()].concat()).into();
    let named = error.to_string();
    assert!(named.contains("token.fork: not recorded: slot 0x"), "{named}");
    assert!(named.contains(&token.to_string()), "{named} {slot:#x}");

    let error = open().at(18).open().unwrap_err().to_string();
    assert!(error.contains("not recorded: block 18; it is of block 17"), "{error}");
    let error = Zvm::fork("").recorded(folder.path().join("none")).open().unwrap_err().to_string();
    assert!(error.ends_with("there is no recording; ZVM_RECORD=1 has it made"), "{error}");
}

#[test]
fn a_token_without_a_slot_for_balances_is_told_so_and_left_alone() {
    let mut zvm = Zvm::memory();
    let token = Address::repeat_byte(0x70);
    // Answers the sum of slots 0 and 1, doubled: no one word is the balance.
    zvm.set_code(token, hex!("5f5460015401600202 5f52 60205ff3")).unwrap();
    zvm.set_storage(token, U256::ZERO, U256::from(5)).unwrap();
    zvm.set_storage(token, ONE, U256::from(6)).unwrap();
    let root = zvm.state_root().unwrap();
    let error = zvm.deal_token(token, BOB, U256::from(1001)).unwrap_err();
    assert!(matches!(error, Error::NoBalanceSlot { .. }), "{error}");
    assert_eq!(zvm.state_root().unwrap(), root);
    assert_eq!(zvm.token_balance(token, BOB).unwrap(), U256::from(22));
}

#[test]
fn a_balance_packed_with_other_things_is_dealt_beside_them() {
    let mut zvm = Zvm::memory();
    let token = Address::repeat_byte(0x70);
    // Answers the lower half of slot 0.
    zvm.set_code(token, hex!("5f546fffffffffffffffffffffffffffffffff165f5260205ff3")).unwrap();
    let flag = ONE << 200;
    zvm.set_storage(token, U256::ZERO, flag | U256::from(5)).unwrap();
    zvm.deal_token(token, BOB, U256::from(9)).unwrap();
    assert_eq!(zvm.token_balance(token, BOB).unwrap(), U256::from(9));
    assert_eq!(zvm.storage(token, U256::ZERO).unwrap(), flag | U256::from(9));
}

#[test]
#[should_panic(expected = "expected a revert, found success")]
fn a_revert_that_does_not_come_fails_the_test() {
    let mut zvm = Zvm::memory();
    expect_revert(zvm.transact(Address::repeat_byte(1), zvm::Raw(b"")));
}
