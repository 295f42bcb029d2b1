//! A past that is kept within bytes.

use std::{fs, io, path::Path};

use zvm_core::{Batch, DbError, StateBackend, U256};

use super::changes::World;
use crate::{
    CheckLevel, FileDb, FileOptions, History,
    kv::{Engine, compliance::Random},
};

/// A state that soon stops growing, so that what grows is the past.
const WORLD: World = World { addresses: 500, slots: 16 };

/// Changes in each commit.
const CHANGES: u64 = 30;

/// How often sizes are looked at.
const LOOKS: u64 = 50;

/// Many small commits to a store that keeps its past within bytes.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How many commits.
    pub commits: u64,
    /// How many bytes on disk the past may take.
    pub bytes: u64,
    /// What keeps the bytes of the store.
    pub engine: Engine,
}

/// What a past has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Number of blocks that can be read at the end.
    pub blocks: u64,
    /// The most bytes that the past took on disk: those of the store less those of the same state
    /// without a past, free pages and all.
    pub bytes_max: u64,
    /// The bytes of the store at the end.
    pub store_bytes: u64,
    /// The bytes of the same state without a past.
    pub state_bytes: u64,
}

impl Retention {
    /// Makes the commits to a new store in `folder`. `progress` hears how many are made.
    ///
    /// # Panics
    ///
    /// If the past takes more than its bytes, does not come near them, or is not there.
    pub fn run(&self, folder: &Path, progress: &mut dyn FnMut(u64)) -> Result<Retained, DbError> {
        let open = |name: &str, history| {
            let options = FileOptions {
                engine: self.engine,
                history: Some(history),
                ..FileOptions::default()
            };
            FileDb::open_with(folder.join(name), options)
        };
        let disk = |name: &str| disk_bytes(&folder.join(name)).expect("a store has a size");
        let look = (self.commits / LOOKS).max(1);

        // Long enough for every account and slot to have been there.
        let mut bare = open("bare", History::Blocks(0))?;
        let mut retained = Retained::default();
        for number in 1..=self.commits.min(2000) {
            commit(number, bare.batch())?;
            if number % look == 0 {
                retained.state_bytes = retained.state_bytes.max(disk("bare"));
            }
        }
        drop(bare);

        let mut db = open("kept", History::Bytes(self.bytes))?;
        for number in 1..=self.commits {
            commit(number, db.batch())?;
            progress(number);
            if number % look == 0 {
                retained.store_bytes = disk("kept");
                let past = retained.store_bytes.saturating_sub(retained.state_bytes);
                retained.bytes_max = retained.bytes_max.max(past);
                let max = self.bytes;
                assert!(past <= max, "block {number}: the past takes {past} bytes of {max}");
            }
        }
        let (head, floor) = (db.head()?.number, db.floor());
        retained.blocks = head - floor;
        assert!(floor > 0, "nothing was forgotten, {} bytes used", retained.bytes_max);
        let least = self.bytes / 4;
        assert!(retained.bytes_max >= least, "only {} bytes used", retained.bytes_max);
        let address = WORLD.all_addresses().next().expect("there are addresses");
        db.at(floor)?.storage(address, U256::ZERO)?;
        assert!(matches!(db.at(floor - 1), Err(DbError::NoHistory { .. })));
        db.unwind(head - 3)?;
        db.check(CheckLevel::Branches, &mut |_| {})?;
        Ok(retained)
    }
}

/// The bytes that the files in `folder` take on disk. On Unix holes do not count: redb doubles its file
/// long before it writes to the new half.
fn disk_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            bytes += disk_bytes(&entry.path())?;
            continue;
        }
        #[cfg(unix)]
        let taken = 512 * std::os::unix::fs::MetadataExt::blocks(&found);
        #[cfg(not(unix))]
        let taken = found.len();
        bytes += taken;
    }
    Ok(bytes)
}

/// Commit `number`, the same in both stores.
fn commit(number: u64, batch: Batch<'_>) -> Result<(), DbError> {
    let mut random = Random::new(number);
    (0..CHANGES).fold(batch, |batch, _| WORLD.change(&mut random).add_to(batch)).commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_past_stays_within_its_bytes_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { commits: 1000, bytes: 2 << 20, engine: Engine::Redb };
        let retained = retention.run(folder.path(), &mut |_| {}).unwrap();
        assert!(retained.blocks >= 32, "{retained:?}");
    }
}
