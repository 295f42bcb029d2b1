//! Signatures on secp256k1 (Yellow Paper, appendix F), over k256 or, with the feature `fast`,
//! libsecp256k1.

use std::fmt;

use alloy_primitives::{Address, B256, U256, keccak256, uint};
use serde::{Deserialize, Serialize};

/// Half the order of the curve, rounded down: the largest `s` of a transaction (EIP-2).
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

/// A signature from which the signer can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// Whether the y of the point whose x is `r` is odd.
    pub y_parity: bool,
    /// First half.
    pub r: U256,
    /// Second half.
    pub s: U256,
}

impl Signature {
    /// Whether `s` is in the lower half, as transactions need from Homestead on (EIP-2). Each
    /// signature has a twin in the other half.
    #[must_use]
    pub fn has_low_s(&self) -> bool {
        self.s <= HALF_ORDER
    }

    /// The address whose key signed `hash`, or `None` where no key could have.
    #[must_use]
    pub fn recover(&self, hash: B256) -> Option<Address> {
        let mut halves = [0; 64];
        halves[..32].copy_from_slice(&self.r.to_be_bytes::<32>());
        halves[32..].copy_from_slice(&self.s.to_be_bytes::<32>());
        public_key(&hash, &halves, self.y_parity).map(address_of)
    }
}

/// The last 20 bytes of keccak-256 of a public key.
fn address_of(public_key: [u8; 64]) -> Address {
    Address::from_word(keccak256(public_key))
}

/// The public key that signed `hash`, as x and y; `signature` is r and s.
#[cfg(not(feature = "fast"))]
fn public_key(hash: &B256, signature: &[u8; 64], y_parity: bool) -> Option<[u8; 64]> {
    use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

    let signature = Signature::from_slice(signature).ok()?;
    let id = RecoveryId::new(y_parity, false);
    let key = VerifyingKey::recover_from_prehash(hash.as_slice(), &signature, id).ok()?;
    coordinates(&key)
}

/// The public key that signed `hash`, as x and y; `signature` is r and s.
#[cfg(feature = "fast")]
fn public_key(hash: &B256, signature: &[u8; 64], y_parity: bool) -> Option<[u8; 64]> {
    use secp256k1::{
        Message, SECP256K1,
        ecdsa::{RecoverableSignature, RecoveryId},
    };

    let id = RecoveryId::try_from(i32::from(y_parity)).ok()?;
    let signature = RecoverableSignature::from_compact(signature, id).ok()?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(hash.0), &signature).ok()?;
    // SEC 1 puts a tag before the coordinates of an uncompressed point.
    key.serialize_uncompressed()[1..].try_into().ok()
}

/// x and y of a public key.
fn coordinates(key: &k256::ecdsa::VerifyingKey) -> Option<[u8; 64]> {
    // SEC 1 puts a tag before the coordinates of an uncompressed point.
    key.to_sec1_point(false).as_bytes().get(1..)?.try_into().ok()
}

/// A key that signs. Overwritten with zeros when it goes, and never shown.
#[derive(Clone)]
pub struct SigningKey {
    key: k256::ecdsa::SigningKey,
    address: Address,
}

/// Bytes that are no key: zero, or not below the order of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a private key of secp256k1: zero, or not below the order of the curve")]
pub struct InvalidKey;

impl SigningKey {
    /// The key with this number, 32 bytes, big-endian. The caller's copy is the caller's to erase.
    pub fn new(secret: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = k256::ecdsa::SigningKey::from_slice(secret).map_err(|_| InvalidKey)?;
        let address = coordinates(key.verifying_key()).map(address_of).ok_or(InvalidKey)?;
        Ok(Self { key, address })
    }

    /// Whose signature this key makes.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs `hash`: the nonce as in RFC 6979, `s` in the lower half.
    #[must_use]
    pub fn sign(&self, hash: B256) -> Signature {
        let (signature, id) = self.key.sign_prehash_recoverable(hash.as_slice());
        let (r, s) = signature.split_bytes();
        Signature {
            y_parity: id.is_y_odd(),
            r: U256::from_be_slice(&r),
            s: U256::from_be_slice(&s),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256};

    use super::*;

    #[test]
    fn what_a_key_signs_recovers_to_its_address() {
        let key = SigningKey::new(&[0x46; 32]).unwrap();
        assert_eq!(key.address(), address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
        let hash = b256!("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
        let signature = key.sign(hash);
        assert!(signature.has_low_s());
        assert_eq!(signature.recover(hash), Some(key.address()));
    }

    #[test]
    fn halves_outside_the_group_recover_to_nobody() {
        let key = SigningKey::new(&[0x46; 32]).unwrap();
        let hash = B256::repeat_byte(7);
        let good = key.sign(hash);
        for bad in [
            Signature { r: U256::ZERO, ..good },
            Signature { s: U256::ZERO, ..good },
            Signature { r: U256::MAX, ..good },
            Signature { s: U256::MAX, ..good },
        ] {
            assert_eq!(bad.recover(hash), None, "{bad:?}");
        }
    }

    #[test]
    fn the_twin_in_the_upper_half_has_the_same_signer() {
        let order = HALF_ORDER * U256::from(2) + U256::from(1);
        let key = SigningKey::new(&[3; 32]).unwrap();
        let hash = B256::repeat_byte(9);
        let low = key.sign(hash);
        let high = Signature { y_parity: !low.y_parity, s: order - low.s, ..low };
        assert!(!high.has_low_s());
        assert_eq!(high.recover(hash), Some(key.address()));
    }

    #[test]
    fn zero_and_the_order_are_no_keys() {
        let order = HALF_ORDER * U256::from(2) + U256::from(1);
        for secret in [U256::ZERO, order, U256::MAX] {
            assert!(SigningKey::new(&secret.to_be_bytes()).is_err(), "{secret}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", SigningKey::new(&[0x46; 32]).unwrap());
        assert!(!shown.contains("4646") && !shown.contains("70, 70"), "{shown}");
    }
}
