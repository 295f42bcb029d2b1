//! A disk in memory that loses what was not synced, for crash tests.
//!
//! ```
//! use zvm_state::kv::{Durability, KvReader, KvStore, Options, Table, WriteBatch};
//! use zvm_state::kv::sim::{Crash, SimDisk};
//!
//! let disk = SimDisk::default();
//! let mut store = disk.open("store".as_ref(), Options::default())?;
//! for (key, durability) in [(b"a", Durability::Synced), (b"b", Durability::Buffered)] {
//!     let mut batch = WriteBatch::new();
//!     batch.put(Table::Meta, key, b"1");
//!     store.write(batch, durability)?;
//! }
//! // The power fails when half of the second batch is on the disk.
//! let disk = disk.after(Crash::Cut { kept: disk.unsynced_bytes() / 2 });
//! let store = disk.open("store".as_ref(), Options::default())?;
//! assert!(store.get(Table::Meta, b"a")?.is_some());
//! assert!(store.get(Table::Meta, b"b")?.is_none());
//! # Ok::<(), zvm_core::DbError>(())
//! ```

mod log;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zvm_core::DbError;

use super::{
    Access, Durability, Entries, KvReader, KvStats, KvStore, KvView, MemoryTables, Options, Order,
    Table, TableStats, WriteBatch, compliance::Random, encrypt, parts,
};
use crate::disk::io_error;

/// Bytes that reach a disk together.
const SECTOR: usize = 512;

/// A disk with stores under paths. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    stores: BTreeMap<PathBuf, Image>,
    /// Writes that will still succeed; `None` for any number.
    writes_left: Option<u64>,
}

/// A store as its log: records one after another.
#[derive(Clone, Debug, Default)]
struct Image {
    log: Vec<u8>,
    /// How much of the log survives any crash.
    synced: usize,
    is_open: bool,
}

/// What of the unsynced end of each log is on the disk after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The first `kept` bytes of it.
    Cut {
        /// At most that many bytes.
        kept: usize,
    },
    /// Each sector of 512 bytes or, as if never written, zeros; at random.
    Tear {
        /// The same seed tears the same sectors.
        seed: u64,
    },
}

impl SimDisk {
    /// Opens the store at `path`, as [`kv::open`](super::open) does in a folder.
    ///
    /// A log with a torn end is cut behind its last whole record: what is found is the batches up
    /// to some point, all synced ones among them.
    pub fn open(&self, path: &Path, options: Options<'_>) -> Result<Box<dyn KvStore>, DbError> {
        encrypt::open(options, path, |options| self.open_raw(path, options))
    }

    /// Opens the store at `path` without a key.
    pub(crate) fn open_raw(&self, path: &Path, options: Options<'_>) -> Result<MemKv, DbError> {
        let Options { access, initial, vet, .. } = options;
        let mut disk = self.lock();
        let image = match disk.stores.entry(path.to_owned()) {
            Entry::Occupied(image) => image.into_mut(),
            Entry::Vacant(image) if access == Access::Create => {
                image.insert(Image::new(initial()?))
            }
            Entry::Vacant(_) => return Err(io_error("open", path)(io::ErrorKind::NotFound.into())),
        };
        if image.is_open {
            return Err(DbError::Locked { path: path.to_owned() });
        }
        image.is_open = true;
        let (tables, whole) = log::replay(&image.log);
        drop(disk);
        // From here on the store is closed again if it is refused.
        let handle = Arc::new(Handle { disk: self.clone(), path: path.to_owned() });
        let store = MemKv { tables: Arc::new(tables), handle, access };
        vet(&store)?;
        if access != Access::Read {
            self.image(path, |image| {
                image.log.truncate(whole);
                image.synced = image.synced.min(whole);
            });
        }
        Ok(store)
    }

    /// The disk as it would be after a crash at this moment. This one stays as it is.
    pub fn after(&self, crash: Crash) -> Self {
        let mut stores = self.lock().stores.clone();
        for image in stores.values_mut() {
            image.is_open = false;
            match crash {
                Crash::Cut { kept } => image.log.truncate(image.synced.saturating_add(kept)),
                Crash::Tear { seed } => {
                    let mut random = Random::new(seed);
                    for sector in image.log[image.synced..].chunks_mut(SECTOR) {
                        if random.below(2) == 0 {
                            sector.fill(0);
                        }
                    }
                }
            }
            // What is left was read back, so it is on the disk.
            image.synced = image.log.len();
        }
        Self(Arc::new(Mutex::new(Disk { stores, writes_left: None })))
    }

    /// Bytes at the end of the longest unsynced log.
    pub fn unsynced_bytes(&self) -> usize {
        let disk = self.lock();
        disk.stores.values().map(|image| image.log.len() - image.synced).max().unwrap_or(0)
    }

    /// From now on `count` writes succeed and all after them find the disk full; with `None`, none
    /// does.
    pub fn fill_up_after(&self, count: Option<u64>) {
        self.lock().writes_left = count;
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // A panic of a test that holds the lock leaves nothing half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn image<T: Default>(&self, path: &Path, work: impl FnOnce(&mut Image) -> T) -> T {
        self.lock().stores.get_mut(path).map(work).unwrap_or_default()
    }

    /// Counts a write to `path`, which fails if the disk is full.
    fn admit(&self, path: &Path) -> Result<(), DbError> {
        match &mut self.lock().writes_left {
            Some(0) => Err(io_error("write", path)(io::ErrorKind::StorageFull.into())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Image {
    fn new(content: WriteBatch) -> Self {
        let mut log = Vec::new();
        log::push(&mut log, content);
        Self { synced: log.len(), log, is_open: false }
    }
}

/// A store on a [`SimDisk`] as of one batch. A clone is a view.
#[derive(Clone, Debug)]
pub(crate) struct MemKv {
    /// Shared with the views of the same batch.
    tables: Arc<MemoryTables>,
    handle: Arc<Handle>,
    access: Access,
}

/// Keeps a store open.
#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk.image(&self.path, |image| image.is_open = false);
    }
}

impl KvReader for MemKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        self.tables.get(table, key)
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        self.tables.iter(table, prefix, from, order)
    }

    fn path(&self) -> &Path {
        &self.handle.path
    }
}

impl KvView for MemKv {
    fn checkpoint(&self, folder: &Path) -> Result<(), DbError> {
        let disk = &self.handle.disk;
        disk.admit(folder)?;
        let mut image = Image::default();
        for part in parts(self) {
            log::push(&mut image.log, part?);
        }
        image.synced = image.log.len();
        match disk.lock().stores.entry(folder.to_owned()) {
            Entry::Vacant(place) => place.insert(image),
            Entry::Occupied(_) => {
                return Err(io_error("copy a store to where files are", folder)(
                    io::ErrorKind::DirectoryNotEmpty.into(),
                ));
            }
        };
        Ok(())
    }
}

impl KvStore for MemKv {
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), DbError> {
        let Handle { disk, path } = &*self.handle;
        if self.access == Access::Read {
            return Err(DbError::ReadOnly { path: path.clone() });
        }
        disk.admit(path)?;
        let mut record = Vec::new();
        log::push(&mut record, batch);
        log::apply(&record, Arc::make_mut(&mut self.tables));
        disk.image(path, |image| {
            image.log.extend_from_slice(&record);
            if durability == Durability::Synced {
                image.synced = image.log.len();
            }
        });
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn KvView>, DbError> {
        Ok(Box::new(self.clone()))
    }

    fn stats(&self) -> Result<KvStats, DbError> {
        let Handle { disk, path } = &*self.handle;
        let size = |table| -> Result<TableStats, DbError> {
            let (mut entries, mut bytes) = (0, 0);
            for entry in self.iter(table, &[], None, Order::Forward)? {
                let (key, value) = entry?;
                entries += 1;
                bytes += (key.len() + value.len()) as u64;
            }
            Ok(TableStats { table, entries, bytes })
        };
        let tables = Table::ALL.into_iter().map(size).collect::<Result<_, _>>()?;
        let disk_bytes = disk.image(path, |image| image.log.len() as u64);
        Ok(KvStats { disk_bytes, tables })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::compliance::{Model, check_store};

    const STORE: &str = "store";

    fn open(disk: &SimDisk) -> Box<dyn KvStore> {
        disk.open(STORE.as_ref(), Options::default()).unwrap()
    }

    #[test]
    fn the_simulated_disk_keeps_the_promises_of_an_engine() {
        let disk = SimDisk::default();
        check_store("home".as_ref(), &|path| disk.open(path, Options::default()));
    }

    /// Batches from `seed`, and what the store held after each; how many of them were synced last.
    fn history(seed: u64, batches: usize) -> (SimDisk, Vec<Model>, usize) {
        let disk = SimDisk::default();
        let mut store = open(&disk);
        let mut random = Random::new(seed);
        let mut models = vec![Model::default()];
        let mut synced = 0;
        for number in 1..=batches {
            let mut model = models[number - 1].clone();
            let batch = random.batch(&mut model);
            models.push(model);
            if random.below(4) == 0 {
                synced = number;
                store.write(batch, Durability::Synced).unwrap();
            } else {
                store.write(batch, Durability::Buffered).unwrap();
            }
        }
        (disk, models, synced)
    }

    fn check_crash(seed: u64, crash: Crash) {
        let (disk, models, synced) = history(seed, 12);
        let found = Model::of(&*open(&disk.after(crash)));
        let found = models.iter().rposition(|model| *model == found);
        assert!(found.is_some_and(|at| at >= synced), "seed {seed}, {crash:?}: {found:?}");
    }

    #[test]
    fn a_crash_leaves_a_prefix_with_every_synced_batch() {
        for seed in 0..20 {
            let (disk, ..) = history(seed, 12);
            (0..=disk.unsynced_bytes()).for_each(|kept| check_crash(seed, Crash::Cut { kept }));
            (0..8).for_each(|tear| check_crash(seed, Crash::Tear { seed: tear }));
        }
    }

    #[test]
    fn writing_goes_on_behind_a_torn_end() {
        let (disk, ..) = history(3, 12);
        let disk = disk.after(Crash::Cut { kept: disk.unsynced_bytes() - 1 });
        let mut store = open(&disk);
        let mut batch = WriteBatch::new();
        batch.put(Table::Code, b"new", b"value");
        store.write(batch, Durability::Synced).unwrap();
        drop(store);
        let store = open(&disk.after(Crash::Cut { kept: 0 }));
        assert_eq!(store.get(Table::Code, b"new").unwrap(), Some(b"value".to_vec()));
    }

    #[test]
    fn a_full_disk_fails_the_write_and_changes_nothing() {
        let disk = SimDisk::default();
        let mut store = open(&disk);
        disk.fill_up_after(Some(2));
        for key in 0..4_u8 {
            let mut batch = WriteBatch::new();
            batch.put(Table::Meta, &[key], &[key]);
            let answer = store.write(batch, Durability::Synced);
            match answer {
                Ok(()) => assert!(key < 2),
                Err(DbError::Io { source, .. }) => {
                    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                    assert!(key >= 2);
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(store.get(Table::Meta, &[key]).unwrap().is_some(), key < 2);
        }
        disk.fill_up_after(None);
        store.write(WriteBatch::new(), Durability::Synced).unwrap();
    }
}
