//! Keys out of passwords: scrypt (RFC 7914) and PBKDF2 (RFC 8018).

use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::KeystoreError;

/// Most bytes scrypt may need. What wallets write needs 256 MiB.
pub const KDF_MEMORY_MAX: u64 = 1 << 30;

/// Most rounds: of PBKDF2, and of scrypt its `n` times `p`. What wallets write has 2^18.
pub const KDF_ROUNDS_MAX: u64 = 1 << 24;

/// Length of the derived key: half for the cipher, half for the check.
pub(crate) const KEY_BYTES: usize = 32;

/// A function with its parameters.
#[derive(Debug)]
pub(crate) enum Kdf {
    Scrypt(Scrypt),
    Pbkdf2(Pbkdf2),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Scrypt {
    dklen: u64,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pbkdf2 {
    dklen: u64,
    c: u32,
    prf: String,
    salt: String,
}

impl Kdf {
    /// Reads the parameters of the function called `name`.
    pub(crate) fn parse(name: &str, params: serde_json::Value) -> Result<Self, KeystoreError> {
        match name {
            "scrypt" => Ok(Self::Scrypt(serde_json::from_value(params)?)),
            "pbkdf2" => Ok(Self::Pbkdf2(serde_json::from_value(params)?)),
            _ => Err(KeystoreError::unsupported("kdf", name)),
        }
    }

    /// The derived key. Takes as long as the keystore wants, within limits.
    pub(crate) fn derive(
        &self,
        password: &[u8],
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeystoreError> {
        let (dklen, salt) = match self {
            Self::Scrypt(Scrypt { dklen, salt, .. }) | Self::Pbkdf2(Pbkdf2 { dklen, salt, .. }) => {
                (*dklen, KeystoreError::hex("salt", salt)?)
            }
        };
        if dklen != KEY_BYTES as u64 {
            return Err(KeystoreError::unsupported("dklen", &dklen.to_string()));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match self {
            Self::Scrypt(scrypt) => {
                let params = scrypt.params()?;
                scrypt::scrypt(password, &salt, &params, &mut key[..])
                    .map_err(|_| KeystoreError::unsupported("kdf", "scrypt"))?;
            }
            Self::Pbkdf2(Pbkdf2 { c, prf, .. }) => {
                if prf != "hmac-sha256" {
                    return Err(KeystoreError::unsupported("prf", prf));
                }
                if *c == 0 || u64::from(*c) > KDF_ROUNDS_MAX {
                    return Err(KeystoreError::unsupported("c", &c.to_string()));
                }
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, *c, &mut key[..]);
            }
        }
        Ok(key)
    }
}

impl Scrypt {
    fn params(&self) -> Result<scrypt::Params, KeystoreError> {
        let Self { n, r, p, .. } = *self;
        let shown = || format!("n = {n}, r = {r}, p = {p}");
        let memory = n.saturating_mul(128).saturating_mul(r.into());
        let parallel = u64::from(p).saturating_mul(128).saturating_mul(r.into());
        let is_fair = n >= 2
            && n.is_power_of_two()
            && memory <= KDF_MEMORY_MAX
            && parallel <= KDF_MEMORY_MAX
            && n.saturating_mul(p.into()) <= KDF_ROUNDS_MAX;
        let log_n = u8::try_from(n.trailing_zeros()).ok().filter(|_| is_fair);
        log_n
            .and_then(|log_n| scrypt::Params::new(log_n, r, p).ok())
            .ok_or_else(|| KeystoreError::unsupported("scrypt parameters", &shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_cost_too_much_are_refused_at_once() {
        for (n, r, p) in [
            (1_u64 << 40, 8, 1),
            (1 << 18, u32::MAX, 1),
            (1 << 18, 8, u32::MAX),
            (2, u32::MAX, u32::MAX),
            (1 << 18, 0, 1),
            (1 << 18, 8, 0),
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
        ] {
            let scrypt = Scrypt { dklen: 32, n, r, p, salt: String::new() };
            assert!(scrypt.params().is_err(), "n = {n}, r = {r}, p = {p}");
        }
        let usual = Scrypt { dklen: 32, n: 1 << 18, r: 8, p: 1, salt: String::new() };
        assert!(usual.params().is_ok());
        let rounds =
            Pbkdf2 { dklen: 32, c: u32::MAX, prf: "hmac-sha256".to_owned(), salt: String::new() };
        assert!(Kdf::Pbkdf2(rounds).derive(b"").is_err());
    }
}
