//! The history of an address.

use std::{fmt, ops::BitOrAssign};

use serde::{Serialize, Serializer};
use zvm_core::Address;
use zvm_state::kv::{
    Order, Table,
    records::{self, exact},
};

use crate::{
    Log, LogError,
    index::IndexedAppearance,
    keys::{SECTION, address_key, last_number, section_of},
};

/// As what a transaction concerns an address.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// It signed the transaction.
    pub const SENDER: Self = Self(1);
    /// The transaction is addressed to it.
    pub const RECIPIENT: Self = Self(1 << 1);
    /// It came into being, or into its code.
    pub const CREATED: Self = Self(1 << 2);
    /// Its account or storage was changed.
    pub const TOUCHED: Self = Self(1 << 3);

    const NAMES: [(Self, &'static str); 4] = [
        (Self::SENDER, "sender"),
        (Self::RECIPIENT, "recipient"),
        (Self::CREATED, "created"),
        (Self::TOUCHED, "touched"),
    ];

    /// Whether all of `roles` are among these.
    #[must_use]
    pub fn contains(self, roles: Self) -> bool {
        self.0 & roles.0 == roles.0
    }

    /// The names of these roles.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(role, _)| self.contains(*role)).map(|(_, name)| name)
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// `None` if no or an unknown bit is set.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        (1..16).contains(&bits).then_some(Self(bits))
    }
}

impl BitOrAssign for Roles {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Serialize for Roles {
    /// A list of names.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// A transaction that concerns an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Appearance {
    /// Number of the block.
    pub block: u64,
    /// Index of the transaction.
    pub index: u32,
    /// As what it concerns the address.
    pub roles: Roles,
}

/// A part of the history of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryPage {
    /// Transactions in the order asked for.
    pub appearances: Vec<Appearance>,
    /// Block and transaction to ask for next; `None` at the end.
    pub next: Option<(u64, u32)>,
}

impl Log<'_> {
    /// At most `limit` transactions that concern `address`, from block and transaction `from` on, or
    /// in [reverse](Order::Reverse) back from there; without `from`, all there are.
    ///
    /// What a transaction merely touched is known from what it changed, so from when on depends on
    /// how much of the past was kept while it was written.
    pub fn history(
        &self,
        address: Address,
        from: Option<(u64, u32)>,
        order: Order,
        limit: usize,
    ) -> Result<HistoryPage, LogError> {
        let mut page = HistoryPage { appearances: Vec::new(), next: None };
        let Some(head) = self.head()? else { return Ok(page) };
        let is_wanted = |found: &Appearance| {
            let at = (found.block, found.index);
            let is_behind = from.is_none_or(|from| match order {
                Order::Forward => at >= from,
                Order::Reverse => at <= from,
            });
            is_behind && found.block <= head.number
        };
        let mut add = |section: u64, found: &[IndexedAppearance]| {
            let found = found.iter().map(|found| Appearance {
                block: section.saturating_mul(SECTION).saturating_add(found.place.into()),
                index: found.index,
                roles: found.roles,
            });
            let mut found: Vec<_> = found.filter(is_wanted).collect();
            if order == Order::Reverse {
                found.reverse();
            }
            let room = limit - page.appearances.len();
            page.next = found.get(room).map(|next| (next.block, next.index));
            page.appearances.extend(found.into_iter().take(room));
            page.next.is_some()
        };

        // The section that the next block is in has no entries; what it will have is worked out.
        let open = section_of(head.number.saturating_add(1));
        let add_open = |add: &mut dyn FnMut(u64, &[IndexedAppearance]) -> bool| {
            let newest = self.section_before(open, head.number.saturating_add(1))?;
            Ok::<_, LogError>(add(open, newest.of_address(&address)))
        };
        let is_older =
            order == Order::Reverse && from.is_some_and(|from| section_of(from.0) < open);
        if order == Order::Reverse && !is_older && add_open(&mut add)? {
            return Ok(page);
        }
        let start = from.map(|from| address_key(address, section_of(from.0)));
        let start = start.as_ref().map(<[u8; 28]>::as_slice);
        for entry in self.kv().iter(Table::AddressIndex, address.as_slice(), start, order)? {
            let (key, record) = entry?;
            let key: [u8; 28] = exact(self.kv(), Table::AddressIndex, &key)?;
            let section = last_number(&key);
            // Entries beyond the head are those of blocks gone back from.
            if section < open {
                let decode = IndexedAppearance::decode_all;
                let found = records::open(self.kv(), Table::AddressIndex, &key, &record, decode)?;
                if add(section, &found) {
                    return Ok(page);
                }
            }
        }
        if order == Order::Forward {
            add_open(&mut add)?;
        }
        Ok(page)
    }
}
