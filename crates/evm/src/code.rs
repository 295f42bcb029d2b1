//! Contract code as the interpreter wants it, and the cache that keeps it.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use zvm_core::{Address, B256, Bytes, Database, DbError, SpecId, U256};

use crate::{decode::Decoded, opcode};

/// Zero bytes behind the code: a `PUSH32` at the very end reads 32 of them, then one more `STOP`.
const PADDING: usize = 33;

/// Code with what was found out about it.
#[derive(Debug)]
pub(crate) struct Code {
    padded: Box<[u8]>,
    /// A bit per byte, set where a `JUMPDEST` is no immediate. Found at the first jump.
    jumpdests: OnceLock<Box<[u64]>>,
    /// Jumps it has taken in the raw loop, which decide when decoding pays.
    raw_jumps: AtomicU64,
    decoded: OnceLock<Decoded>,
}

impl Code {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut padded = Vec::with_capacity(bytes.len() + PADDING);
        padded.extend_from_slice(bytes);
        padded.resize(bytes.len() + PADDING, 0);
        Self {
            padded: padded.into_boxed_slice(),
            jumpdests: OnceLock::new(),
            raw_jumps: AtomicU64::new(0),
            decoded: OnceLock::new(),
        }
    }

    /// The code as deployed.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.padded[..self.len()]
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.bytes())
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.padded.len() - PADDING
    }

    /// The code with [`PADDING`] zero bytes behind it.
    #[inline]
    pub(crate) fn padded(&self) -> &[u8] {
        &self.padded
    }

    /// Whether a jump may go to `pc`.
    #[inline]
    pub(crate) fn is_jumpdest(&self, pc: usize) -> bool {
        let map = self.jumpdests.get_or_init(|| find_jumpdests(self.bytes()));
        map.get(pc >> 6).is_some_and(|word| word >> (pc & 63) & 1 == 1)
    }

    /// The account this code delegates to (EIP-7702).
    pub(crate) fn delegate(&self) -> Option<Address> {
        match self.bytes() {
            [0xef, 0x01, 0x00, address @ ..] if address.len() == 20 => {
                Some(Address::from_slice(address))
            }
            _ => None,
        }
    }

    /// The decoded form, if it was made.
    #[inline]
    pub(crate) fn decoded(&self) -> Option<&Decoded> {
        self.decoded.get()
    }

    /// The decoded form for `spec`. One `Code` serves one hard fork: gas is baked in.
    pub(crate) fn decode(&self, spec: SpecId) -> &Decoded {
        self.decoded.get_or_init(|| Decoded::new(self.bytes(), spec))
    }

    pub(crate) fn raw_jumps(&self) -> u64 {
        self.raw_jumps.load(Ordering::Relaxed)
    }

    pub(crate) fn add_raw_jumps(&self, jumps: u64) {
        self.raw_jumps.fetch_add(jumps, Ordering::Relaxed);
    }

    /// Bytes of memory it takes, about.
    fn size(&self) -> usize {
        let map = self.jumpdests.get().map_or(0, |map| map.len() * 8);
        self.padded.len() + map + self.decoded.get().map_or(0, Decoded::size) + size_of::<Self>()
    }
}

fn find_jumpdests(code: &[u8]) -> Box<[u64]> {
    let mut map = vec![0; code.len().div_ceil(64)];
    let mut pc = 0;
    while let Some(&op) = code.get(pc) {
        if op == opcode::JUMPDEST {
            map[pc >> 6] |= 1 << (pc & 63);
        }
        pc += 1 + opcode::immediate_len(op);
    }
    map.into_boxed_slice()
}

/// Code by hash and hard fork, bounded in bytes; the least recently used goes first.
#[derive(Debug)]
pub(crate) struct CodeCache {
    entries: HashMap<Key, Entry, RandomState>,
    spec: SpecId,
    limit_bytes: usize,
    /// Bytes of all entries when they came in, plus what decoding has added.
    bytes: usize,
    tick: u64,
}

/// Code hash and hard fork. Hashed by half of the code hash, which is a hash already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(B256, SpecId);

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high, ..] = U256::from_le_bytes(self.0.0).into_limbs();
        state.write_u64(low ^ self.1 as u64);
        state.write_u64(high);
    }
}

#[derive(Debug)]
struct Entry {
    code: Arc<Code>,
    used: u64,
}

impl CodeCache {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            entries: HashMap::default(),
            spec: SpecId::default(),
            limit_bytes,
            bytes: 0,
            tick: 0,
        }
    }

    /// The hard fork that later calls of [`load`](Self::load) are for.
    pub(crate) fn set_spec(&mut self, spec: SpecId) {
        self.spec = spec;
    }

    pub(crate) fn load(&mut self, hash: B256, db: &dyn Database) -> Result<Arc<Code>, DbError> {
        self.tick += 1;
        if let Some(entry) = self.entries.get_mut(&Key(hash, self.spec)) {
            entry.used = self.tick;
            return Ok(Arc::clone(&entry.code));
        }
        let code = Arc::new(Code::new(&db.code(hash)?));
        self.bytes += code.size();
        let entry = Entry { code: Arc::clone(&code), used: self.tick };
        self.entries.insert(Key(hash, self.spec), entry);
        self.evict();
        Ok(code)
    }

    /// Counts the bytes of a decoded form that `code` has just got.
    pub(crate) fn note_decoded(&mut self, decoded: &Decoded) {
        self.bytes += decoded.size();
        self.evict();
    }

    /// Halves the cache once it is over its limit, so that the sort is rare.
    fn evict(&mut self) {
        if self.bytes <= self.limit_bytes {
            return;
        }
        let mut by_age: Vec<_> =
            self.entries.iter().map(|(key, entry)| (entry.used, *key, entry.code.size())).collect();
        by_age.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut kept = 0;
        for (_, key, size) in by_age {
            if kept + size > self.limit_bytes / 2 {
                self.entries.remove(&key);
            } else {
                kept += size;
            }
        }
        self.bytes = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct AnyCode;

    impl Database for AnyCode {
        fn account(&self, _: Address) -> Result<Option<zvm_core::Account>, DbError> {
            Ok(None)
        }
        fn storage(&self, _: Address, _: U256) -> Result<U256, DbError> {
            Ok(U256::ZERO)
        }
        fn code(&self, hash: B256) -> Result<Bytes, DbError> {
            Ok(Bytes::copy_from_slice(&hash.repeat(32)))
        }
        fn block_hash(&self, number: u64) -> Result<B256, DbError> {
            Err(DbError::MissingBlockHash { number })
        }
    }

    #[test]
    fn jumpdests_inside_immediates_do_not_count() {
        let code = Code::new(&[0x60, 0x5b, 0x5b, 0x61, 0x5b]);
        let found: Vec<_> = (0..100).filter(|pc| code.is_jumpdest(*pc)).collect();
        assert_eq!(found, [2]);
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_was_used_last() {
        let mut cache = CodeCache::new(64 << 10);
        for i in 0..=255 {
            let hash = B256::repeat_byte(i);
            cache.load(hash, &AnyCode).unwrap();
            assert!(cache.bytes <= cache.limit_bytes);
            assert!(cache.entries.contains_key(&Key(hash, cache.spec)));
        }
        assert!(!cache.entries.contains_key(&Key(B256::ZERO, cache.spec)));
    }

    #[test]
    fn a_delegation_is_23_bytes() {
        let target = Address::repeat_byte(7);
        let bytes = crate::journal::delegation(target);
        assert_eq!(Code::new(&bytes).delegate(), Some(target));
        assert_eq!(Code::new(&bytes[..22]).delegate(), None);
    }
}
