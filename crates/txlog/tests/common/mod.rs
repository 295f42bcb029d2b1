//! A chain in a log, and the same chain as a list to compare with.

// Each test uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;

use zvm_core::{Address, B256, BlockId};
use zvm_state::MemoryDb;
use zvm_txlog::{
    Appearance, Beside, Event, EventFilter, EventLimits, Log, LogStore, LogWriter, Roles,
    testing::{Blocks, MadeBlock},
};

/// A log in memory beside a state that keeps all of its past.
pub(crate) fn memory() -> Beside<MemoryDb> {
    Beside::new(MemoryDb::with_history(usize::MAX))
}

/// A chain from block 0 on.
pub(crate) struct Chain<S> {
    pub(crate) store: S,
    pub(crate) blocks: Blocks,
    /// What the log should hold.
    pub(crate) made: Vec<MadeBlock>,
}

impl<S: LogStore> Chain<S> {
    pub(crate) fn new(store: S, blocks: Blocks) -> Self {
        Self { store, blocks, made: Vec::new() }
    }

    /// Commits blocks until the head is block `number`.
    pub(crate) fn grow(&mut self, number: u64) {
        while self.made.len() as u64 <= number {
            let parent = self.made.last().map_or(B256::ZERO, |block| block.hash);
            let made = self.blocks.block(self.made.len() as u64, parent);
            LogWriter::new(&mut self.store).commit(&made.as_new()).unwrap();
            self.made.push(made);
        }
    }

    /// Goes back to block `number`; blocks made from here on are others than those before.
    pub(crate) fn back(&mut self, number: u64) {
        self.store.unwind(number).unwrap();
        self.made.truncate(number as usize + 1);
        self.blocks.seed += 1;
    }

    pub(crate) fn log(&self) -> Log<'_> {
        Log::new(&self.store)
    }

    /// All that the log should say is what it says.
    pub(crate) fn check(&self) {
        let log = self.log();
        let last = self.made.last().unwrap();
        let head = BlockId { number: last.block.header.number, hash: last.hash };
        assert_eq!(log.head().unwrap(), Some(head));
        assert_eq!(log.first().unwrap(), Some(0));
        let mut size = 0;
        for (number, made) in (0..).zip(&self.made) {
            assert_eq!(log.canonical_hash(number).unwrap(), Some(made.hash));
            assert_eq!(log.block(made.hash).unwrap().as_ref(), Some(&made.block));
            assert_eq!(log.receipts(number).unwrap().as_ref(), Some(&made.receipts));
            size += 1 + made.receipts.len() as u64;
            assert_eq!(log.tree_head_at(number).unwrap().size, size);
            let mut first_log = 0;
            for (index, transaction) in (0..).zip(&made.block.transactions) {
                let found = log.transaction(transaction.hash()).unwrap().unwrap();
                assert_eq!((found.block.number, found.block.hash), (number, made.hash));
                assert_eq!((found.index, found.first_log), (index, first_log));
                assert_eq!(found.transaction, *transaction);
                assert_eq!(found.sender, made.senders[index as usize]);
                assert_eq!(found.receipt, made.receipts[index as usize]);
                assert_eq!(found.gas_used, 21_000);
                first_log += found.receipt.logs.len() as u32;
            }
        }
        assert_eq!(log.canonical_hash(head.number + 1).unwrap(), None);
        assert_eq!(log.receipts(head.number + 1).unwrap(), None);
        let all = log.events(EventFilter::default(), EventLimits::default()).unwrap();
        let all: Vec<Event> = all.map(Result::unwrap).collect();
        assert_eq!(all, self.scan(&EventFilter::default()));
    }

    /// The events that `filter` asks for, found by looking at all there are.
    pub(crate) fn scan(&self, filter: &EventFilter) -> Vec<Event> {
        let mut found = Vec::new();
        for (number, made) in (0..).zip(&self.made) {
            let mut index = 0;
            for (transaction, receipt) in made.receipts.iter().enumerate() {
                for log in &receipt.logs {
                    let is_wanted = number >= filter.from_block
                        && filter.to_block.is_none_or(|to| number <= to)
                        && (filter.addresses.is_empty() || filter.addresses.contains(&log.address))
                        && filter.topics.iter().enumerate().all(|(place, wanted)| {
                            let topic = log.topics().get(place);
                            topic.is_some_and(|topic| wanted.is_empty() || wanted.contains(topic))
                        });
                    if is_wanted {
                        found.push(Event {
                            block: BlockId { number, hash: made.hash },
                            transaction_hash: made.block.transactions[transaction].hash(),
                            transaction_index: transaction as u32,
                            index,
                            log: log.clone(),
                        });
                    }
                    index += 1;
                }
            }
        }
        found
    }

    /// Which transactions concern which address, found by looking at all of them.
    pub(crate) fn histories(&self) -> BTreeMap<Address, Vec<Appearance>> {
        let mut histories: BTreeMap<Address, Vec<Appearance>> = BTreeMap::new();
        for (block, made) in (0..).zip(&self.made) {
            for (at, transaction) in made.block.transactions.iter().enumerate() {
                let mut roles: BTreeMap<Address, Roles> = BTreeMap::new();
                *roles.entry(made.senders[at]).or_default() |= Roles::SENDER;
                if let Some(to) = transaction.body.to.to() {
                    *roles.entry(*to).or_default() |= Roles::RECIPIENT;
                }
                for address in made.tx_diffs[at].accounts.keys() {
                    *roles.entry(*address).or_default() |= Roles::TOUCHED;
                }
                for (address, roles) in roles {
                    let found = Appearance { block, index: at as u32, roles };
                    histories.entry(address).or_default().push(found);
                }
            }
        }
        histories
    }
}
