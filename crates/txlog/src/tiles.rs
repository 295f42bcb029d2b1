//! The hashes of the Merkle log in tiles, so that a proof reads few records and an append writes few.
//!
//! A tile has up to 64 neighbouring hashes of one level, every sixth level has tiles, and the levels
//! between are computed from those below. Only roots of complete subtrees are in tiles. They never
//! change, so a tile grows at its end and, when the log is cut, shrinks there.

use std::cell::RefCell;

use zvm_core::{B256, DbError};
use zvm_state::kv::{
    KvReader, Table, WriteBatch,
    records::{corrupt, corrupt_at, get, put},
};
use zvm_trie::log::{Frontier, LogNodes, TreeHead, node_hash};

/// Levels from one row of tiles to the next.
const HEIGHT: u32 = 6;

/// Hashes of a whole tile.
const WIDTH: u64 = 1 << HEIGHT;

/// Rows of tiles: as many as a log of 2^64 entries has.
const ROWS: u32 = u64::BITS.div_ceil(HEIGHT);

/// The key in `log_hashes`: `row u8 ‖ tile u64`.
fn tile_key(row: u32, tile: u64) -> [u8; 9] {
    let mut key = [row as u8; 9];
    key[1..].copy_from_slice(&tile.to_be_bytes());
    key
}

/// How many hashes a row has in a log of `size` entries.
fn row_length(row: u32, size: u64) -> u64 {
    size.checked_shr(row * HEIGHT).unwrap_or(0)
}

fn read_tile(kv: &dyn KvReader, row: u32, tile: u64) -> Result<Vec<B256>, DbError> {
    let key = tile_key(row, tile);
    let hashes = get(kv, Table::LogHashes, &key, |body| {
        if !body.len().is_multiple_of(32) || body.len() as u64 > 32 * WIDTH {
            return Err(format!("a tile of {} bytes", body.len()));
        }
        Ok(body.chunks_exact(32).map(B256::from_slice).collect())
    })?;
    hashes.ok_or_else(|| corrupt_at(kv, Table::LogHashes, &key, "no record"))
}

fn write_tile(row: u32, tile: u64, hashes: &[B256], batch: &mut WriteBatch) {
    let body: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    put(batch, Table::LogHashes, &tile_key(row, tile), &body);
}

/// The stored hashes.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a>(pub(crate) &'a dyn KvReader);

/// Where a subtree is found: `count` hashes of a tile lead to its root.
struct Place {
    row: u32,
    tile: u64,
    first: usize,
    count: usize,
}

impl Place {
    /// `None` if no log is large enough.
    fn of(level: u32, index: u64) -> Option<Self> {
        let (row, above) = (level / HEIGHT, level % HEIGHT);
        let first = index.checked_mul(1 << above).filter(|_| row < ROWS)?;
        let (tile, first) = (first / WIDTH, (first % WIDTH) as usize);
        Some(Self { row, tile, first, count: 1 << above })
    }
}

/// The root over `count` hashes of a tile; `None` if they are not there.
fn root_in(hashes: &[B256], first: usize, count: usize) -> Option<B256> {
    let mut hashes = hashes.get(first..first + count)?.to_vec();
    while hashes.len() > 1 {
        hashes =
            hashes.as_chunks().0.iter().map(|[left, right]| node_hash(*left, *right)).collect();
    }
    hashes.first().copied()
}

impl LogNodes for Tiles<'_> {
    fn node(&self, level: u32, index: u64) -> Result<B256, DbError> {
        let place = Place::of(level, index).ok_or_else(|| self.absent(level, index))?;
        let hashes = read_tile(self.0, place.row, place.tile)?;
        let root = root_in(&hashes, place.first, place.count);
        root.ok_or_else(|| self.absent(level, index))
    }
}

impl Tiles<'_> {
    fn absent(&self, level: u32, index: u64) -> DbError {
        corrupt(self.0, format!("log_hashes: no subtree {index} of level {level}"))
    }

    /// The right edge of the log of the first `size` entries.
    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, DbError> {
        let bits = (0..u64::BITS).rev().filter(|bit| size >> bit & 1 == 1);
        let peaks = bits.map(|bit| self.node(bit, (size >> bit) - 1)).collect::<Result<_, _>>()?;
        let frontier = Frontier::from_peaks(size, peaks);
        frontier.map_err(|error| corrupt_at(self.0, Table::LogHashes, &[], error))
    }

    /// Appends `leaves` to the log of `size` entries, and answers what it is then.
    pub(crate) fn append(
        &self,
        size: u64,
        leaves: impl IntoIterator<Item = B256>,
        batch: &mut WriteBatch,
    ) -> Result<TreeHead, DbError> {
        let mut frontier = self.frontier(size)?;
        let mut rows: Vec<Vec<B256>> = Vec::new();
        for leaf in leaves {
            frontier.push_with(leaf, |level, _, root| {
                let row = (level / HEIGHT) as usize;
                if level.is_multiple_of(HEIGHT) {
                    rows.resize(rows.len().max(row + 1), Vec::new());
                    rows[row].push(root);
                }
            });
        }
        for (row, new) in (0..).zip(&rows).filter(|(_, new)| !new.is_empty()) {
            let mut tile = row_length(row, size) / WIDTH;
            let mut hashes = match row_length(row, size) % WIDTH {
                0 => Vec::new(),
                kept => self.start_of_tile(row, tile, kept)?,
            };
            for hash in new {
                hashes.push(*hash);
                if hashes.len() as u64 == WIDTH {
                    write_tile(row, tile, &hashes, batch);
                    hashes.clear();
                    tile += 1;
                }
            }
            if !hashes.is_empty() {
                write_tile(row, tile, &hashes, batch);
            }
        }
        Ok(frontier.head())
    }

    /// Cuts the log off behind its first `size` entries.
    pub(crate) fn cut(&self, size: u64, batch: &mut WriteBatch) -> Result<(), DbError> {
        for row in 0..ROWS {
            let (tile, kept) = (row_length(row, size) / WIDTH, row_length(row, size) % WIDTH);
            let first = tile_key(row, tile);
            let end = [row as u8 + 1];
            batch.delete_range(Table::LogHashes, &first, Some(&end));
            if kept > 0 {
                let hashes = self.start_of_tile(row, tile, kept)?;
                write_tile(row, tile, &hashes, batch);
            }
        }
        Ok(())
    }

    /// The first `kept` hashes of a tile.
    fn start_of_tile(&self, row: u32, tile: u64, kept: u64) -> Result<Vec<B256>, DbError> {
        let mut hashes = read_tile(self.0, row, tile)?;
        if (hashes.len() as u64) < kept {
            let what = format!("{} hashes, expected at least {kept}", hashes.len());
            return Err(corrupt_at(self.0, Table::LogHashes, &tile_key(row, tile), what));
        }
        hashes.truncate(kept as usize);
        Ok(hashes)
    }
}

/// The number of a tile and its hashes.
type KnownTile = (u64, Vec<B256>);

/// The stored hashes; of each row the tile that was read last is kept, since neighbours are often
/// asked for together.
pub(crate) struct CachedTiles<'a> {
    tiles: Tiles<'a>,
    rows: RefCell<Vec<Option<KnownTile>>>,
}

impl<'a> CachedTiles<'a> {
    pub(crate) fn new(tiles: Tiles<'a>) -> Self {
        Self { tiles, rows: RefCell::new(vec![None; ROWS as usize]) }
    }
}

impl LogNodes for CachedTiles<'_> {
    fn node(&self, level: u32, index: u64) -> Result<B256, DbError> {
        let place = Place::of(level, index).ok_or_else(|| self.tiles.absent(level, index))?;
        let Place { row, tile, first, count } = place;
        let known = &mut self.rows.borrow_mut()[row as usize];
        let hashes = match known {
            Some((known, hashes)) if *known == tile => hashes,
            _ => &mut known.insert((tile, read_tile(self.tiles.0, row, tile)?)).1,
        };
        root_in(hashes, first, count).ok_or_else(|| self.tiles.absent(level, index))
    }
}

#[cfg(test)]
mod tests {
    use zvm_state::kv::MemoryTables;
    use zvm_trie::log::{MemoryNodes, leaf_hash, root_at};

    use super::*;

    fn leaves(first: u64, end: u64) -> impl Iterator<Item = B256> {
        (first..end).map(|entry| leaf_hash(&entry.to_be_bytes()))
    }

    #[test]
    fn tiles_hold_every_complete_subtree() {
        let (mut kv, mut size) = (MemoryTables::default(), 0);
        for end in [1, 2, 64, 65, 66, 4095, 4096, 4200, 9001] {
            let mut batch = WriteBatch::new();
            let head = Tiles(&kv).append(size, leaves(size, end), &mut batch).unwrap();
            kv.write(batch);
            let expected = MemoryNodes::new(leaves(0, end));
            assert_eq!(head, expected.frontier().head());
            for level in 0..=end.ilog2() {
                for index in 0..end >> level {
                    let node = Tiles(&kv).node(level, index).unwrap();
                    assert_eq!(node, expected.node(level, index).unwrap(), "{level} {index}");
                }
            }
            size = end;
        }
    }

    #[test]
    fn a_log_that_was_cut_goes_on_as_if_it_had_never_been_longer() {
        let mut kv = MemoryTables::default();
        let mut batch = WriteBatch::new();
        Tiles(&kv).append(0, leaves(0, 5000), &mut batch).unwrap();
        kv.write(batch);
        for size in [4999, 4160, 4096, 4095, 63, 1, 0] {
            let mut batch = WriteBatch::new();
            Tiles(&kv).cut(size, &mut batch).unwrap();
            kv.write(batch);
            let mut batch = WriteBatch::new();
            let head = Tiles(&kv).append(size, leaves(7000, 7100), &mut batch).unwrap();
            let expected = MemoryNodes::new(leaves(0, size).chain(leaves(7000, 7100)));
            assert_eq!(head, expected.frontier().head());
            assert_eq!(root_at(&Tiles(&kv), size).unwrap(), root_at(&expected, size).unwrap());
            assert!(Tiles(&kv).node(0, size).is_err());
        }
    }

    #[test]
    fn a_tile_that_is_cut_short_is_damage_and_no_panic() {
        let mut kv = MemoryTables::default();
        let mut batch = WriteBatch::new();
        Tiles(&kv).append(0, leaves(0, 70), &mut batch).unwrap();
        write_tile(0, 0, &[B256::ZERO; 3], &mut batch);
        kv.write(batch);
        for level in 0..64 {
            for index in [0, 1, 5, 64, 70, u64::MAX] {
                let _ = Tiles(&kv).node(level, index);
            }
        }
        assert!(Tiles(&kv).append(69, [B256::ZERO], &mut WriteBatch::new()).is_ok());
        assert!(matches!(Tiles(&kv).cut(10, &mut WriteBatch::new()), Err(DbError::Corrupt { .. })));
    }
}
