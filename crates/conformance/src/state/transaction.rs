//! The transaction of a state case: lists to choose from, and fields that may not fit.

use alloy_rlp::Encodable;
use serde::Deserialize;
use zvm_core::{
    AccessListItem, Address, Authorization, B256, SignedAuthorization, SpecId, Transaction, TxKind,
    TxType, U256, keccak256, uint,
};
use zvm_precompiles::Precompiles;

use super::Indexes;
use crate::{
    FixtureError,
    exceptions::Rejection,
    values::{Data, Quantity, Word},
};

/// A transaction with several choices of data, gas limit and value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Template {
    data: Vec<Data>,
    gas_limit: Vec<Quantity>,
    value: Vec<Quantity>,
    nonce: Quantity,
    to: To,
    sender: Address,
    gas_price: Option<Quantity>,
    max_fee_per_gas: Option<Quantity>,
    max_priority_fee_per_gas: Option<Quantity>,
    /// Goes with `data`; an element that is `null` makes a transaction without a list.
    access_lists: Option<Vec<Option<Vec<AccessItem>>>>,
    max_fee_per_blob_gas: Option<Quantity>,
    blob_versioned_hashes: Option<Vec<B256>>,
    authorization_list: Option<Vec<AuthorizationItem>>,
}

/// The callee; an empty string is a creation.
#[derive(Debug)]
struct To(TxKind);

impl<'de> Deserialize<'de> for To {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(TxKind::Create));
        }
        text.parse().map(|to| Self(TxKind::Call(to))).map_err(|_| {
            let found = serde::de::Unexpected::Str(&text);
            serde::de::Error::invalid_value(found, &"an address, or \"\" for a creation")
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessItem {
    address: Address,
    storage_keys: Vec<Word>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationItem {
    chain_id: Quantity,
    address: Address,
    nonce: Quantity,
    y_parity: Option<Quantity>,
    v: Option<Quantity>,
    r: Quantity,
    s: Quantity,
}

impl Template {
    /// The transaction with the elements at `indexes`; the inner error where a field does not fit
    /// what a transaction can hold.
    pub(super) fn transaction(
        &self,
        indexes: Indexes,
        chain_id: u64,
    ) -> Result<Result<Transaction, Rejection>, FixtureError> {
        let data = element("data", &self.data, indexes.data)?;
        let gas_limit = element("gas", &self.gas_limit, indexes.gas)?;
        let value = element("value", &self.value, indexes.value)?;
        let access_list = match &self.access_lists {
            Some(lists) => element("data", lists, indexes.data)?.as_ref(),
            None => None,
        };
        let tx_type = if self.authorization_list.is_some() {
            TxType::SetCode
        } else if self.max_fee_per_blob_gas.is_some() {
            TxType::Blob
        } else if self.max_fee_per_gas.is_some() {
            TxType::DynamicFee
        } else if access_list.is_some() {
            TxType::AccessList
        } else {
            TxType::Legacy
        };
        let (price_field, price) = match tx_type {
            TxType::Legacy | TxType::AccessList => ("gasPrice", self.gas_price),
            _ => ("maxFeePerGas", self.max_fee_per_gas),
        };
        let price = price.ok_or(FixtureError::Missing {
            field: "transaction.gasPrice",
            expected: "a gas price, or maxFeePerGas for types 2 to 4",
        })?;
        Ok((|| {
            Ok(Transaction {
                tx_type,
                sender: self.sender,
                nonce: fit("nonce", self.nonce)?,
                to: self.to.0,
                value: fit("value", *value)?,
                data: data.0.clone(),
                gas_limit: fit("gasLimit", *gas_limit)?,
                chain_id: (tx_type != TxType::Legacy).then_some(chain_id),
                gas_price: fit(price_field, price)?,
                max_priority_fee: match self.max_priority_fee_per_gas {
                    Some(fee) => fit("maxPriorityFeePerGas", fee)?,
                    None => U256::ZERO,
                },
                access_list: access_list.into_iter().flatten().map(AccessItem::read).collect(),
                blob_hashes: self.blob_versioned_hashes.clone().unwrap_or_default(),
                max_fee_per_blob_gas: match self.max_fee_per_blob_gas {
                    Some(fee) => fit("maxFeePerBlobGas", fee)?,
                    None => U256::ZERO,
                },
                authorizations: self
                    .authorization_list
                    .iter()
                    .flatten()
                    .map(AuthorizationItem::read)
                    .collect::<Result<_, _>>()?,
            })
        })())
    }
}

fn element<'a, T>(
    list: &'static str,
    elements: &'a [T],
    index: usize,
) -> Result<&'a T, FixtureError> {
    elements.get(index).ok_or(FixtureError::Index { list, index, len: elements.len() })
}

fn fit<N: TryFrom<U256>>(field: &'static str, quantity: Quantity) -> Result<N, Rejection> {
    quantity.fit().ok_or(Rejection::Oversized { field })
}

impl AccessItem {
    fn read(&self) -> AccessListItem {
        let storage_keys = self.storage_keys.iter().map(|key| (*key).into()).collect();
        AccessListItem { address: self.address, storage_keys }
    }
}

/// Half the order of secp256k1: a larger `s` has a smaller twin (EIP-2).
const HALF_ORDER: U256 =
    uint!(0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0_U256);

impl AuthorizationItem {
    fn read(&self) -> Result<SignedAuthorization, Rejection> {
        let authorization = Authorization {
            chain_id: fit("authorizationList.chainId", self.chain_id)?,
            address: self.address,
            nonce: fit("authorizationList.nonce", self.nonce)?,
        };
        let parity = self.y_parity.or(self.v).unwrap_or(Quantity::Oversized);
        let parity: u8 = fit("authorizationList.yParity", parity)?;
        let r = fit("authorizationList.r", self.r)?;
        let s = fit("authorizationList.s", self.s)?;
        Ok(SignedAuthorization { authorization, authority: signer(&authorization, parity, r, s) })
    }
}

/// Who signed an authorisation, if anybody did (EIP-7702).
///
/// `signer` of the fixtures is who was meant to sign, also where the signature is spoiled.
fn signer(authorization: &Authorization, parity: u8, r: U256, s: U256) -> Option<Address> {
    if parity > 1 || s > HALF_ORDER {
        return None;
    }
    let Authorization { chain_id, address, nonce } = authorization;
    let payload_length = chain_id.length() + address.length() + nonce.length();
    let mut message = vec![0x05];
    alloy_rlp::Header { list: true, payload_length }.encode(&mut message);
    chain_id.encode(&mut message);
    address.encode(&mut message);
    nonce.encode(&mut message);
    let mut input = [0; 128];
    input[..32].copy_from_slice(keccak256(&message).as_slice());
    input[63] = 27 + parity;
    input[64..96].copy_from_slice(&r.to_be_bytes::<32>());
    input[96..].copy_from_slice(&s.to_be_bytes::<32>());
    // The precompile recovers by the same rules, so one implementation is enough.
    let ecrecover = Precompiles::of(SpecId::FRONTIER).ok()?.get(&Address::with_last_byte(1))?;
    let mut output = Vec::with_capacity(32);
    (ecrecover.run)(&input, u64::MAX, &mut output).ok()?;
    output.get(12..32).map(Address::from_slice)
}
