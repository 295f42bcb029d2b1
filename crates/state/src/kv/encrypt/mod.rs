//! Encryption at rest, between the layout and any engine.
//!
//! Values are encrypted one by one, each with its table and key as associated data, so a value that
//! was altered or moved is [`DbError::Corrupt`]. Keys stay in clear, because their order is what the
//! layout is built on: whoever has the disk sees hashes of addresses and slots, block numbers, and
//! how large values are. Nor is it noticed if a value, or all of the store, is put back to what it
//! was at an earlier time.

mod cipher;
mod key;

use std::{cell::OnceCell, ops::Deref, path::Path, sync::Arc};

use zvm_core::DbError;

use super::{
    Durability, Entries, KvReader, KvStats, KvStore, KvView, Options, Order, Table, WriteBatch,
};
use cipher::{Cipher, RECORD};
pub use key::Key;

/// Opens the store at `path` through `open`, decrypting it if `options` have a key.
pub(super) fn open<S: KvStore + 'static>(
    options: Options<'_>,
    path: &Path,
    open: impl FnOnce(Options<'_>) -> Result<S, DbError>,
) -> Result<Box<dyn KvStore>, DbError> {
    let Options { access, cache_bytes, initial, vet, key } = options;
    let Some(key) = key else {
        let vet = &|reader: &dyn KvReader| match reader.get(Table::Meta, RECORD)? {
            Some(_) => Err(DbError::Encrypted { path: reader.path().to_owned() }),
            None => vet(reader),
        };
        return Ok(Box::new(open(Options { access, cache_bytes, initial, vet, key: None })?));
    };
    let initial = &|| {
        let cipher = Cipher::new(key, path)?;
        let mut sealed = cipher.seal_batch(initial()?, path)?;
        cipher.put_record(&mut sealed);
        Ok(sealed)
    };
    let unlocked = OnceCell::new();
    let vet = &|reader: &dyn KvReader| {
        let cipher = Arc::new(Cipher::unlock(reader, key)?);
        let cipher = unlocked.get_or_init(|| cipher).clone();
        vet(&Encrypted { inner: reader, cipher })
    };
    let inner = Box::new(open(Options { access, cache_bytes, initial, vet, key: None })?);
    let cipher = match unlocked.into_inner() {
        Some(cipher) => cipher,
        None => Arc::new(Cipher::unlock(&*inner, key)?),
    };
    Ok(Box::new(Encrypted { inner, cipher }))
}

/// A store, or a view of one, whose values are decrypted when they are read. `P` points to it.
struct Encrypted<P> {
    inner: P,
    cipher: Arc<Cipher>,
}

impl<P: Deref<Target: KvReader>> Encrypted<P> {
    fn open(&self, table: Table, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DbError> {
        self.cipher.open(self.inner.path(), table, key, sealed)
    }
}

/// Whether this is the record that says how the store is encrypted, which layers above do not see.
fn is_record(table: Table, key: &[u8]) -> bool {
    table == Table::Meta && key == RECORD
}

impl<P: Deref<Target: KvReader> + Send + Sync> KvReader for Encrypted<P> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        if is_record(table, key) {
            return Ok(None);
        }
        let sealed = self.inner.get(table, key)?;
        sealed.map(|sealed| self.open(table, key, &sealed)).transpose()
    }

    fn multi_get(&self, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, DbError> {
        let sealed = self.inner.multi_get(table, keys)?;
        keys.iter()
            .zip(sealed)
            .map(|(key, sealed)| match sealed {
                Some(sealed) if !is_record(table, key) => self.open(table, key, &sealed).map(Some),
                _ => Ok(None),
            })
            .collect()
    }

    fn iter(
        &self,
        table: Table,
        prefix: &[u8],
        from: Option<&[u8]>,
        order: Order,
    ) -> Result<Entries<'_>, DbError> {
        let mut sealed = self.inner.iter(table, prefix, from, order)?;
        let mut is_over = false;
        Ok(Box::new(std::iter::from_fn(move || {
            let entry = loop {
                match sealed.next().filter(|_| !is_over)? {
                    Ok((key, _)) if is_record(table, &key) => {}
                    entry => break entry,
                }
            };
            let entry = entry.and_then(|(key, sealed)| {
                let value = self.open(table, &key, &sealed)?;
                Ok((key, value))
            });
            is_over = entry.is_err();
            Some(entry)
        })))
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}

impl KvView for Encrypted<Box<dyn KvView>> {
    /// The copy is encrypted with the same key.
    fn checkpoint(&self, folder: &Path) -> Result<(), DbError> {
        self.inner.checkpoint(folder)
    }
}

impl<S: KvStore> KvStore for Encrypted<Box<S>> {
    fn write(&mut self, batch: WriteBatch, durability: Durability) -> Result<(), DbError> {
        let sealed = self.cipher.seal_batch(batch, self.inner.path())?;
        self.inner.write(sealed, durability)
    }

    fn view(&self) -> Result<Box<dyn KvView>, DbError> {
        Ok(Box::new(Encrypted { inner: self.inner.view()?, cipher: self.cipher.clone() }))
    }

    fn stats(&self) -> Result<KvStats, DbError> {
        self.inner.stats()
    }
}

#[cfg(test)]
mod tests;
