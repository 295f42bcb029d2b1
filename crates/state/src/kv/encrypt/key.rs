//! What unlocks an encrypted store.

use std::{fmt, fs::File, io::Read, path::Path};

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;
use zvm_core::{DbError, hex};

use crate::disk::io_error;

/// The key of an encrypted store, or the passphrase it is made from. Wiped from memory when
/// dropped, and never printed.
#[derive(Clone)]
pub struct Key(Secret);

#[derive(Clone)]
enum Secret {
    Bytes(Zeroizing<[u8; 32]>),
    Passphrase(Zeroizing<String>),
}

/// More than a key file of hex digits has.
const KEY_FILE_BYTES_MAX: u64 = 128;

impl Key {
    /// A key of 32 bytes, which should be random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::Bytes(Zeroizing::new(bytes)))
    }

    /// The key in a file: 32 bytes, or 64 hex digits with white space around them.
    pub fn from_file(path: &Path) -> Result<Self, DbError> {
        let mut content = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize));
        File::open(path)
            .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut content))
            .map_err(io_error("read the key file", path))?;
        let mut key = Zeroizing::new([0; 32]);
        if content.len() == key.len() {
            key.copy_from_slice(&content);
        } else {
            hex::decode_to_slice(content.trim_ascii(), &mut *key).map_err(|_| DbError::Config {
                config: path.display().to_string(),
                what: "not a key file, which has 32 bytes or 64 hex digits".to_owned(),
            })?;
        }
        Ok(Self(Secret::Bytes(key)))
    }

    /// A key made from a passphrase through argon2id, which takes a fraction of a second.
    pub fn from_passphrase(passphrase: impl Into<String>) -> Self {
        Self(Secret::Passphrase(Zeroizing::new(passphrase.into())))
    }

    /// The way this key becomes 32 bytes in a new store.
    pub(super) fn new_derivation(&self, salt: [u8; 16]) -> Derivation {
        match self.0 {
            Secret::Bytes(_) => Derivation::None,
            Secret::Passphrase(_) => {
                Derivation::Argon2id(Argon2id { memory_kib: 64 << 10, passes: 3, lanes: 4, salt })
            }
        }
    }

    /// The 32 bytes; `None` if the store wants a key file and this is a passphrase or the reverse,
    /// or if argon2 refuses the parameters.
    pub(super) fn derive(&self, derivation: &Derivation) -> Option<Zeroizing<[u8; 32]>> {
        match (&self.0, derivation) {
            (Secret::Bytes(bytes), Derivation::None) => Some(bytes.clone()),
            (Secret::Passphrase(passphrase), Derivation::Argon2id(argon2id)) => {
                let Argon2id { memory_kib, passes, lanes, salt } = *argon2id;
                let params = Params::new(memory_kib, passes, lanes, Some(32)).ok()?;
                let mut key = Zeroizing::new([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.as_bytes(), &salt, &mut *key)
                    .ok()?;
                Some(key)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Secret::Bytes(_) => "Key(bytes)",
            Secret::Passphrase(_) => "Key(passphrase)",
        })
    }
}

/// How a secret becomes a key of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derivation {
    /// It is one.
    None,
    Argon2id(Argon2id),
}

/// The second recommendation of RFC 9106, section 4, unless a store says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Argon2id {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    pub(super) salt: [u8; 16],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_hold_bytes_or_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8);
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            Key::from_file(&path).map(|key| *key.derive(&Derivation::None).unwrap())
        };
        assert_eq!(read(&bytes).unwrap(), bytes);
        assert_eq!(read(hex::encode(bytes).as_bytes()).unwrap(), bytes);
        assert_eq!(
            read(format!("{}\n", hex::encode(bytes).to_uppercase()).as_bytes()).unwrap(),
            bytes
        );
        for wrong in [&b""[..], b"short", &[b'a'; 63], &[b'g'; 64], &[b'a'; 5000]] {
            let error = read(wrong).unwrap_err();
            assert!(matches!(error, DbError::Config { .. }), "{error:?}");
        }
        let absent = Key::from_file(&folder.path().join("absent"));
        assert!(matches!(absent, Err(DbError::Io { .. })));
    }

    #[test]
    fn keys_are_not_printed() {
        let text =
            format!("{:?} {:?}", Key::from_passphrase("tell nobody"), Key::from_bytes([7; 32]));
        assert_eq!(text, "Key(passphrase) Key(bytes)");
    }
}
