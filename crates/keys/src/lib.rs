//! Private keys from where people keep them: hex digits, files of hex digits, and keystores.
//!
//! ```
//! let key = zvm_keys::from_hex("0x4646464646464646464646464646464646464646464646464646464646464646")?;
//! assert_eq!(key.address().to_string(), "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
//! # Ok::<(), zvm_keys::KeyError>(())
//! ```
//!
//! A [`Keystore`] is what wallets write: the Web3 secret storage (version 3), and EIP-2335
//! (version 4). Whatever holds a secret here is overwritten with zeros when it goes, and no error
//! shows one.
//!
//! Not here: making keys or keystores, and signing, which is in `zvm-core`.

mod kdf;
mod keystore;

pub use kdf::{KDF_MEMORY_MAX, KDF_ROUNDS_MAX};
pub use keystore::{Keystore, KeystoreError};

use std::{fs, io, path::Path};

use zeroize::Zeroizing;
use zvm_core::{InvalidKey, SigningKey, hex};

/// Most bytes of a file with a key. Keystores have below one thousand.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key file")]
    Read(#[source] io::Error),
    /// The file is longer than any with a key.
    #[error("the key file has {bytes} bytes, at most {FILE_BYTES_MAX} are read")]
    TooLarge {
        /// Its length.
        bytes: u64,
    },
    /// Not 64 hex digits. They are not shown.
    #[error("not a key: expected 64 hex digits, with or without 0x")]
    NotHex,
    /// A keystore that needs a password.
    #[error("a keystore, which needs a password")]
    NoPassword,
    /// A keystore that does not open.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A number that is no key.
    #[error(transparent)]
    Invalid(#[from] InvalidKey),
}

/// The key that 64 hex digits are, with or without `0x`, between any white space.
pub fn from_hex(text: &str) -> Result<SigningKey, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut secret[..]).map_err(|_| KeyError::NotHex)?;
    Ok(SigningKey::new(&secret)?)
}

/// The key in a file of hex digits or in a keystore.
///
/// `password` is asked only if the file is a keystore.
pub fn from_file(
    path: &Path,
    password: impl FnOnce() -> Option<Zeroizing<String>>,
) -> Result<SigningKey, KeyError> {
    let bytes = fs::metadata(path).map_err(KeyError::Read)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(KeyError::TooLarge { bytes });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(KeyError::Read)?);
    if !text.trim_start().starts_with('{') {
        return from_hex(&text);
    }
    let keystore = Keystore::parse(&text)?;
    let password = password().ok_or(KeyError::NoPassword)?;
    let secret = keystore.decrypt(&password)?;
    Ok(SigningKey::new(&secret)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_with_and_without_prefix_are_a_key() {
        let digits = "46".repeat(32);
        let plain = from_hex(&digits).unwrap();
        let prefixed = from_hex(&format!(" 0x{digits}\n")).unwrap();
        assert_eq!(plain.address(), prefixed.address());
    }

    #[test]
    fn what_is_no_key_is_not_shown() {
        for text in ["", "0x", "4646", &"46".repeat(33), &"4g".repeat(32), &"00".repeat(32)] {
            let error = from_hex(text).unwrap_err().to_string();
            assert!(text.len() < 3 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_file_is_hex_or_a_keystore() {
        let folder = std::env::temp_dir().join(format!("zvm-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        fs::write(&path, format!("{}\n", "46".repeat(32))).unwrap();
        assert!(from_file(&path, || panic!("needs no password")).is_ok());
        fs::write(&path, "{}").unwrap();
        assert!(matches!(from_file(&path, || None), Err(KeyError::Keystore(_))));
        assert!(matches!(from_file(&folder.join("none"), || None), Err(KeyError::Read(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
