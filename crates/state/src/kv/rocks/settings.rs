//! How RocksDB is set up.

use std::{collections::BTreeSet, path::Path};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, InfoLogger, LogLevel,
    Options,
};
use zvm_core::DbError;

use super::error::open_fault;
use crate::kv::Table;

/// The family that every RocksDB has; it stays empty.
const DEFAULT: &str = "default";

/// Bytes of tables not yet in files, however small the cache: fewer make many small files.
const WRITE_BUFFER_BYTES_MIN: usize = 16 << 20;

/// Options of the store and of each table.
pub(super) struct Settings {
    options: Options,
    cache: Cache,
}

impl Settings {
    /// Settings that use about `cache_bytes` of memory: three quarters for blocks read, with their
    /// indices and filters, and a quarter for what is not yet in files.
    pub(super) fn new(cache_bytes: usize) -> Self {
        let cache = Cache::new_lru_cache(cache_bytes / 4 * 3);
        let mut options = Options::default();
        options.set_db_write_buffer_size((cache_bytes / 4).max(WRITE_BUFFER_BYTES_MIN));
        // Bounds both the disk and the time that opening after a crash takes.
        options.set_max_total_wal_size(256 << 20);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(1 << 20);
        // Many systems allow a process 1024 files.
        options.set_max_open_files(512);
        // RocksDB would keep a diary in the folder, even in one opened to be read.
        options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| ()));
        Self { options, cache }
    }

    /// Makes a store with every table at `path`, where nothing is.
    pub(super) fn create(mut self, path: &Path) -> Result<DB, DbError> {
        self.options.create_if_missing(true);
        self.options.set_error_if_exists(true);
        self.open(path)
    }

    /// Opens the store at `path`; a table that it lacks is made.
    pub(super) fn open(mut self, path: &Path) -> Result<DB, DbError> {
        self.options.create_missing_column_families(true);
        let tables = Table::ALL.map(|table| self.family(table));
        DB::open_cf_descriptors(&self.options, path, tables).map_err(open_fault(path))
    }

    /// Opens the store at `path` without changing a file.
    pub(super) fn open_read_only(&self, path: &Path) -> Result<DB, DbError> {
        let found = DB::list_cf(&self.options, path).map_err(open_fault(path))?;
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let tables: Vec<_> = Table::ALL
            .into_iter()
            .filter(|table| found.contains(table.name()))
            .map(|table| self.family(table))
            .chain([ColumnFamilyDescriptor::new(DEFAULT, Options::default())])
            .collect();
        DB::open_cf_descriptors_read_only(&self.options, path, tables, false)
            .map_err(open_fault(path))
    }

    fn family(&self, table: Table) -> ColumnFamilyDescriptor {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        // Within the bound of the cache, where they would grow with the store.
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        if is_read_by_key(table) {
            blocks.set_bloom_filter(10.0, false);
            blocks.set_optimize_filters_for_memory(true);
        }
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(match is_compressible(table) {
            true => DBCompressionType::Lz4,
            false => DBCompressionType::None,
        });
        ColumnFamilyDescriptor::new(table.name(), options)
    }
}

/// Whether single keys are looked up, of which many are absent. The other tables are walked.
fn is_read_by_key(table: Table) -> bool {
    !matches!(
        table,
        Table::Changes
            | Table::History
            | Table::EventIndex
            | Table::AddressIndex
            | Table::StepDiffs
    )
}

/// Whether values are more than hashes.
fn is_compressible(table: Table) -> bool {
    !matches!(
        table,
        Table::TrieAccounts
            | Table::TrieStorage
            | Table::BlockHashes
            | Table::BlockNumbers
            | Table::Canonical
            | Table::Transactions
            | Table::TreeHeads
            | Table::LogHashes
    )
}
