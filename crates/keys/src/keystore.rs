//! Files that keep a secret under a password: Web3 secret storage (version 3) and EIP-2335
//! (version 4).

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;
use zvm_core::{hex, keccak256};

use crate::kdf::Kdf;

/// A keystore as it was read, with its secret still under the password.
#[derive(Debug)]
pub struct Keystore {
    format: Format,
    kdf: Kdf,
    /// Initial counter of AES-128 in counter mode.
    iv: [u8; 16],
    ciphertext: Vec<u8>,
    /// What tells the right password.
    check: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Web3,
    Eip2335,
}

/// Why a keystore does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not the JSON of a keystore.
    #[error("not a keystore: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version than 3 and 4.
    #[error("keystore version {found}, expected 3 (Web3 secret storage) or 4 (EIP-2335)")]
    Version {
        /// The version.
        found: u64,
    },
    /// A function or parameter that is not supported, or that costs too much.
    #[error("keystore: {field} is {found}, which is not supported")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What it has.
        found: String,
    },
    /// A field that is not hex digits, or not as many as it should be.
    #[error("keystore: {field} is no hex string of the right length")]
    Hex {
        /// The field.
        field: &'static str,
    },
    /// The password is not the one the keystore was made with, or the file is damaged.
    #[error("wrong password, or a damaged keystore")]
    WrongPassword,
    /// The secret has another length than a key.
    #[error("the secret has {bytes} bytes, expected a key of 32")]
    SecretLength {
        /// Its length.
        bytes: usize,
    },
}

impl KeystoreError {
    pub(crate) fn unsupported(field: &'static str, found: &str) -> Self {
        Self::Unsupported { field, found: found.to_owned() }
    }

    /// Bytes of a field of hex digits.
    pub(crate) fn hex(field: &'static str, text: &str) -> Result<Vec<u8>, Self> {
        hex::decode(text).map_err(|_| Self::Hex { field })
    }
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// Web3 secret storage, version 3. Geth once wrote `Crypto`.
#[derive(Deserialize)]
struct Web3 {
    #[serde(alias = "Crypto")]
    crypto: Web3Crypto,
}

#[derive(Deserialize)]
struct Web3Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: Value,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// EIP-2335.
#[derive(Deserialize)]
struct Eip2335 {
    crypto: Eip2335Crypto,
}

#[derive(Deserialize)]
struct Eip2335Crypto {
    kdf: Module,
    checksum: Module,
    cipher: Module,
}

#[derive(Deserialize)]
struct Module {
    function: String,
    params: Value,
    message: String,
}

impl Keystore {
    /// Reads a keystore. The secret stays as it is until [`decrypt`](Self::decrypt).
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let Version { version } = serde_json::from_str(text)?;
        match version {
            3 => {
                let Web3 { crypto } = serde_json::from_str(text)?;
                Ok(Self {
                    format: Format::Web3,
                    kdf: Kdf::parse(&crypto.kdf, crypto.kdfparams)?,
                    iv: counter(&crypto.cipher, &crypto.cipherparams.iv)?,
                    ciphertext: KeystoreError::hex("ciphertext", &crypto.ciphertext)?,
                    check: KeystoreError::hex("mac", &crypto.mac)?,
                })
            }
            4 => {
                let Eip2335 { crypto: Eip2335Crypto { kdf, checksum, cipher } } =
                    serde_json::from_str(text)?;
                if checksum.function != "sha256" {
                    return Err(KeystoreError::unsupported("checksum", &checksum.function));
                }
                let CipherParams { iv } = serde_json::from_value(cipher.params)?;
                Ok(Self {
                    format: Format::Eip2335,
                    kdf: Kdf::parse(&kdf.function, kdf.params)?,
                    iv: counter(&cipher.function, &iv)?,
                    ciphertext: KeystoreError::hex("cipher", &cipher.message)?,
                    check: KeystoreError::hex("checksum", &checksum.message)?,
                })
            }
            found => Err(KeystoreError::Version { found }),
        }
    }

    /// The secret, if `password` is the right one. Takes about a second, as it should.
    pub fn decrypt(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let found = self.ciphertext.len();
        if found != 32 {
            return Err(KeystoreError::SecretLength { bytes: found });
        }
        let password = match self.format {
            Format::Web3 => Zeroizing::new(password.to_owned()),
            Format::Eip2335 => normalised(password),
        };
        let key = self.kdf.derive(password.as_bytes())?;
        let (cipher_key, check_key) = key.split_at(16);
        let checked = [check_key, &self.ciphertext].concat();
        let check = match self.format {
            Format::Web3 => keccak256(&checked).to_vec(),
            Format::Eip2335 => Sha256::digest(&checked).to_vec(),
        };
        if check != self.check {
            return Err(KeystoreError::WrongPassword);
        }
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&self.ciphertext);
        let mut cipher = Ctr128BE::<Aes128>::new_from_slices(cipher_key, &self.iv)
            .expect("16 bytes are a key and 16 a counter");
        cipher.apply_keystream(&mut secret[..]);
        Ok(secret)
    }
}

/// The counter that AES-128 starts from. Some have left out its leading zeros.
fn counter(cipher: &str, iv: &str) -> Result<[u8; 16], KeystoreError> {
    if cipher != "aes-128-ctr" {
        return Err(KeystoreError::unsupported("cipher", cipher));
    }
    let error = KeystoreError::Hex { field: "iv" };
    let digits = format!("{:0>32}", iv.strip_prefix("0x").unwrap_or(iv));
    let mut counter = [0; 16];
    match hex::decode_to_slice(digits, &mut counter) {
        Ok(()) => Ok(counter),
        Err(_) => Err(error),
    }
}

/// A password as EIP-2335 has it: in the form NFKD, without control characters.
fn normalised(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfkd().filter(|character| !character.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
    const SECRET: [u8; 32] =
        hex!("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");

    /// The test vectors of EIP-2335.
    fn vectors() -> [String; 2] {
        let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
        let scrypt = format!(
            r#"{{"function": "scrypt", "message": "",
                "params": {{"dklen": 32, "n": 262144, "p": 1, "r": 8, "salt": "{salt}"}}}}"#
        );
        let pbkdf2 = format!(
            r#"{{"function": "pbkdf2", "message": "",
                "params": {{"dklen": 32, "c": 262144, "prf": "hmac-sha256", "salt": "{salt}"}}}}"#
        );
        let keystore = |kdf: String, checksum: &str, message: &str| {
            format!(
                r#"{{"version": 4, "crypto": {{"kdf": {kdf},
                "checksum": {{"function": "sha256", "params": {{}}, "message": "{checksum}"}},
                "cipher": {{"function": "aes-128-ctr", "message": "{message}",
                    "params": {{"iv": "264daa3f303d7259501c93d997d84fe6"}}}}}}}}"#
            )
        };
        [
            keystore(
                scrypt,
                "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
                "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
            ),
            keystore(
                pbkdf2,
                "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
                "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
            ),
        ]
    }

    #[test]
    fn the_vectors_of_eip_2335_open() {
        for text in vectors() {
            let keystore = Keystore::parse(&text).unwrap();
            assert_eq!(*keystore.decrypt(PASSWORD).unwrap(), SECRET);
            assert!(matches!(keystore.decrypt("other"), Err(KeystoreError::WrongPassword)));
        }
    }

    #[test]
    fn control_characters_do_not_count_since_eip_2335() {
        assert_eq!(*normalised("\u{7}test\u{7f}pass\u{85}word🔑"), *normalised(PASSWORD));
    }

    #[test]
    fn a_damaged_keystore_names_the_field() {
        let [text, _] = vectors();
        for (from, to, expected) in [
            ("\"version\": 4", "\"version\": 5", "version 5, expected 3"),
            ("aes-128-ctr", "aes-256", "cipher is aes-256"),
            ("\"sha256\"", "\"md5\"", "checksum is md5"),
            ("\"scrypt\"", "\"argon2\"", "kdf is argon2"),
            ("264daa3f", "264daa3x", "iv is no hex string"),
            ("\"checksum\"", "\"check\"", "missing field `checksum`"),
        ] {
            let damaged = text.replacen(from, to, 1);
            let error = Keystore::parse(&damaged).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let short = text.replace("06ae90d55fe0", "06ae90");
        let error = Keystore::parse(&short).unwrap().decrypt(PASSWORD).unwrap_err();
        assert!(matches!(error, KeystoreError::SecretLength { bytes: 29 }));
    }
}
