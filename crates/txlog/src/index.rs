//! The two indexes: in which blocks there are events, and which transactions concern an address.
//!
//! Both are written by sections of 64 blocks, with the last block of each: an entry is about one key
//! in one section, and never changes. What the newest blocks have, whose section is not complete, is
//! read from those blocks.

use std::collections::BTreeMap;

use zvm_core::{Address, StateDiff};
use zvm_state::kv::{Table, WriteBatch, records::put};

use crate::{
    Log, LogError, Roles,
    keys::{EventKey, SECTION, address_key, place_in_section, section_of},
    records::{StoredReceipt, bitmap_body},
};

/// Bytes of an [`IndexedAppearance`].
const APPEARANCE_BYTES: usize = 6;

/// What the indexes say of a section, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// A bit for each block with such an event.
    events: BTreeMap<EventKey, u64>,
    /// In the order of transactions.
    addresses: BTreeMap<Address, Vec<IndexedAppearance>>,
    /// A block was added without what its transactions changed.
    lacks_diffs: bool,
}

/// That a transaction concerns an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedAppearance {
    /// The block's place in its section.
    pub(crate) place: u8,
    pub(crate) index: u32,
    pub(crate) roles: Roles,
}

/// A block, as far as the indexes care.
pub(crate) struct Indexed<'a> {
    pub(crate) number: u64,
    pub(crate) receipts: &'a [StoredReceipt],
    /// What each transaction changed, as far as it is kept.
    pub(crate) tx_diffs: &'a [StateDiff],
}

impl Section {
    /// Adds a block; blocks come in order.
    pub(crate) fn add(&mut self, block: &Indexed<'_>) {
        let place = place_in_section(block.number);
        self.lacks_diffs |= block.tx_diffs.len() != block.receipts.len();
        for log in block.receipts.iter().flat_map(|receipt| &receipt.logs) {
            let topics = log.topics().iter().enumerate();
            let keys = topics.map(|(place, topic)| EventKey::topic(place, *topic));
            for key in keys.chain([EventKey::address(log.address)]) {
                *self.events.entry(key).or_default() |= 1 << place;
            }
        }
        for (index, stored) in (0..).zip(block.receipts) {
            for (address, roles) in roles(stored, block.tx_diffs.get(index as usize)) {
                let appearance = IndexedAppearance { place, index, roles };
                self.addresses.entry(address).or_default().push(appearance);
            }
        }
    }

    /// Writes the entries of section `number`.
    pub(crate) fn stage(&self, number: u64, batch: &mut WriteBatch) {
        for (key, blocks) in &self.events {
            put(batch, Table::EventIndex, &key.entry(number), &bitmap_body(*blocks));
        }
        for (address, appearances) in &self.addresses {
            let body: Vec<u8> = appearances.iter().flat_map(|found| found.encode()).collect();
            put(batch, Table::AddressIndex, &address_key(*address, number), &body);
        }
    }

    /// Deletes the entries of section `number`.
    pub(crate) fn stage_removal(&self, number: u64, batch: &mut WriteBatch) {
        for key in self.events.keys() {
            batch.delete(Table::EventIndex, &key.entry(number));
        }
        for address in self.addresses.keys() {
            batch.delete(Table::AddressIndex, &address_key(*address, number));
        }
    }

    /// Which transactions concern `address`.
    pub(crate) fn of_address(&self, address: &Address) -> &[IndexedAppearance] {
        self.addresses.get(address).map_or(&[], Vec::as_slice)
    }

    /// Whether all is in it that transactions have touched.
    pub(crate) fn is_whole(&self) -> bool {
        !self.lacks_diffs
    }

    /// Which transactions concern each address.
    pub(crate) fn addresses(&self) -> &BTreeMap<Address, Vec<IndexedAppearance>> {
        &self.addresses
    }

    /// In which blocks there are events, by key.
    pub(crate) fn events(&self) -> &BTreeMap<EventKey, u64> {
        &self.events
    }
}

impl IndexedAppearance {
    /// Whether this is about the same transaction, and says no less.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.place, self.index) == (other.place, other.index) && self.roles.contains(other.roles)
    }

    fn encode(&self) -> [u8; APPEARANCE_BYTES] {
        let [a, b, c, d] = self.index.to_be_bytes();
        [self.place, a, b, c, d, self.roles.bits()]
    }

    /// Reads the body of an entry in `address_index`.
    pub(crate) fn decode_all(body: &[u8]) -> Result<Vec<Self>, String> {
        let (appearances, []) = body.as_chunks::<APPEARANCE_BYTES>() else {
            return Err(format!("{} bytes, expected a multiple of 6", body.len()));
        };
        let decode = |&[place, a, b, c, d, bits]: &[u8; APPEARANCE_BYTES]| {
            let roles = Roles::from_bits(bits).filter(|_| u64::from(place) < SECTION);
            let index = u32::from_be_bytes([a, b, c, d]);
            let found = roles.map(|roles| Self { place, index, roles });
            found.ok_or_else(|| format!("block {place} of a section, roles {bits:#04x}"))
        };
        appearances.iter().map(decode).collect()
    }
}

/// Whom a transaction concerns, and as what.
pub(crate) fn roles(stored: &StoredReceipt, diff: Option<&StateDiff>) -> BTreeMap<Address, Roles> {
    let mut found: BTreeMap<Address, Roles> = BTreeMap::new();
    let mut add = |address, role| *found.entry(address).or_default() |= role;
    add(stored.sender, Roles::SENDER);
    if let Some(to) = stored.to.to() {
        add(*to, Roles::RECIPIENT);
    }
    for (address, change) in diff.into_iter().flat_map(|diff| &diff.accounts) {
        let had_code = change.old.is_some_and(|old| old.has_code());
        let has_code = change.new.is_some_and(|new| new.has_code());
        let is_created = change.old.is_none() || (has_code && !had_code);
        add(*address, Roles::TOUCHED);
        if is_created && change.new.is_some() {
            add(*address, Roles::CREATED);
        }
    }
    found
}

impl Log<'_> {
    /// What the indexes say, or would say, of the blocks of section `number` before block `end`.
    pub(crate) fn section_before(&self, number: u64, end: u64) -> Result<Section, LogError> {
        let mut section = Section::default();
        let first = number.saturating_mul(SECTION);
        for block in (first..end).take_while(|block| section_of(*block) == number) {
            // The log may begin within the section.
            if self.stored_canonical(block)?.is_none() {
                continue;
            }
            let receipts = self.stored_receipts(block)?;
            let tx_diffs = self.tx_diffs(block, receipts.len())?;
            section.add(&Indexed { number: block, receipts: &receipts, tx_diffs: &tx_diffs });
        }
        Ok(section)
    }

    /// What each of `count` transactions of a block changed; none of them if that is not kept.
    fn tx_diffs(&self, block: u64, count: usize) -> Result<Vec<StateDiff>, LogError> {
        let diffs = (1..=count as u32).map(|step| self.step_diff(block, step));
        let diffs: Option<Vec<StateDiff>> = diffs.collect::<Result<_, _>>()?;
        Ok(diffs.unwrap_or_default())
    }
}
