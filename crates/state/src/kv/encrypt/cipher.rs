//! Values as ciphertext, and the record that says how a store is encrypted.
//!
//! A value is `nonce [24] ‖ ciphertext ‖ tag [16]`: XChaCha20-Poly1305 with a random nonce, and
//! `table name ‖ 0 ‖ key` as associated data, so that a value does not decrypt in another place.
//!
//! The record stands in clear in `meta` under `encryption`, integers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | 0: the key is given; 1: argon2id makes it from a passphrase |
//! | 0 or 28 | for argon2id: memory in KiB u32, passes u32, lanes u32, salt `[16]` |
//! | 42 or 70 | the bytes above as a value of this record: the check of the key |
//! | 4 | CRC-32 of all above, to tell damage from a wrong key |

use std::path::Path;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use zvm_core::{DbError, hex};

use super::key::{Argon2id, Derivation, Key};
use crate::{
    disk::io_error,
    kv::{KvReader, Table, WriteBatch, folder::corrupt},
};

/// The key of the record in `meta`.
pub(super) const RECORD: &[u8] = b"encryption";

const VERSION: u8 = 1;

const NONCE_BYTES: usize = 24;

/// What a damaged or hostile store may make the program spend on a key.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

/// The cipher of one store. The key is wiped with it.
pub(super) struct Cipher {
    cipher: XChaCha20Poly1305,
    /// The record, which no batch may remove.
    record: Vec<u8>,
}

impl Cipher {
    /// A cipher for a new store at `path`.
    pub(super) fn new(key: &Key, path: &Path) -> Result<Self, DbError> {
        let mut salt = [0; 16];
        random(&mut salt, path)?;
        let derivation = key.new_derivation(salt);
        let mut head = vec![VERSION];
        match derivation {
            Derivation::None => head.push(0),
            Derivation::Argon2id(Argon2id { memory_kib, passes, lanes, salt }) => {
                head.push(1);
                head.extend([memory_kib, passes, lanes].map(u32::to_be_bytes).as_flattened());
                head.extend(salt);
            }
        }
        let mut new = Self::from_key(key, &derivation, path)?;
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce, path)?;
        new.record = [head.clone(), new.seal(Table::Meta, RECORD, &head, nonce)].concat();
        new.record.extend(crc32fast::hash(&new.record).to_be_bytes());
        Ok(new)
    }

    /// The cipher of the store that `reader` reads.
    pub(super) fn unlock(reader: &dyn KvReader, key: &Key) -> Result<Self, DbError> {
        let path = reader.path();
        let Some(record) = reader.get(Table::Meta, RECORD)? else {
            return Err(DbError::NotEncrypted { path: path.to_owned() });
        };
        let damaged = |what: &str| corrupt(path, format!("meta encryption: {what}"));
        let (sealed, checksum) =
            record.split_last_chunk().ok_or_else(|| damaged("less than 4 bytes"))?;
        if crc32fast::hash(sealed).to_be_bytes() != *checksum {
            return Err(damaged("checksum does not match"));
        }
        let (derivation, check) = derivation(sealed).map_err(damaged)?;
        let head = &sealed[..sealed.len() - check.len()];
        let mut cipher = Self::from_key(key, &derivation, path)?;
        match cipher.decrypt(Table::Meta, RECORD, check) {
            Some(found) if found == head => {}
            Some(_) => return Err(damaged("the check is of another record")),
            None => return Err(DbError::WrongKey { path: path.to_owned() }),
        }
        cipher.record = record;
        Ok(cipher)
    }

    fn from_key(key: &Key, derivation: &Derivation, path: &Path) -> Result<Self, DbError> {
        let key =
            key.derive(derivation).ok_or_else(|| DbError::WrongKey { path: path.to_owned() })?;
        Ok(Self { cipher: XChaCha20Poly1305::new((&*key).into()), record: Vec::new() })
    }

    /// `batch` with its values encrypted, for the store at `path`.
    pub(super) fn seal_batch(&self, batch: WriteBatch, path: &Path) -> Result<WriteBatch, DbError> {
        let mut sealed = WriteBatch::new();
        for changes in batch.into_tables() {
            let table = changes.table();
            for (first, end) in changes.ranges() {
                sealed.delete_range(table, first, end);
            }
            // One call of the operating system for all nonces of a table.
            let mut nonces = vec![0; changes.records().len() * NONCE_BYTES];
            random(&mut nonces, path)?;
            let (nonces, _) = nonces.as_chunks();
            for ((key, value), nonce) in changes.records().zip(nonces) {
                match value {
                    Some(value) => sealed.put(table, key, &self.seal(table, key, value, *nonce)),
                    None => sealed.delete(table, key),
                }
            }
            if table == Table::Meta {
                self.put_record(&mut sealed);
            }
        }
        Ok(sealed)
    }

    /// Puts the record, which the deletion of a range may have taken.
    pub(super) fn put_record(&self, batch: &mut WriteBatch) {
        batch.put(Table::Meta, RECORD, &self.record);
    }

    /// The value stored under `key` in the store at `path`.
    pub(super) fn open(
        &self,
        path: &Path,
        table: Table,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, DbError> {
        self.decrypt(table, key, sealed).ok_or_else(|| {
            let what = format!("{} 0x{}: does not decrypt", table.name(), hex::encode(key));
            corrupt(path, what)
        })
    }

    fn seal(&self, table: Table, key: &[u8], value: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let aad = associated_data(table, key);
        let ciphertext = self
            .cipher
            .encrypt(&nonce.into(), Payload { msg: value, aad: &aad })
            .expect("a value is shorter than the 256 GiB that XChaCha20-Poly1305 takes");
        [nonce.as_slice(), &ciphertext].concat()
    }

    fn decrypt(&self, table: Table, key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let aad = associated_data(table, key);
        self.cipher.decrypt(nonce.into(), Payload { msg: ciphertext, aad: &aad }).ok()
    }
}

fn associated_data(table: Table, key: &[u8]) -> Vec<u8> {
    [table.name().as_bytes(), &[0], key].concat()
}

/// The first part of a record, and the check behind it.
fn derivation(record: &[u8]) -> Result<(Derivation, &[u8]), &'static str> {
    let (&[version, kind], rest) = record.split_first_chunk().ok_or("less than 2 bytes")?;
    if version != VERSION {
        return Err("of a version that this program does not know");
    }
    match kind {
        0 => Ok((Derivation::None, rest)),
        1 => {
            let (numbers, rest) = rest.split_first_chunk::<12>().ok_or("no parameters")?;
            let (salt, check) = rest.split_first_chunk().ok_or("no salt")?;
            let [memory_kib, passes, lanes] = numbers.as_chunks().0 else {
                return Err("no parameters");
            };
            let [memory_kib, passes, lanes] =
                [memory_kib, passes, lanes].map(|number| u32::from_be_bytes(*number));
            if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
                return Err("parameters of argon2id beyond all measure");
            }
            Ok((Derivation::Argon2id(Argon2id { memory_kib, passes, lanes, salt: *salt }), check))
        }
        _ => Err("a kind of key that this program does not know"),
    }
}

fn random(bytes: &mut [u8], path: &Path) -> Result<(), DbError> {
    getrandom::fill(bytes).map_err(|error| io_error("get random numbers for", path)(error.into()))
}
