//! Finding events: the index says which blocks to look at, and their receipts are the truth.

use std::collections::VecDeque;

use zvm_core::BlockId;
use zvm_state::kv::{
    Order, Table,
    records::{self, exact},
};

use super::{Event, EventFilter, EventLimits};
use crate::{
    Log, LogError,
    keys::{EventKey, SECTION, last_number, place_in_section, section_of},
    records::bitmap,
};

/// How many sections of the index are read together.
const CHUNK: u64 = 256;

/// The events that a filter asks for, in the order in which they were logged.
///
/// Memory is bounded by the events of a block. After an error there is nothing more.
pub struct Events<'a> {
    log: Log<'a>,
    filter: EventFilter,
    keys: Vec<Vec<EventKey>>,
    left: EventLimits,
    limits: EventLimits,
    /// The block to look at next, and the one behind the last.
    next: u64,
    end: u64,
    /// The first section without entries in the index.
    open_section: u64,
    /// Sections that were looked up: the first, and the blocks to look at in each.
    chunk: (u64, Vec<u64>),
    /// Events of the last block looked at.
    found: VecDeque<Event>,
}

impl<'a> Log<'a> {
    /// The events that `filter` asks for. Beyond what `limits` allow the last item is
    /// [`LogError::Limit`], which says where to go on.
    pub fn events(&self, filter: EventFilter, limits: EventLimits) -> Result<Events<'a>, LogError> {
        let end = match self.head()? {
            Some(head) => head.number.min(filter.to_block.unwrap_or(u64::MAX)).saturating_add(1),
            None => 0,
        };
        let first = self.first()?.unwrap_or_default();
        let head = self.store.head()?.number;
        Ok(Events {
            log: *self,
            keys: filter.keys(),
            next: filter.from_block.max(first),
            filter,
            left: limits,
            limits,
            end,
            open_section: section_of(head.saturating_add(1)),
            chunk: (0, Vec::new()),
            found: VecDeque::new(),
        })
    }
}

impl Events<'_> {
    /// Looks at blocks until there are events, or no blocks.
    fn search(&mut self) -> Result<(), LogError> {
        while self.found.is_empty() && self.next < self.end {
            let number = self.next;
            match self.candidates(section_of(number))? >> place_in_section(number) {
                // Nothing in the rest of the section.
                0 => self.next = (number - number % SECTION).saturating_add(SECTION),
                blocks if blocks & 1 == 0 => {
                    self.next = number.saturating_add(blocks.trailing_zeros().into());
                }
                _ => {
                    self.look_at(number)?;
                    self.next = number.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// Reads the receipts of a block.
    fn look_at(&mut self, number: u64) -> Result<(), LogError> {
        let limit = |what, limit| LogError::Limit { what, limit, next: number };
        let block = self.log.canonical(number)?;
        if section_of(number) >= self.open_section {
            // Not in the index; the bloom of the header knows almost as much.
            let header = self.log.header(block.hash)?;
            if header.is_some_and(|header| !self.filter.may_match(&header.logs_bloom)) {
                return Ok(());
            }
        }
        if self.left.blocks_max == 0 {
            return Err(limit("too many blocks to look at", self.limits.blocks_max));
        }
        self.left.blocks_max -= 1;
        let found = self.matching(block)?;
        if self.left.events_max == 0 && !found.is_empty() {
            return Err(limit("too many events", self.limits.events_max));
        }
        self.found = found;
        self.left.events_max = self.left.events_max.saturating_sub(self.found.len() as u64);
        Ok(())
    }

    /// The events of a block that are asked for.
    fn matching(&self, block: BlockId) -> Result<VecDeque<Event>, LogError> {
        let mut found = VecDeque::new();
        let mut index = 0;
        for (transaction_index, stored) in (0..).zip(self.log.stored_receipts(block.number)?) {
            for log in stored.logs {
                if self.filter.matches(&log) {
                    let transaction_hash = stored.hash;
                    found.push_back(Event {
                        block,
                        transaction_hash,
                        transaction_index,
                        index,
                        log,
                    });
                }
                index += 1;
            }
        }
        Ok(found)
    }

    /// The blocks of a section that may have such events.
    fn candidates(&mut self, section: u64) -> Result<u64, LogError> {
        if section >= self.open_section || self.keys.is_empty() {
            return Ok(u64::MAX);
        }
        let place = section.checked_sub(self.chunk.0).and_then(|place| usize::try_from(place).ok());
        let known = place.and_then(|place| self.chunk.1.get(place));
        if let Some(blocks) = known {
            return Ok(*blocks);
        }
        let last = section_of(self.end - 1).min(section.saturating_add(CHUNK - 1));
        let mut chunk = vec![u64::MAX; (last - section + 1) as usize];
        for list in &self.keys {
            let mut blocks = vec![0; chunk.len()];
            for key in list {
                self.read_index(key, section, &mut blocks)?;
            }
            chunk.iter_mut().zip(blocks).for_each(|(all, blocks)| *all &= blocks);
        }
        let first = chunk.first().copied().unwrap_or_default();
        self.chunk = (section, chunk);
        Ok(first)
    }

    /// Adds the blocks that the index has under `key` in the sections from `first` on.
    fn read_index(&self, key: &EventKey, first: u64, blocks: &mut [u64]) -> Result<(), LogError> {
        let (kv, table) = (self.log.kv(), Table::EventIndex);
        for entry in kv.iter(table, key.prefix(), Some(&key.entry(first)), Order::Forward)? {
            let (key, record) = entry?;
            let key: [u8; 17] = exact(kv, table, &key)?;
            let place = last_number(&key).saturating_sub(first);
            let Some(word) = usize::try_from(place).ok().and_then(|place| blocks.get_mut(place))
            else {
                break;
            };
            *word |= records::open(kv, table, &key, &record, bitmap)?;
        }
        Ok(())
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Event, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.search() {
            self.end = 0;
            return Some(Err(error));
        }
        self.found.pop_front().map(Ok)
    }
}
