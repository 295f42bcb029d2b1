//! Transactions as JSON-RPC writes them.

use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{AuthorizationTuple, SignedTransaction, UnsignedTransaction, legacy_v, split_legacy_v};
use crate::{AccessListItem, Authorization, Signature, TxType};

/// Every field of every type. What a type does not have is left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    tx_type: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<U64>,
    nonce: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_price: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U256>,
    #[serde(alias = "gasLimit")]
    gas: U64,
    /// `null` for a creation.
    to: Option<Address>,
    value: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Bytes>,
    /// The other name of `input`. There are nodes that write both.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<Vec<AccessListItem>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<Tuple>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<B256>,
}

/// An authorisation with its signature.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tuple {
    chain_id: U256,
    address: Address,
    nonce: U64,
    #[serde(alias = "v")]
    y_parity: U64,
    r: U256,
    s: U256,
}

/// Why JSON is no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("transaction type {found}, expected 0 to 4")]
    Type { found: U64 },
    #[error("{field} in a transaction of type {}", *tx_type as u8)]
    Foreign { field: &'static str, tx_type: TxType },
    #[error("input and data differ")]
    TwoInputs,
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("{field} is {found}, expected {expected}")]
    Value { field: &'static str, found: U256, expected: &'static str },
}

impl Fields {
    fn of(tx: &UnsignedTransaction) -> Self {
        let tx_type = tx.tx_type;
        let is_typed = tx_type != TxType::Legacy;
        let has_cap = tx_type >= TxType::DynamicFee;
        let tuple = |tuple: &AuthorizationTuple| Tuple {
            chain_id: tuple.authorization.chain_id,
            address: tuple.authorization.address,
            nonce: U64::from(tuple.authorization.nonce),
            y_parity: U64::from(tuple.y_parity),
            r: tuple.r,
            s: tuple.s,
        };
        Self {
            tx_type: Some(U64::from(tx_type as u8)),
            chain_id: tx.chain_id.map(U64::from),
            nonce: U64::from(tx.nonce),
            gas_price: (!has_cap).then_some(tx.gas_price),
            max_fee_per_gas: has_cap.then_some(tx.gas_price),
            max_priority_fee_per_gas: has_cap.then_some(tx.max_priority_fee),
            gas: U64::from(tx.gas_limit),
            to: tx.to.to().copied(),
            value: tx.value,
            input: Some(tx.data.clone()),
            access_list: is_typed.then(|| tx.access_list.clone()),
            max_fee_per_blob_gas: (tx_type == TxType::Blob).then_some(tx.max_fee_per_blob_gas),
            blob_versioned_hashes: (tx_type == TxType::Blob).then(|| tx.blob_hashes.clone()),
            authorization_list: (tx_type == TxType::SetCode)
                .then(|| tx.authorizations.iter().map(tuple).collect()),
            ..Self::default()
        }
    }

    /// The type that is said, or else the first that has all fields there are.
    fn tx_type(&self) -> Result<TxType, Fault> {
        let Some(found) = self.tx_type else {
            return Ok(match self {
                Self { authorization_list: Some(_), .. } => TxType::SetCode,
                Self { blob_versioned_hashes: Some(_), .. } => TxType::Blob,
                Self { max_fee_per_gas: Some(_), .. } => TxType::DynamicFee,
                Self { access_list: Some(_), .. } => TxType::AccessList,
                _ => TxType::Legacy,
            });
        };
        let byte = u8::try_from(found.to::<u64>()).ok();
        byte.and_then(TxType::from_byte).ok_or(Fault::Type { found })
    }

    fn into_unsigned(self) -> Result<UnsignedTransaction, Fault> {
        let tx_type = self.tx_type()?;
        let is_typed = tx_type != TxType::Legacy;
        let has_cap = tx_type >= TxType::DynamicFee;
        // What would be left out of the signature must not be there. A gas price is: nodes add it
        // to every transaction.
        for (is_there, belongs, field) in [
            (self.max_fee_per_gas.is_some(), has_cap, "maxFeePerGas"),
            (self.max_priority_fee_per_gas.is_some(), has_cap, "maxPriorityFeePerGas"),
            (self.access_list.is_some(), is_typed, "accessList"),
            (self.max_fee_per_blob_gas.is_some(), tx_type == TxType::Blob, "maxFeePerBlobGas"),
            (self.blob_versioned_hashes.is_some(), tx_type == TxType::Blob, "blobVersionedHashes"),
            (self.authorization_list.is_some(), tx_type == TxType::SetCode, "authorizationList"),
        ] {
            if is_there && !belongs {
                return Err(Fault::Foreign { field, tx_type });
            }
        }
        let price = if has_cap { self.max_fee_per_gas } else { self.gas_price };
        let field = if has_cap { "maxFeePerGas" } else { "gasPrice" };
        let gas_price = price.ok_or(Fault::Missing { field })?;
        if is_typed && self.chain_id.is_none() {
            return Err(Fault::Missing { field: "chainId" });
        }
        let data = match (self.input, self.data) {
            (Some(input), Some(data)) if input != data => return Err(Fault::TwoInputs),
            (input, data) => input.or(data).unwrap_or_default(),
        };
        let tuples = self.authorization_list.unwrap_or_default();
        Ok(UnsignedTransaction {
            tx_type,
            chain_id: self.chain_id.map(|id| id.to()),
            nonce: self.nonce.to(),
            gas_price,
            max_priority_fee: self.max_priority_fee_per_gas.unwrap_or_default(),
            gas_limit: self.gas.to(),
            to: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data,
            access_list: self.access_list.unwrap_or_default(),
            max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_default(),
            blob_hashes: self.blob_versioned_hashes.unwrap_or_default(),
            authorizations: tuples.into_iter().map(Tuple::read).collect::<Result<_, _>>()?,
        })
    }

    fn into_signed(self) -> Result<SignedTransaction, Fault> {
        // A type that is not known may have no signature at all.
        self.tx_type()?;
        let r = self.r.ok_or(Fault::Missing { field: "r" })?;
        let s = self.s.ok_or(Fault::Missing { field: "s" })?;
        let v = self.v.or(self.y_parity.map(U256::from)).ok_or(Fault::Missing { field: "v" })?;
        let mut body = self.into_unsigned()?;
        let (chain_id, y_parity) = match body.tx_type {
            TxType::Legacy => split_legacy_v(v),
            _ if v <= U256::ONE => Ok((body.chain_id, v.bit(0))),
            _ => Err("0 or 1"),
        }
        .map_err(|expected| Fault::Value { field: "v", found: v, expected })?;
        body.chain_id = chain_id;
        Ok(SignedTransaction { body, signature: Signature { y_parity, r, s } })
    }
}

impl Tuple {
    fn read(self) -> Result<AuthorizationTuple, Fault> {
        let y_parity = u8::try_from(self.y_parity.to::<u64>()).map_err(|_| Fault::Value {
            field: "yParity of an authorisation",
            found: U256::from(self.y_parity),
            expected: "below 2^8",
        })?;
        let Self { chain_id, address, nonce, r, s, .. } = self;
        let authorization = Authorization { chain_id, address, nonce: nonce.to() };
        Ok(AuthorizationTuple { authorization, y_parity, r, s })
    }
}

impl Serialize for SignedTransaction {
    /// As `eth_getTransactionByHash` answers, without sender and place.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Signature { y_parity, r, s } = self.signature;
        let is_typed = self.body.tx_type != TxType::Legacy;
        let v = match is_typed {
            true => U256::from(y_parity),
            false => legacy_v(self.body.chain_id, y_parity),
        };
        Fields {
            y_parity: is_typed.then(|| U64::from(y_parity)),
            v: Some(v),
            r: Some(r),
            s: Some(s),
            hash: Some(self.hash()),
            ..Fields::of(&self.body)
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignedTransaction {
    /// A `hash` is passed over: it follows from the rest.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer)?.into_signed().map_err(D::Error::custom)
    }
}

impl Serialize for UnsignedTransaction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UnsignedTransaction {
    /// Without `type`, the fields tell it. A signature is passed over.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer)?.into_unsigned().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;
    use crate::{SigningKey, rlp::Rlp};

    fn read(text: &str) -> Result<UnsignedTransaction, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn signed_transactions_survive_json() {
        let key = SigningKey::new(&[7; 32]).unwrap();
        let authorization =
            Authorization { chain_id: U256::ZERO, address: Address::repeat_byte(9), nonce: 3 };
        for tx_type in
            [TxType::Legacy, TxType::AccessList, TxType::DynamicFee, TxType::Blob, TxType::SetCode]
        {
            let mut body = UnsignedTransaction {
                tx_type,
                chain_id: Some(5),
                gas_price: U256::from(7),
                to: TxKind::Call(Address::repeat_byte(1)),
                data: hex!("0102").into(),
                ..UnsignedTransaction::default()
            };
            match tx_type {
                TxType::Blob => body.blob_hashes = vec![B256::repeat_byte(1)],
                TxType::SetCode => {
                    body.authorizations = vec![AuthorizationTuple::sign(authorization, &key)];
                }
                _ => {}
            }
            let signed = body.sign(&key);
            let text = serde_json::to_string(&signed).unwrap();
            assert_eq!(serde_json::from_str::<SignedTransaction>(&text).unwrap(), signed, "{text}");
            let body = serde_json::from_str::<UnsignedTransaction>(&text).unwrap();
            assert_eq!(body.sign(&key).encode(), signed.encode());
        }
    }

    #[test]
    fn fields_tell_the_type() {
        let of = |text: &str| read(text).map(|tx| tx.tx_type);
        assert_eq!(of(r#"{"gasPrice":"0x1"}"#), Ok(TxType::Legacy));
        assert_eq!(
            of(r#"{"gasPrice":"0x1","accessList":[],"chainId":"0x1"}"#),
            Ok(TxType::AccessList)
        );
        assert_eq!(of(r#"{"maxFeePerGas":"0x1","chainId":"0x1"}"#), Ok(TxType::DynamicFee));
    }

    /// Before EIP-155 there was no chain in a signature, and nodes write a transaction in their ways.
    #[test]
    fn transactions_are_read_as_nodes_write_them() {
        let key = SigningKey::new(&[7; 32]).unwrap();
        let data: Bytes = hex!("0102").into();
        let body = UnsignedTransaction { data, ..UnsignedTransaction::default() };
        let signed = body.sign(&key);
        let mut json = serde_json::to_value(&signed).unwrap();
        json["data"] = json["input"].clone();
        for (name, value) in [
            ("chainId", serde_json::Value::Null),
            ("yParity", "0x0".into()),
            ("accessList", serde_json::Value::Null),
            ("maxFeePerGas", serde_json::Value::Null),
            ("blockNumber", "0x1".into()),
            ("from", "0x00".into()),
        ] {
            json[name] = value;
        }
        let read: SignedTransaction = serde_json::from_value(json.clone()).unwrap();
        assert_eq!((read.hash(), read.body.chain_id), (signed.hash(), None));
        json.as_object_mut().unwrap().remove("type");
        assert_eq!(serde_json::from_value::<SignedTransaction>(json).unwrap(), signed);
        let deposit = r#"{"type":"0x7e","gas":"0x1","sourceHash":"0x01"}"#;
        let error = serde_json::from_str::<SignedTransaction>(deposit).unwrap_err().to_string();
        assert!(error.contains("transaction type 126, expected 0 to 4"), "{error}");
    }

    #[test]
    fn what_would_not_be_signed_is_refused() {
        for (text, expected) in [
            (
                r#"{"type":"0x0","gasPrice":"0x1","accessList":[]}"#,
                "accessList in a transaction of type 0",
            ),
            (r#"{"type":"0x2","gasPrice":"0x1","chainId":"0x1"}"#, "maxFeePerGas is missing"),
            (r#"{"maxFeePerGas":"0x1"}"#, "chainId is missing"),
            (r#"{"type":"0x5"}"#, "transaction type 5, expected 0 to 4"),
            (r#"{"gasPrice":"0x1","input":"0x01","data":"0x02"}"#, "input and data differ"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
