//! The contracts of `contracts/`, used through the facade.
#![cfg(feature = "sol")]

use zvm::{
    Address, DbError, Error, Halt, InvalidTransaction, Outcome, Raw, RevertReason, SpecId,
    Transaction, TxKind, U256, Zvm, hex, sol,
};

sol! {
    interface Token {
        constructor(string name, string symbol, uint256 supply);
        function transfer(address to, uint256 value) returns (bool);
        function balanceOf(address holder) returns (uint256);
        function symbol() returns (string);
        event Transfer(address indexed from, address indexed to, uint256 value);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
    }

    interface Counter {
        constructor(uint256 start);
        function increment();
        function number() returns (uint256);
        function deposit() returns (uint256);
    }

    interface Factory {
        function deploy(bytes32 salt, uint256 start) returns (address);
        function predict(bytes32 salt, uint256 start) returns (address);
        event Deployed(address indexed counter, bytes32 indexed salt);
    }

    interface Failures {
        function withReason(string reason);
        function withoutReason();
        function panicIndex(uint256 index) returns (uint256);
        function invalidOpcode();
        function burnAllGas();
    }
}

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// Initcode out of an artifact.
fn initcode(artifact: &str) -> Vec<u8> {
    let artifact: serde_json::Value = serde_json::from_str(artifact).expect("artifact is JSON");
    hex::decode(artifact["bytecode"].as_str().expect("artifact has bytecode")).expect("hex")
}

macro_rules! initcode {
    ($name:literal) => {
        initcode(include_str!(concat!("../../../contracts/artifacts/", $name, ".json")))
    };
}

fn counter(zvm: &mut Zvm) -> Address {
    let constructor = Counter::constructorCall { start: U256::from(5) };
    zvm.deploy_with(initcode!("Counter"), constructor).unwrap()
}

fn failures(zvm: &mut Zvm) -> Address {
    zvm.deploy(initcode!("Failures")).unwrap()
}

#[test]
fn token_moves_and_tells() {
    let mut zvm = Zvm::memory();
    let constructor = Token::constructorCall {
        name: "Test".into(),
        symbol: "TST".into(),
        supply: U256::from(100),
    };
    let token = zvm.from(ALICE).deploy_with(initcode!("Token"), constructor).unwrap();
    assert_eq!(zvm.call(token, Token::symbolCall {}).unwrap(), "TST");

    let transfer = Token::transferCall { to: BOB, value: U256::from(30) };
    let receipt = zvm.from(ALICE).transact(token, transfer).unwrap();
    assert!(receipt.value);
    let events = receipt.events::<Token::Transfer>();
    assert_eq!((events[0].from, events[0].to, events[0].value), (ALICE, BOB, U256::from(30)));
    assert_eq!(receipt.diff.accounts[&token].storage.len(), 2);

    let transfer = Token::transferCall { to: ALICE, value: U256::from(31) };
    let error = zvm.from(BOB).transact(token, transfer).unwrap_err();
    let Error::Revert { reason, executed } = error else { panic!("{error}") };
    let declared = reason.as_error::<Token::ERC20InsufficientBalance>().unwrap();
    assert_eq!((declared.balance, declared.needed), (U256::from(30), U256::from(31)));
    assert!(executed.gas_used > 21_000);
}

#[test]
fn call_and_simulate_change_nothing() {
    let mut zvm = Zvm::memory();
    let counter = counter(&mut zvm);
    let root = zvm.state_root().unwrap();

    zvm.call(counter, Counter::incrementCall {}).unwrap();
    let simulated = zvm.simulate(counter, Counter::incrementCall {}).unwrap();
    assert!(simulated.is_success());
    assert_eq!(zvm.state_root().unwrap(), root);

    // What was simulated is what would have happened.
    let before = zvm.snapshot().unwrap();
    zvm.transact(counter, Counter::incrementCall {}).unwrap();
    let after = zvm.state_root().unwrap();
    zvm.revert(before).unwrap();
    assert_eq!(zvm.state_root().unwrap(), root);
    zvm.commit(&simulated.diff).unwrap();
    assert_eq!(zvm.state_root().unwrap(), after);
    assert_eq!(zvm.call(counter, Counter::numberCall {}).unwrap(), U256::from(6));
}

#[test]
fn failed_transaction_counts_all_the_same() {
    let mut zvm = Zvm::memory();
    let failures = failures(&mut zvm);
    let call = Failures::withReasonCall { reason: "not today".into() };
    let error = zvm.from(ALICE).transact(failures, call).unwrap_err();
    assert_eq!(error.to_string(), "reverted: not today");
    assert_eq!(error.executed().unwrap().outcome, Outcome::Revert);
    assert_eq!(zvm.nonce(ALICE).unwrap(), 1);
}

#[test]
fn failures_are_told_apart() {
    let mut zvm = Zvm::memory();
    let to = failures(&mut zvm);
    let show = |error: Error| error.to_string();

    let error = zvm.call(to, Failures::withoutReasonCall {}).map(drop).unwrap_err();
    assert!(matches!(error, Error::Revert { reason: RevertReason::Empty, .. }), "{error}");
    let error = zvm.call(to, Failures::panicIndexCall { index: U256::ZERO }).unwrap_err();
    assert_eq!(show(error), "reverted: panic 0x32: index out of bounds");
    let error = zvm.call(to, Failures::invalidOpcodeCall {}).map(drop).unwrap_err();
    assert!(matches!(error, Error::Halt { halt: Halt::InvalidOpcode, .. }), "{error}");
    let error = zvm.from(ALICE).gas(50_000).transact(to, Failures::burnAllGasCall {}).unwrap_err();
    assert!(matches!(error, Error::Halt { halt: Halt::OutOfGas, .. }), "{error}");
    assert_eq!(error.executed().unwrap().gas_used, 50_000);
}

#[test]
fn silence_is_no_answer() {
    let error = Zvm::memory().call(BOB, Counter::numberCall {}).unwrap_err();
    assert!(matches!(error, Error::Answer { to: BOB, .. }), "{error}");
    assert!(error.to_string().contains("is there a contract?"), "{error}");
}

#[test]
fn factory_deploys_where_it_predicts() {
    let mut zvm = Zvm::memory();
    let factory = zvm.deploy(initcode!("Factory")).unwrap();
    let (salt, start) = ([7; 32].into(), U256::from(9));
    let predicted = zvm.call(factory, Factory::predictCall { salt, start }).unwrap();
    let receipt = zvm.transact(factory, Factory::deployCall { salt, start }).unwrap();
    assert_eq!(receipt.value, predicted);
    assert_eq!(receipt.events::<Factory::Deployed>()[0].counter, predicted);
    assert_eq!(zvm.call(predicted, Counter::numberCall {}).unwrap(), start);

    // The address is taken now.
    let error = zvm.transact(factory, Factory::deployCall { salt, start }).unwrap_err();
    assert!(matches!(error, Error::Revert { reason: RevertReason::Empty, .. }), "{error}");
}

#[test]
fn wei_must_be_there() {
    let mut zvm = Zvm::memory();
    let counter = counter(&mut zvm);
    let deposit = |zvm: &mut Zvm| {
        zvm.from(ALICE).value(U256::from(3)).transact(counter, Counter::depositCall {})
    };
    let error = deposit(&mut zvm).unwrap_err();
    let rule = InvalidTransaction::InsufficientFunds {
        sender: ALICE,
        balance: U256::ZERO,
        cost: Some(U256::from(3)),
    };
    assert!(matches!(&error, Error::Invalid(found) if *found == rule), "{error}");
    assert_eq!(zvm.nonce(ALICE).unwrap(), 0);

    zvm.set_balance(ALICE, U256::from(3)).unwrap();
    assert_eq!(deposit(&mut zvm).unwrap().value, U256::from(3));
    assert_eq!(zvm.balance(counter).unwrap(), U256::from(3));
    assert_eq!(zvm.balance(ALICE).unwrap(), U256::ZERO);
}

#[test]
fn gas_is_free_at_any_base_fee() {
    let mut zvm = Zvm::memory();
    zvm.block_mut().base_fee = 30_000_000_000;
    let receipt = zvm.from(ALICE).transact(BOB, Raw(b"")).unwrap();
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(zvm.balance(ALICE).unwrap(), U256::ZERO);
}

#[test]
fn whole_transaction_obeys_consensus() {
    let mut zvm = Zvm::memory();
    zvm.set_balance(ALICE, U256::from(1_000_000)).unwrap();
    let tx = Transaction {
        sender: ALICE,
        nonce: 1,
        to: TxKind::Call(BOB),
        gas_price: U256::from(10),
        ..Transaction::default()
    };
    let error = zvm.execute(&tx).unwrap_err();
    let rule = InvalidTransaction::NonceTooHigh { found: 1, expected: 0 };
    assert!(matches!(&error, Error::Invalid(found) if *found == rule), "{error}");

    zvm.execute(&Transaction { nonce: 0, ..tx }).unwrap();
    assert_eq!(zvm.balance(ALICE).unwrap(), U256::from(1_000_000 - 210_000));
}

#[test]
fn block_and_hard_fork_reach_the_code() {
    // NUMBER, PUSH1 0, MSTORE, MSIZE, PUSH0, RETURN
    let code = hex!("43600052595ff3");
    let mut zvm = Zvm::memory();
    zvm.block_mut().number = 77;
    zvm.set_code(BOB, code).unwrap();
    assert_eq!(U256::from_be_slice(&zvm.call(BOB, Raw(b"")).unwrap()), U256::from(77));

    let mut zvm = Zvm::builder().spec(SpecId::PARIS).build().unwrap();
    zvm.set_code(BOB, code).unwrap();
    let error = zvm.call(BOB, Raw(b"")).unwrap_err();
    assert!(matches!(error, Error::Halt { halt: Halt::UndefinedOpcode(0x5f), .. }), "{error}");
}

#[test]
fn contracts_may_send() {
    let mut zvm = Zvm::memory();
    let counter = counter(&mut zvm);
    let nonce = zvm.nonce(counter).unwrap();
    zvm.from(counter).transact(counter, Counter::incrementCall {}).unwrap();
    assert_eq!(zvm.nonce(counter).unwrap(), nonce + 1);
}

#[test]
fn what_is_set_is_read() {
    let mut zvm = Zvm::memory();
    zvm.set_nonce(BOB, 4).unwrap();
    zvm.set_code(BOB, [0x5b]).unwrap();
    zvm.set_storage(BOB, U256::from(1), U256::from(2)).unwrap();
    zvm.set_balance(BOB, U256::from(3)).unwrap();
    let account = zvm.account(BOB).unwrap().unwrap();
    assert_eq!((account.nonce, account.balance, account.has_storage), (4, U256::from(3), true));
    assert_eq!(zvm.code(BOB).unwrap().as_ref(), [0x5b]);
    assert_eq!(zvm.storage_entries(BOB).unwrap(), [(U256::from(1), U256::from(2))]);
    assert_eq!((zvm.account(ALICE).unwrap(), zvm.nonce(ALICE).unwrap()), (None, 0));
}

#[test]
fn file_database_outlives_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("file:{}", folder.path().join("state").display());
    let mut zvm = Zvm::open(&config).unwrap();
    let counter = counter(&mut zvm);
    zvm.transact(counter, Counter::incrementCall {}).unwrap();
    let root = zvm.state_root().unwrap();

    let error = Zvm::open(&config).unwrap_err();
    assert!(matches!(error, Error::Database(DbError::Locked { .. })), "{error}");
    drop(zvm);

    let mut zvm = Zvm::open(&config).unwrap();
    assert_eq!(zvm.state_root().unwrap(), root);
    assert_eq!(zvm.call(counter, Counter::numberCall {}).unwrap(), U256::from(6));
}
