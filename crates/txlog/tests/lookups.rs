//! What a log says beside a list of the same blocks.

mod common;

use std::sync::OnceLock;

use common::{Chain, memory};
use proptest::{collection::vec, option, prelude::*};
use zvm_core::{B256, Database, DbError, Header, StateBackend, StateDiff, U256};
use zvm_state::{FileDb, FileOptions, History, MemoryDb, kv::Order};
use zvm_txlog::{
    Beside, EventFilter, EventLimits, Log, LogError, LogStore, LogWriter, Senders, testing::Blocks,
};

/// Three sections and a part of one, with a fork behind them.
fn chain() -> &'static Chain<Beside<MemoryDb>> {
    static CHAIN: OnceLock<Chain<Beside<MemoryDb>>> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let mut chain = Chain::new(memory(), Blocks::default());
        chain.grow(210);
        chain.back(190);
        chain.grow(215);
        chain
    })
}

fn filter() -> impl Strategy<Value = EventFilter> {
    let address = (0_u64..8).prop_map(Blocks::address);
    let topics = vec((0_u64..4).prop_map(Blocks::topic), 0..3);
    let to = option::of(0_u64..230);
    (0_u64..230, to, vec(address, 0..3), vec(topics, 0..5)).prop_map(
        |(from_block, to_block, addresses, topics)| EventFilter {
            from_block,
            to_block,
            addresses,
            topics,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_filter_finds_what_a_full_scan_finds(filter in filter()) {
        let found = chain().log().events(filter.clone(), EventLimits::default()).unwrap();
        let found: Result<Vec<_>, _> = found.collect();
        prop_assert_eq!(found.unwrap(), chain().scan(&filter));
    }

    #[test]
    fn who_goes_on_where_a_limit_says_finds_everything_once(
        filter in filter(), events_max in 1_u64..20, blocks_max in 1_u64..20,
    ) {
        let limits = EventLimits { events_max, blocks_max };
        let (mut all, mut asked) = (Vec::new(), filter.clone());
        loop {
            let mut next = None;
            let before = all.len() as u64;
            for event in chain().log().events(asked.clone(), limits).unwrap() {
                match event {
                    Ok(event) => all.push(event),
                    Err(LogError::Limit { next: block, .. }) => next = Some(block),
                    Err(error) => panic!("{error}"),
                }
            }
            // A block has 12 events at most.
            prop_assert!(all.len() as u64 - before < events_max + 12);
            match next {
                Some(block) => asked.from_block = block,
                None => break,
            }
        }
        prop_assert_eq!(all, chain().scan(&filter));
    }

    #[test]
    fn pages_of_a_history_put_together_are_all_of_it(
        number in 0_u64..7, limit in 1_usize..40, is_reverse in any::<bool>(),
    ) {
        let address = Blocks::address(number);
        let mut expected = chain().histories().remove(&address).unwrap_or_default();
        let order = if is_reverse { Order::Reverse } else { Order::Forward };
        if is_reverse {
            expected.reverse();
        }
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = chain().log().history(address, from, order, limit).unwrap();
            prop_assert!(page.appearances.len() == limit || page.next.is_none());
            all.extend(page.appearances);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        prop_assert_eq!(all, expected);
    }
}

fn check_reorganisations<S: LogStore>(store: S) {
    let mut chain = Chain::new(store, Blocks::default());
    // Behind, at and before ends of sections, further than a batch of removals, and twice in a row.
    for (back, to) in [(0, 70), (62, 66), (63, 140), (64, 129), (127, 128), (50, 200), (199, 199)] {
        if !chain.made.is_empty() {
            chain.back(back);
        }
        chain.grow(to);
        chain.check();
        chain.log().verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    }
    // Going back alone is enough for the log to follow.
    chain.back(120);
    chain.check();
    chain.back(100);
    chain.check();
    let histories = chain.histories();
    for (address, expected) in histories {
        let page = chain.log().history(address, None, Order::Forward, 10_000).unwrap();
        assert_eq!(page.appearances, expected);
    }
    chain.log().verify(&[], Senders::Trust, &mut |_| {}).unwrap();
}

#[test]
fn a_log_in_memory_follows_the_state_back_and_forth() {
    check_reorganisations(memory());
}

#[test]
fn a_log_on_disk_follows_the_state_back_and_forth() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions {
        history: Some(History::All),
        durability: zvm_state::kv::Durability::Buffered,
        ..FileOptions::default()
    };
    check_reorganisations(FileDb::open_with(folder.path().join("store"), options).unwrap());
}

#[test]
fn a_reverted_snapshot_takes_the_log_along() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(70);
    let snapshot = chain.store.snapshot().unwrap();
    let kept = chain.made.len();
    chain.grow(140);
    chain.store.revert(snapshot).unwrap();
    chain.made.truncate(kept);
    chain.check();
    chain.grow(90);
    chain.check();
}

#[test]
fn states_between_transactions_are_those_of_one_diff_after_another() {
    let mut chain = Chain::new(memory(), Blocks { transactions_max: 8, ..Blocks::default() });
    let mut state = MemoryDb::new();
    chain.grow(0);
    state.commit(&chain.made[0].diff).unwrap();
    for number in 1..40 {
        chain.grow(number);
        let made = &chain.made[number as usize];
        let steps = [&made.start_diff].into_iter().chain(&made.tx_diffs);
        for (index, diff) in (0..).zip(steps) {
            state.commit(diff).unwrap();
            let between = chain.log().between(number, index).unwrap();
            for address in (0..6).map(Blocks::address) {
                assert_eq!(between.account(address).unwrap(), state.account(address).unwrap());
                for slot in (0..5).map(U256::from) {
                    let (found, expected) =
                        (between.storage(address, slot), state.storage(address, slot));
                    assert_eq!(found.unwrap(), expected.unwrap());
                }
            }
        }
        let count = made.tx_diffs.len() as u32;
        let error = chain.log().between(number, count + 1).err().unwrap();
        assert!(matches!(error, LogError::NoTransaction { .. }), "{error}");
    }
}

#[test]
fn diffs_of_transactions_are_kept_as_long_as_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions {
        history: Some(History::Blocks(140)),
        durability: zvm_state::kv::Durability::Buffered,
        ..FileOptions::default()
    };
    let store = FileDb::open_with(folder.path().join("store"), options).unwrap();
    let mut chain = Chain::new(store, Blocks::default());
    chain.grow(360);
    let floor = chain.store.floor();
    assert_eq!(floor, 220);
    let log = chain.log();
    assert!(log.between(floor + 1, 0).is_ok());
    let error = log.between(floor, 0).err().unwrap();
    assert!(matches!(error, LogError::Database(DbError::NoHistory { .. })), "{error}");
    // The section that the history begins in is kept for the indexes.
    assert!(
        log.tx_diff(192, 0).unwrap().is_some() || log.receipts(192).unwrap().unwrap().is_empty()
    );
    assert_eq!(log.tx_diff(190, 0).unwrap(), None);
    let verified = log.verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    assert_eq!(verified.blocks, 361);
    // And going back as far as that leads to the same indexes.
    chain.back(floor);
    chain.grow(390);
    chain.check();
    chain.log().verify(&[], Senders::Trust, &mut |_| {}).unwrap();
}

#[test]
fn blocks_of_side_chains_are_known_by_hash_alone() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(10);
    let other = Blocks { seed: 77, ..chain.blocks }.block(8, chain.made[7].hash);
    LogWriter::new(&mut chain.store).insert(&other.block, other.hash, U256::from(99)).unwrap();
    let log = chain.log();
    assert_eq!(log.block(other.hash).unwrap(), Some(other.block.clone()));
    assert_eq!(log.total_difficulty(other.hash).unwrap(), Some(U256::from(99)));
    assert_eq!(log.number(other.hash).unwrap(), Some(8));
    assert_ne!(log.canonical_hash(8).unwrap(), Some(other.hash));
    chain.check();
    log.verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    // A block that was gone back from is one of them.
    let gone = chain.made[9].clone();
    chain.back(8);
    chain.grow(9);
    assert_eq!(chain.log().header(gone.hash).unwrap(), Some(gone.block.header));
}

#[test]
fn a_block_that_does_not_follow_is_refused() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(3);
    for (number, parent) in [(4, B256::ZERO), (3, chain.made[2].hash), (6, chain.made[3].hash)] {
        let made = chain.blocks.block(number, parent);
        let error = LogWriter::new(&mut chain.store).commit(&made.as_new()).unwrap_err();
        assert!(matches!(error, LogError::NotNext { .. }), "{error}");
    }
    let made = Blocks { transactions_max: 9, ..chain.blocks }.block(4, chain.made[3].hash);
    let mut new = made.as_new();
    new.receipts = &[];
    let error = LogWriter::new(&mut chain.store).commit(&new).unwrap_err();
    assert!(error.to_string().contains("0 receipts, expected"), "{error}");
    chain.check();
}

#[test]
fn a_state_that_went_on_without_its_log_is_named() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(3);
    chain.store.commit(&StateDiff::default()).unwrap();
    let error = chain.log().head().unwrap_err();
    assert!(matches!(error, LogError::Detached { .. }), "{error}");
}

#[test]
fn a_log_can_begin_at_a_block_of_a_state_that_is_there() {
    let mut store = memory();
    for _ in 0..69 {
        store.commit(&StateDiff::default()).unwrap();
    }
    assert_eq!(Log::new(&store).head().unwrap(), None);
    let mut parent = B256::repeat_byte(7);
    for number in 70..200 {
        let made = Blocks::default().block(number, parent);
        LogWriter::new(&mut store).commit(&made.as_new()).unwrap();
        parent = made.hash;
    }
    let log = Log::new(&store);
    assert_eq!(log.first().unwrap(), Some(70));
    assert_eq!(log.canonical_hash(69).unwrap(), None);
    let verified = log.verify(&[], Senders::Trust, &mut |_| {}).unwrap();
    assert_eq!(verified.blocks, 130);
}

#[test]
fn the_hash_of_a_block_is_recorded_with_it() {
    let mut chain = Chain::new(memory(), Blocks::default());
    chain.grow(3);
    assert_eq!(chain.store.block_hash(2).unwrap(), chain.made[2].hash);
    assert_eq!(chain.log().header(B256::ZERO).unwrap(), None::<Header>);
}
