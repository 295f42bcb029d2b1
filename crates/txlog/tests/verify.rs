//! Whatever is done to a log is found.

mod common;

use common::{Chain, memory};
use zvm_core::{B256, BlockId, rlp::Rlp};
use zvm_state::{
    MemoryDb,
    kv::{
        Order, Table, WriteBatch,
        compliance::Random,
        records::{put, unseal},
    },
};
use zvm_trie::log::TreeHead;
use zvm_txlog::{Beside, FaultKind, LogPart, LogStore, Senders, VerifyError, testing::Blocks};

/// The tables of the log.
const TABLES: [Table; 11] = [
    Table::Headers,
    Table::Bodies,
    Table::BlockNumbers,
    Table::Canonical,
    Table::Receipts,
    Table::Transactions,
    Table::StepDiffs,
    Table::EventIndex,
    Table::AddressIndex,
    Table::TreeHeads,
    Table::LogHashes,
];

/// A chain with a complete section, a fork behind it, and signed transactions.
fn chain() -> Chain<Beside<MemoryDb>> {
    let blocks = Blocks { transactions_max: 5, is_signed: true, ..Blocks::default() };
    let mut chain = Chain::new(memory(), blocks);
    chain.grow(60);
    chain.back(57);
    chain.grow(70);
    chain
}

fn verify(chain: &Chain<Beside<MemoryDb>>, senders: Senders) -> Result<(), VerifyError> {
    chain.log().verify(&[], senders, &mut |_| {}).map(drop)
}

fn records(store: &dyn LogStore, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.log().iter(table, &[], None, Order::Forward).unwrap().map(Result::unwrap).collect()
}

/// Does `change` to a copy of the chain's store and expects it to be found.
fn found(
    chain: &mut Chain<Beside<MemoryDb>>,
    senders: Senders,
    change: impl FnOnce(&mut WriteBatch),
) -> Option<VerifyError> {
    let whole = chain.store.clone();
    let mut batch = WriteBatch::new();
    change(&mut batch);
    chain.store.write_log(batch).unwrap();
    let error = verify(chain, senders).err();
    chain.store = whole;
    error
}

#[test]
fn a_whole_log_is_right_and_says_how_much_it_has() {
    let chain = chain();
    let verified = chain.log().verify(&[], Senders::Recover, &mut |_| {}).unwrap();
    assert_eq!(verified.blocks, 71);
    assert_eq!(verified.head, chain.log().tree_head().unwrap());
    let transactions: usize = chain.made.iter().map(|made| made.receipts.len()).sum();
    assert_eq!(verified.transactions, transactions as u64);
}

#[test]
fn a_flipped_bit_in_any_record_is_found() {
    let mut chain = chain();
    let mut random = Random::new(1);
    for table in TABLES {
        let records = records(&chain.store, table);
        assert!(!records.is_empty(), "{table:?}");
        for (key, mut record) in records {
            let bit = random.below(record.len() as u64 * 8) as usize;
            record[bit / 8] ^= 1 << (bit % 8);
            let error = found(&mut chain, Senders::Trust, |batch| batch.put(table, &key, &record));
            assert!(error.is_some(), "{table:?} {key:?} bit {bit}");
        }
    }
}

#[test]
fn a_change_under_a_right_checksum_is_found() {
    let mut chain = chain();
    let mut random = Random::new(2);
    // What transactions changed is not committed to by anything but the state itself, and a side
    // chain by nothing but its hash.
    for table in TABLES.into_iter().filter(|table| *table != Table::StepDiffs) {
        for (key, record) in records(&chain.store, table) {
            if !is_canonical(&chain, table, &key) {
                continue;
            }
            let mut body = unseal(&key, &record).unwrap().to_vec();
            if body.is_empty() {
                continue;
            }
            let bit = random.below(body.len() as u64 * 8) as usize;
            body[bit / 8] ^= 1 << (bit % 8);
            // Only receipts have senders.
            let senders = match table {
                Table::Receipts => Senders::Recover,
                _ => Senders::Trust,
            };
            let error = found(&mut chain, senders, |batch| put(batch, table, &key, &body));
            assert!(error.is_some(), "{table:?} {key:?} bit {bit}");
        }
    }
}

#[test]
fn a_dropped_record_is_found() {
    let mut chain = chain();
    for table in TABLES {
        for (key, _) in records(&chain.store, table) {
            if !is_canonical(&chain, table, &key) {
                continue;
            }
            let error = found(&mut chain, Senders::Trust, |batch| batch.delete(table, &key));
            // Of a block without transactions there is but one step.
            assert!(error.is_some() || table == Table::StepDiffs, "{table:?} {key:?}");
        }
    }
}

/// Whether a record is about a block that leads to the head.
fn is_canonical(chain: &Chain<Beside<MemoryDb>>, table: Table, key: &[u8]) -> bool {
    let hash = match table {
        Table::Headers | Table::Bodies => B256::from_slice(&key[8..]),
        Table::BlockNumbers => B256::from_slice(key),
        _ => return true,
    };
    chain.made.iter().any(|made| made.hash == hash)
}

/// The fault that `change` of the body of block `number` leads to.
fn body_fault(
    chain: &mut Chain<Beside<MemoryDb>>,
    number: u64,
    change: impl FnOnce(&mut zvm_core::Block),
) -> (u64, LogPart, FaultKind) {
    let made = &chain.made[number as usize];
    let mut block = made.block.clone();
    let id = BlockId { number, hash: made.hash };
    change(&mut block);
    // As the writer stores it: a block's list without the header.
    let mut body = Vec::new();
    zvm_core::rlp::write_items(&mut body, &block.transactions);
    zvm_core::rlp::write_items(&mut body, &block.ommers);
    zvm_core::rlp::write_items(&mut body, &block.withdrawals.unwrap());
    let key = [id.number.to_be_bytes().as_slice(), id.hash.as_slice()].concat();
    let error = found(chain, Senders::Trust, |batch| put(batch, Table::Bodies, &key, &body));
    match error.unwrap() {
        VerifyError::Fault { block, part, kind } => (block, part, kind),
        error => panic!("{error}"),
    }
}

#[test]
fn the_fault_names_the_transaction() {
    let mut chain = chain();
    let number = chain.made.iter().position(|made| made.receipts.len() >= 4).unwrap() as u64;
    let transaction = LogPart::Transaction;
    let stranger = chain.made.iter().rev().find_map(|made| made.block.transactions.first());
    let stranger = stranger.unwrap().clone();
    for (change, part, kind) in [
        (
            Box::new(|block: &mut zvm_core::Block| block.transactions[2].body.nonce += 1)
                as Box<dyn Fn(&mut zvm_core::Block)>,
            transaction(2),
            FaultKind::Changed,
        ),
        (Box::new(|block| drop(block.transactions.remove(1))), transaction(1), FaultKind::Dropped),
        (
            Box::new(|block| block.transactions.swap(1, 3)),
            transaction(1),
            FaultKind::Moved { from: 3 },
        ),
        (
            Box::new(move |block| block.transactions.insert(1, stranger.clone())),
            transaction(1),
            FaultKind::Inserted,
        ),
        (
            Box::new(|block| block.ommers.push(zvm_core::Header::default())),
            LogPart::Ommers,
            FaultKind::Changed,
        ),
        (
            Box::new(|block| block.withdrawals = Some(Vec::new())),
            LogPart::Withdrawals,
            FaultKind::Changed,
        ),
    ] {
        assert_eq!(body_fault(&mut chain, number, change), (number, part, kind));
    }
}

#[test]
fn a_block_dropped_or_put_in_the_place_of_another_is_named() {
    let mut chain = chain();
    let (key, hash) = (5_u64.to_be_bytes(), chain.made[9].hash);
    let error = found(&mut chain, Senders::Trust, |batch| batch.delete(Table::Canonical, &key));
    assert_eq!(error.unwrap().to_string(), "block 5: the block was dropped");
    let error = found(&mut chain, Senders::Trust, |batch| {
        put(batch, Table::Canonical, &key, hash.as_slice());
    });
    let expected = "block 5: the block is in the place of another: it belongs at 9";
    assert_eq!(error.unwrap().to_string(), expected);
}

#[test]
fn what_was_inserted_into_an_index_is_found() {
    let mut chain = chain();
    let (place, word) = ([0; 12], 1_u64.to_be_bytes());
    let appearance = [0, 0, 0, 0, 0, 1];
    for (table, key, body) in [
        (Table::Transactions, vec![7; 32], place.as_slice()),
        (Table::EventIndex, [&[0; 9], 0_u64.to_be_bytes().as_slice()].concat(), &word),
        (Table::AddressIndex, [&[9; 20], 0_u64.to_be_bytes().as_slice()].concat(), &appearance),
    ] {
        let error = found(&mut chain, Senders::Trust, |batch| put(batch, table, &key, body));
        assert!(error.unwrap().to_string().ends_with("was inserted"));
    }
}

#[test]
fn a_log_made_anew_is_told_by_a_head_from_before() {
    let one = chain();
    let head = one.log().tree_head().unwrap();
    let mut other = chain();
    other.back(3);
    other.grow(100);
    assert!(one.log().verify(&[head, TreeHead::default()], Senders::Trust, &mut |_| {}).is_ok());
    let error = other.log().verify(&[head], Senders::Trust, &mut |_| {}).unwrap_err();
    assert!(matches!(error, VerifyError::Head { size, .. } if size == head.size), "{error}");
}

#[test]
fn a_header_of_another_hash_is_no_header_of_this_block() {
    let mut chain = chain();
    let made = &chain.made[20];
    let key = [20_u64.to_be_bytes().as_slice(), made.hash.as_slice()].concat();
    let mut header = made.block.header.clone();
    header.timestamp += 1;
    let body = [alloy_rlp::encode(21_u64), header.encode()].concat();
    let error = found(&mut chain, Senders::Trust, |batch| put(batch, Table::Headers, &key, &body));
    assert_eq!(error.unwrap().to_string(), "block 20: the block was changed");
}
