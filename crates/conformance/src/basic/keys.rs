//! Keys: their addresses, what they sign, and how they are kept.

use serde::Deserialize;
use serde_json::value::RawValue;
use zvm_core::{
    B256, Bytes, SignedTransaction, SpecId, TxKind, U256, hex, keccak256,
    rlp::{Reader, RlpError},
};

use super::expect;

/// A key with its address. The signature beside them is of a hash that no file names.
#[derive(Debug, Deserialize)]
pub(crate) struct Address {
    key: B256,
    addr: zvm_core::Address,
}

impl Address {
    pub(super) fn run(&self) -> Result<(), String> {
        let key = zvm_core::SigningKey::new(&self.key).map_err(|error| error.to_string())?;
        expect("the address", key.address(), self.addr)?;
        let hash = keccak256([]);
        expect("the signer", key.sign(hash).recover(hash), Some(self.addr))
    }
}

/// A key with a transaction that it signed.
#[derive(Debug, Deserialize)]
pub(crate) struct Signing {
    key: B256,
    nonce: u64,
    gasprice: u64,
    startgas: u64,
    to: String,
    value: u64,
    data: String,
    unsigned: String,
    signed: String,
}

impl Signing {
    pub(super) fn run(&self) -> Result<(), String> {
        let bytes = |digits: &str| hex::decode(digits).map_err(|error| error.to_string());
        let key = zvm_core::SigningKey::new(&self.key).map_err(|error| error.to_string())?;
        let signed = bytes(&self.signed)?;
        let tx = SignedTransaction::decode_2718(&signed).map_err(|error| error.to_string())?;
        expect("the sender", tx.sender(SpecId::FRONTIER), Ok(key.address()))?;
        let body = &tx.body;
        expect("nonce", body.nonce, self.nonce)?;
        expect("gasprice", body.gas_price, U256::from(self.gasprice))?;
        expect("startgas", body.gas_limit, self.startgas)?;
        expect("value", body.value, U256::from(self.value))?;
        expect("data", &body.data, &Bytes::from(bytes(&self.data)?))?;
        let to = bytes(&self.to)?;
        let to = match to.is_empty() {
            true => TxKind::Create,
            false => TxKind::Call(
                zvm_core::Address::try_from(&to[..]).map_err(|error| error.to_string())?,
            ),
        };
        expect("to", body.to, to)?;
        let again = hex::encode(tx.encode_2718());
        expect("the encoding", &again, &self.signed)?;
        // Before EIP-155 an unsigned transaction had a signature of zeros.
        let unsigned = bytes(&self.unsigned)?;
        expect("the unsigned fields", fields(&unsigned)?, fields(&signed)?)
    }
}

/// The first six items of a list.
fn fields(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let items = || -> Result<Vec<&[u8]>, RlpError> {
        let mut list = Reader::new(bytes).list("transaction")?;
        (0..6).map(|_| list.item("field").map(|item| item.all)).collect()
    };
    items().map_err(|error| error.to_string())
}

/// A key under a password.
#[derive(Debug, Deserialize)]
pub(crate) struct Keystore {
    json: Box<RawValue>,
    password: String,
    #[serde(rename = "priv")]
    secret: B256,
}

impl Keystore {
    pub(super) fn run(&self) -> Result<(), String> {
        let keystore =
            zvm_keys::Keystore::parse(self.json.get()).map_err(|error| error.to_string())?;
        let secret = keystore.decrypt(&self.password).map_err(|error| error.to_string())?;
        expect("the key", B256::new(*secret), self.secret)?;
        match keystore.decrypt("another password") {
            Ok(_) => Err("opens with another password too".to_owned()),
            Err(_) => Ok(()),
        }
    }
}
