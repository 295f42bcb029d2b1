//! Blocks through the library: transactions wait, are mined, pay, and are found again.
#![cfg(feature = "sol")]

use zvm::{
    Address, BlockAttributes, ChainConfig, ChainError, ChainZvm, Error, Genesis,
    InvalidTransaction, Raw, Rejected, SigningKey, SpecId, TxKind, TxType, U256, decode_events,
    genesis::AllocAccount, hex, sol,
};

sol! {
    function increment();
    function number() returns (uint256);
    event Changed(address indexed by, uint256 from, uint256 to);
}

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&[byte; 32]).unwrap()
}

fn ether(count: u64) -> U256 {
    U256::from(count) * U256::from(10).pow(U256::from(18))
}

fn dev(keys: &[&SigningKey]) -> Genesis {
    Genesis::dev(keys.iter().map(|key| (key.address(), ether(100))))
}

/// A counter that begins at zero.
fn initcode() -> Vec<u8> {
    let text = include_str!("../../../contracts/artifacts/Counter.json");
    let artifact: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut initcode = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
    initcode.extend([0; 32]);
    initcode
}

#[test]
fn contracts_are_created_and_called_in_mined_blocks() {
    let (alice, bob) = (key(1), key(2));
    let mut chain = ChainZvm::memory(&dev(&[&alice, &bob])).unwrap();
    let (created, counter) = chain.from(&alice).deploy(initcode()).unwrap();
    let first = chain.send(&alice, counter, incrementCall {}).unwrap();
    assert_eq!((chain.pending().count(), chain.next_nonce(alice.address()).unwrap()), (2, 2));
    let block = chain.mine().unwrap();
    assert_eq!(block.transactions, [created, first]);
    assert_eq!((chain.pending().count(), chain.nonce(alice.address()).unwrap()), (0, 2));

    let creation = chain.receipt(created).unwrap().unwrap();
    assert_eq!((creation.created(), creation.index), (Some(counter), 0));
    let second = chain.send(&bob, counter, incrementCall {}).unwrap();
    assert!(chain.receipt(second).unwrap().is_none());
    chain.mine().unwrap();
    let mined = chain.receipt(second).unwrap().unwrap();
    assert_eq!((mined.block.number, mined.sender), (2, bob.address()));
    let changed = &decode_events::<Changed>(&mined.receipt.logs)[0];
    assert_eq!((changed.by, changed.to), (bob.address(), U256::from(2)));
    assert_eq!(chain.call(counter, numberCall {}).unwrap(), U256::from(2));

    // Who runs out of gas pays, and the receipt tells.
    let failed = chain.from(&bob).gas(22_000).send(counter, incrementCall {}).unwrap();
    chain.mine().unwrap();
    let mined = chain.receipt(failed).unwrap().unwrap();
    assert_eq!((mined.succeeded(), mined.gas_used), (Some(false), 22_000));
    assert_eq!(chain.call(counter, numberCall {}).unwrap(), U256::from(2));
    assert!(matches!(chain.call(counter, Raw(b"1234")), Err(Error::Revert { .. })));
}

#[test]
fn fees_are_paid_and_the_base_fee_follows_demand() {
    let alice = key(1);
    let maker = Address::repeat_byte(0xfe);
    let mut genesis = dev(&[&alice]);
    genesis.gas_limit = Some(100_000);
    let mut chain = ChainZvm::memory(&genesis).unwrap();
    let mut expected = 1_000_000_000_u64;
    for transfers in [0, 0, 4, 4, 0, 2] {
        // EIP-1559: half the limit is the target, and an eighth of the base fee the largest step.
        let used = chain.block(chain.head().unwrap().number).unwrap().unwrap().header.gas_used;
        expected = match used.checked_sub(50_000) {
            Some(above) => expected + expected * above / 50_000 / 8,
            None => expected - expected * (50_000 - used) / 50_000 / 8,
        };
        let before = chain.balance(alice.address()).unwrap();
        for _ in 0..transfers {
            chain.from(&alice).gas(21_000).send(maker, Raw(b"")).unwrap();
        }
        let (maker_before, attributes) = (chain.balance(maker).unwrap(), chain.attributes());
        let attributes = BlockAttributes { beneficiary: maker, ..attributes.unwrap() };
        let block = chain.mine_with(&attributes).unwrap();
        assert_eq!((block.transactions.len(), chain.pending().count()), (transfers as usize, 0));
        let header = chain.block(block.id.number).unwrap().unwrap().header;
        assert_eq!(header.base_fee_per_gas, Some(expected));
        let gas = U256::from(21_000 * transfers);
        let tip = gas * U256::from(1_000_000_000);
        assert_eq!(chain.balance(maker).unwrap() - maker_before, tip);
        let paid = before - chain.balance(alice.address()).unwrap();
        assert_eq!(paid, gas * U256::from(expected) + tip);
    }
}

#[test]
fn what_does_not_fit_waits_and_what_can_never_be_is_told() {
    let (alice, bob, poor) = (key(1), key(2), key(3));
    let mut genesis = dev(&[&alice, &bob, &poor]);
    genesis.gas_limit = Some(50_000);
    let mut chain = ChainZvm::memory(&genesis).unwrap();
    let to = Address::repeat_byte(0xb0);
    let gwei = |count: u64| U256::from(count) * U256::from(1_000_000_000);
    let cheap = chain.from(&alice).gas(21_000).send(to, Raw(b"")).unwrap();
    let dear = chain.from(&bob).gas(21_000).fees(gwei(9), gwei(5)).send(to, Raw(b"")).unwrap();
    let next = chain.from(&bob).gas(21_000).fees(gwei(9), gwei(5)).send(to, Raw(b"")).unwrap();
    // Two transfers fit, and those who pay more are first.
    assert_eq!(chain.mine().unwrap().transactions, [dear, next]);
    let gap = chain.from(&bob).nonce(5).gas(21_000).send(to, Raw(b"")).unwrap();
    assert_eq!(chain.mine().unwrap().transactions, [cheap]);
    assert_eq!(chain.pending().map(|tx| tx.hash()).collect::<Vec<_>>(), [gap]);

    // Of two transactions that can be paid for one by one, the second cannot any more.
    let most = ether(100) - gwei(21_000 * 10);
    chain.from(&poor).gas(21_000).value(most).send(to, Raw(b"")).unwrap();
    let broke = chain.from(&poor).gas(21_000).value(most).send(to, Raw(b"")).unwrap();
    let block = chain.mine().unwrap();
    assert_eq!(block.transactions.len(), 1);
    let [(hash, Rejected::Invalid(InvalidTransaction::InsufficientFunds { .. }))] =
        &block.rejected[..]
    else {
        panic!("{:?}", block.rejected)
    };
    assert_eq!((*hash, chain.pending().count()), (broke, 1));

    // What is wrong from the beginning does not wait at all.
    let refused = chain.from(&bob).nonce(0).send(to, Raw(b"")).unwrap_err();
    assert_eq!(refused.to_string(), "invalid transaction: nonce 0 too low, account has 2");
    let refused = chain.from(&bob).gas(20_999).send(to, Raw(b"")).unwrap_err();
    assert!(matches!(refused, Error::Invalid(InvalidTransaction::IntrinsicGas { .. })));
    let refused = chain.from(&bob).value(ether(101)).send(to, Raw(b"")).unwrap_err();
    assert!(matches!(refused, Error::Invalid(InvalidTransaction::InsufficientFunds { .. })));
    let mut other = chain.from(&bob).sign(to, Raw(b"")).unwrap().body;
    other.chain_id = Some(1);
    let refused = chain.submit(other.sign(&bob)).unwrap_err();
    assert_eq!(refused.to_string(), "invalid transaction: chain id 1, expected 1337");
    assert!(matches!(chain.submit_raw(&[0x02, 0xc0]), Err(Error::Rlp(_))));
    assert_eq!(chain.pending().count(), 1);
}

#[test]
fn time_grows_with_every_block() {
    let mut chain = ChainZvm::memory(&dev(&[])).unwrap();
    let at = |timestamp| BlockAttributes { timestamp, ..BlockAttributes::default() };
    chain.mine().unwrap();
    chain.mine_with(&at(100)).unwrap();
    for timestamp in [0, 99, 100] {
        let refused = chain.mine_with(&at(timestamp)).unwrap_err();
        assert!(matches!(refused, Error::Chain(ChainError::Invalid { .. })), "{refused}");
    }
    chain.mine_with(&at(101)).unwrap();
    chain.mine().unwrap();
    let times = (0..=4).map(|number| chain.block(number).unwrap().unwrap().header.timestamp);
    assert_eq!(times.collect::<Vec<_>>(), [0, 12, 100, 101, 113]);
}

#[test]
fn hard_forks_begin_with_their_block_and_their_time() {
    let alice = key(1);
    let rich = AllocAccount { balance: ether(100), ..AllocAccount::default() };
    let genesis = Genesis {
        config: ChainConfig {
            berlin_block: Some(1),
            london_block: Some(2),
            terminal_total_difficulty: Some(U256::from(131_072 * 3)),
            shanghai_time: Some(100),
            cancun_time: Some(200),
            ..ChainConfig::at(SpecId::ISTANBUL)
        },
        gas_limit: Some(10_000_000),
        alloc: [(alice.address(), rich)].into(),
        ..Genesis::default()
    };
    let mut chain = ChainZvm::memory(&genesis).unwrap();
    // PUSH0 came with Shanghai: what is created by it before fails.
    let push0 = Raw(hex!("5f5ff3"));
    for (timestamp, spec, tx_type, succeeds) in [
        (30, SpecId::BERLIN, TxType::Legacy, false),
        (60, SpecId::LONDON, TxType::DynamicFee, false),
        (99, SpecId::PARIS, TxType::DynamicFee, false),
        (100, SpecId::SHANGHAI, TxType::DynamicFee, true),
        (199, SpecId::SHANGHAI, TxType::DynamicFee, true),
        (200, SpecId::CANCUN, TxType::DynamicFee, true),
    ] {
        let attributes = BlockAttributes { timestamp, ..BlockAttributes::default() };
        let next = chain.chain().next_block(&attributes).unwrap();
        assert_eq!(next.config.spec(), spec, "{timestamp}");
        let hash = chain.from(&alice).gas(100_000).send(TxKind::Create, push0).unwrap();
        let block = chain.mine_with(&attributes).unwrap();
        assert_eq!(block.transactions, [hash], "{spec}: {:?}", block.rejected);
        let mined = chain.receipt(hash).unwrap().unwrap();
        assert_eq!((mined.transaction.body.tx_type, mined.succeeded()), (tx_type, Some(succeeds)));
        let header = chain.block(block.id.number).unwrap().unwrap().header;
        assert_eq!(header.base_fee_per_gas.is_some(), spec.has(SpecId::LONDON));
        assert_eq!(header.withdrawals_root.is_some(), spec.has(SpecId::SHANGHAI));
        assert_eq!(header.excess_blob_gas.is_some(), spec.has(SpecId::CANCUN));
    }
}

#[test]
fn a_chain_survives_reopening_with_its_rules() {
    let alice = key(1);
    let folder = tempfile::tempdir().unwrap();
    let database = format!("file:{}", folder.path().join("chain").display());
    assert!(ChainZvm::open(&database).is_err());
    let genesis = dev(&[&alice]);
    let mut chain = ChainZvm::init(&database, &genesis).unwrap();
    let (created, counter) = chain.from(&alice).deploy(initcode()).unwrap();
    let hash = chain.send(&alice, counter, incrementCall {}).unwrap();
    let block = chain.mine().unwrap();
    let waiting = chain.send(&alice, counter, incrementCall {}).unwrap();
    drop(chain);

    let mut chain = ChainZvm::open(&database).unwrap();
    assert_eq!((chain.head().unwrap(), chain.chain().config().chain_id), (block.id, 1337));
    assert_eq!(chain.receipt(created).unwrap().unwrap().created(), Some(counter));
    assert_eq!(chain.receipt(hash).unwrap().unwrap().block, block.id);
    assert_eq!(chain.call(counter, numberCall {}).unwrap(), U256::from(1));
    // What waited was in memory only.
    assert_eq!((chain.pending().count(), chain.receipt(waiting).unwrap()), (0, None));
    chain.send(&alice, counter, incrementCall {}).unwrap();
    assert_eq!(chain.mine().unwrap().id.number, 2);
    drop(chain);

    let mut other = genesis.clone();
    other.config.berlin_block = Some(7);
    let refused = ChainZvm::init(&database, &other).unwrap_err();
    assert!(refused.to_string().contains("berlinBlock was 0"), "{refused}");
    let chain = ChainZvm::init(&database, &genesis).unwrap();
    assert_eq!(chain.head().unwrap().number, 2);
}

#[test]
fn blocks_of_one_chain_are_imported_by_another() {
    let alice = key(1);
    let genesis = dev(&[&alice]);
    let (mut maker, mut other) =
        (ChainZvm::memory(&genesis).unwrap(), ChainZvm::memory(&genesis).unwrap());
    for value in 1..4 {
        let to = Address::repeat_byte(0xb0);
        maker.from(&alice).value(U256::from(value)).send(to, Raw(b"")).unwrap();
        let block = maker.mine().unwrap();
        let block = maker.block(block.id.number).unwrap().unwrap();
        other.chain_mut().import(&block).unwrap();
    }
    assert_eq!(maker.head().unwrap(), other.head().unwrap());
    let raw = maker.from(&alice).sign(Address::ZERO, Raw(b"")).unwrap().encode_2718();
    let hash = other.submit_raw(&raw).unwrap();
    assert_eq!(other.mine().unwrap().transactions, [hash]);
}
