//! Transactions as they are signed and sent: the five envelopes of EIP-2718. JSON is that of
//! JSON-RPC.

mod json;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_rlp::{EMPTY_STRING_CODE, Encodable};

use crate::{
    AccessListItem, Authorization, Signature, SignedAuthorization, SigningKey, SpecId, Transaction,
    TxType, envelope,
    rlp::{Item, Reader, Rlp, RlpError, RlpFault, write_items, write_list},
};

/// What the sender of a transaction signs.
///
/// Fields that the envelope type does not have are not encoded; see [`Transaction`] for their
/// meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnsignedTransaction {
    /// Envelope type.
    pub tx_type: TxType,
    /// Chain it is for; `None` for a legacy transaction without EIP-155.
    pub chain_id: Option<u64>,
    /// Must equal the sender's nonce.
    pub nonce: u64,
    /// Most wei per gas: `gasPrice` of types 0 and 1, `maxFeePerGas` from type 2 on.
    pub gas_price: U256,
    /// Tip in wei per gas; from type 2 on.
    pub max_priority_fee: U256,
    /// Gas the sender buys.
    pub gas_limit: u64,
    /// The callee, or [`TxKind::Create`], which types 3 and 4 cannot express.
    pub to: TxKind,
    /// Wei to hand over.
    pub value: U256,
    /// Calldata, or initcode of a creation.
    pub data: Bytes,
    /// Accounts and slots to warm; from type 1 on.
    pub access_list: Vec<AccessListItem>,
    /// Most wei per blob gas; type 3.
    pub max_fee_per_blob_gas: U256,
    /// Versioned hashes of the blobs; type 3.
    pub blob_hashes: Vec<B256>,
    /// Delegations to set; type 4.
    pub authorizations: Vec<AuthorizationTuple>,
}

/// An authorisation as it stands in a transaction (EIP-7702). Its signature may be nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizationTuple {
    /// What was signed.
    pub authorization: Authorization,
    /// Only 0 and 1 recover.
    pub y_parity: u8,
    /// First half of the signature.
    pub r: U256,
    /// Second half of the signature.
    pub s: U256,
}

/// A transaction with its signature, as it is sent and kept.
///
/// ```
/// use zvm_core::{SignedTransaction, SigningKey, SpecId, TxType, UnsignedTransaction};
///
/// let key = SigningKey::new(&[0x46; 32])?;
/// let body = UnsignedTransaction { tx_type: TxType::DynamicFee, chain_id: Some(1), ..Default::default() };
/// let signed = body.sign(&key);
/// let bytes = signed.encode_2718();
/// assert_eq!(SignedTransaction::decode_2718(&bytes)?, signed);
/// assert_eq!(signed.sender(SpecId::LONDON)?, key.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// What was signed.
    pub body: UnsignedTransaction,
    /// The sender's signature.
    pub signature: Signature,
}

/// Why a signature tells no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderError {
    /// `s` is in the upper half of the group (EIP-2).
    #[error("s is {s:#x}, beyond half the order of the curve (EIP-2)")]
    HighS {
        /// It.
        s: U256,
    },
    /// Signed for a chain before chains had a number (EIP-155).
    #[error("signed for chain {chain_id}, before Spurious Dragon (EIP-155)")]
    ChainIdTooEarly {
        /// The chain.
        chain_id: u64,
    },
    /// No key could have made the signature.
    #[error("no key could have made the signature")]
    NoKey,
}

impl UnsignedTransaction {
    /// The hash that the sender signs.
    #[must_use]
    pub fn signing_hash(&self) -> B256 {
        let mut out = Vec::new();
        envelope::write(self.tx_type, &mut out, |out| {
            self.write_fields(out);
            if let (TxType::Legacy, Some(chain_id)) = (self.tx_type, self.chain_id) {
                // EIP-155.
                chain_id.encode(out);
                out.extend([EMPTY_STRING_CODE; 2]);
            }
        });
        keccak256(out)
    }

    /// Signs with `key`.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedTransaction {
        let signature = key.sign(self.signing_hash());
        SignedTransaction { body: self, signature }
    }

    /// The fields of the envelope in their order, the signature without.
    fn write_fields(&self, out: &mut Vec<u8>) {
        let tx_type = self.tx_type;
        if tx_type != TxType::Legacy {
            self.chain_id.unwrap_or(0).encode(out);
        }
        self.nonce.encode(out);
        if tx_type >= TxType::DynamicFee {
            self.max_priority_fee.encode(out);
        }
        self.gas_price.encode(out);
        self.gas_limit.encode(out);
        self.to.encode(out);
        self.value.encode(out);
        self.data.encode(out);
        if tx_type != TxType::Legacy {
            write_items(out, &self.access_list);
        }
        match tx_type {
            TxType::Blob => {
                self.max_fee_per_blob_gas.encode(out);
                write_list(out, |out| self.blob_hashes.iter().for_each(|hash| hash.encode(out)));
            }
            TxType::SetCode => write_items(out, &self.authorizations),
            TxType::Legacy | TxType::AccessList | TxType::DynamicFee => {}
        }
    }

    /// Reads what [`write_fields`](Self::write_fields) writes.
    fn read_fields(tx_type: TxType, list: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut tx = Self { tx_type, ..Self::default() };
        if tx_type != TxType::Legacy {
            tx.chain_id = Some(list.u64("chain id")?);
        }
        tx.nonce = list.u64("nonce")?;
        if tx_type >= TxType::DynamicFee {
            tx.max_priority_fee = list.u256("max priority fee per gas")?;
        }
        let has_fee_cap = tx_type >= TxType::DynamicFee;
        tx.gas_price = list.u256(if has_fee_cap { "max fee per gas" } else { "gas price" })?;
        tx.gas_limit = list.u64("gas limit")?;
        tx.to = list.tx_kind("to")?;
        tx.value = list.u256("value")?;
        tx.data = list.bytes("data")?;
        if tx_type != TxType::Legacy {
            tx.access_list = list.items("access list")?;
        }
        match tx_type {
            TxType::Blob => {
                tx.max_fee_per_blob_gas = list.u256("max fee per blob gas")?;
                tx.blob_hashes =
                    list.list_of("blob versioned hashes", |list| list.hash("blob hash"))?;
            }
            TxType::SetCode => tx.authorizations = list.items("authorization list")?,
            TxType::Legacy | TxType::AccessList | TxType::DynamicFee => {}
        }
        Ok(tx)
    }
}

impl SignedTransaction {
    /// The envelope, as the trie of transactions holds it.
    #[must_use]
    pub fn encode_2718(&self) -> Vec<u8> {
        let Self { body, signature } = self;
        let mut out = Vec::new();
        envelope::write(body.tx_type, &mut out, |out| {
            body.write_fields(out);
            match body.tx_type {
                TxType::Legacy => legacy_v(body.chain_id, signature.y_parity).encode(out),
                _ => signature.y_parity.encode(out),
            }
            signature.r.encode(out);
            signature.s.encode(out);
        });
        out
    }

    /// Reads an envelope, which must be all of `bytes`.
    pub fn decode_2718(bytes: &[u8]) -> Result<Self, RlpError> {
        let (tx_type, list) = envelope::decode(bytes, "transaction")?;
        Self::from_list(tx_type, &list)
    }

    /// Reads the list of an envelope.
    fn from_list(tx_type: TxType, list: &Item<'_>) -> Result<Self, RlpError> {
        let mut fields = list.list("transaction")?;
        if tx_type == TxType::Blob && fields.clone().item("chain id")?.is_list {
            return Err(list.error("transaction", RlpFault::Sidecar));
        }
        let mut body = UnsignedTransaction::read_fields(tx_type, &mut fields)?;
        let v_field = if tx_type == TxType::Legacy { "v" } else { "y parity" };
        let before_v = fields.clone();
        let v = fields.u256(v_field)?;
        let (r, s) = (fields.u256("r")?, fields.u256("s")?);
        fields.finish("transaction")?;
        let (chain_id, y_parity) = match tx_type {
            TxType::Legacy => split_legacy_v(v),
            _ if v <= U256::ONE => Ok((body.chain_id, v.bit(0))),
            _ => Err("0 or 1"),
        }
        .map_err(|expected| before_v.error(v_field, RlpFault::Value { found: v, expected }))?;
        body.chain_id = chain_id;
        Ok(Self { body, signature: Signature { y_parity, r, s } })
    }

    /// The hash it is known by: keccak-256 of the envelope.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.encode_2718())
    }

    /// Who signed it, by the rules of `spec`: EIP-2 from Homestead on, EIP-155 from Spurious
    /// Dragon on.
    pub fn sender(&self, spec: SpecId) -> Result<Address, SenderError> {
        let Self { body, signature } = self;
        if spec.has(SpecId::HOMESTEAD) && !signature.has_low_s() {
            return Err(SenderError::HighS { s: signature.s });
        }
        match (body.tx_type, body.chain_id) {
            (TxType::Legacy, Some(chain_id)) if !spec.has(SpecId::SPURIOUS_DRAGON) => {
                Err(SenderError::ChainIdTooEarly { chain_id })
            }
            _ => signature.recover(body.signing_hash()).ok_or(SenderError::NoKey),
        }
    }

    /// The transaction as execution takes it, with sender and authorities told from signatures.
    pub fn recover(&self, spec: SpecId) -> Result<Transaction, SenderError> {
        let body = &self.body;
        Ok(Transaction {
            tx_type: body.tx_type,
            sender: self.sender(spec)?,
            nonce: body.nonce,
            to: body.to,
            value: body.value,
            data: body.data.clone(),
            gas_limit: body.gas_limit,
            chain_id: body.chain_id,
            gas_price: body.gas_price,
            max_priority_fee: body.max_priority_fee,
            access_list: body.access_list.clone(),
            blob_hashes: body.blob_hashes.clone(),
            max_fee_per_blob_gas: body.max_fee_per_blob_gas,
            authorizations: body.authorizations.iter().map(AuthorizationTuple::recover).collect(),
        })
    }
}

impl Rlp for SignedTransaction {
    /// As an item of a block, where an envelope with a type is a string.
    fn write(&self, out: &mut Vec<u8>) {
        envelope::write_item(&self.encode_2718(), out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let (tx_type, list) = envelope::read(reader, "transaction")?;
        Self::from_list(tx_type, &list)
    }
}

impl AuthorizationTuple {
    /// The byte before the list that is hashed and signed.
    const MAGIC: u8 = 0x05;

    /// The authorisation with who signed it, if anybody can have.
    #[must_use]
    pub fn recover(&self) -> SignedAuthorization {
        let Self { authorization, y_parity, r, s } = *self;
        let signature = Signature { y_parity: y_parity == 1, r, s };
        let authority = (y_parity <= 1 && signature.has_low_s())
            .then(|| signature.recover(Self::signing_hash(&authorization)))
            .flatten();
        SignedAuthorization { authorization, authority }
    }

    /// Signs `authorization` with `key`.
    #[must_use]
    pub fn sign(authorization: Authorization, key: &SigningKey) -> Self {
        let Signature { y_parity, r, s } = key.sign(Self::signing_hash(&authorization));
        Self { authorization, y_parity: y_parity.into(), r, s }
    }

    /// The hash that the authority signs.
    #[must_use]
    pub fn signing_hash(authorization: &Authorization) -> B256 {
        let mut out = vec![Self::MAGIC];
        write_list(&mut out, |out| write_authorization(authorization, out));
        keccak256(out)
    }
}

fn write_authorization(authorization: &Authorization, out: &mut Vec<u8>) {
    authorization.chain_id.encode(out);
    authorization.address.encode(out);
    authorization.nonce.encode(out);
}

impl Rlp for AuthorizationTuple {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            write_authorization(&self.authorization, out);
            self.y_parity.encode(out);
            self.r.encode(out);
            self.s.encode(out);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut fields = reader.list("authorization")?;
        let tuple = Self {
            authorization: Authorization {
                chain_id: fields.u256("chain id of an authorization")?,
                address: fields.address("address of an authorization")?,
                nonce: fields.u64("nonce of an authorization")?,
            },
            y_parity: fields.u8("y parity of an authorization")?,
            r: fields.u256("r of an authorization")?,
            s: fields.u256("s of an authorization")?,
        };
        fields.finish("authorization")?;
        Ok(tuple)
    }
}

impl Rlp for AccessListItem {
    fn write(&self, out: &mut Vec<u8>) {
        write_list(out, |out| {
            self.address.encode(out);
            write_list(out, |out| self.storage_keys.iter().for_each(|key| key.encode(out)));
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RlpError> {
        let mut fields = reader.list("access list item")?;
        let item = Self {
            address: fields.address("address of an access list")?,
            storage_keys: fields.list_of("storage keys", |list| list.hash("storage key"))?,
        };
        fields.finish("access list item")?;
        Ok(item)
    }
}

/// `v` of a legacy transaction: 27 or 28, and with a chain id 35 or 36 and twice that (EIP-155).
fn legacy_v(chain_id: Option<u64>, y_parity: bool) -> U256 {
    let base =
        chain_id.map_or(U256::from(27), |id| U256::from(id) * U256::from(2) + U256::from(35));
    base + U256::from(y_parity)
}

/// The chain id and the parity in a `v`, or what it should be.
fn split_legacy_v(v: U256) -> Result<(Option<u64>, bool), &'static str> {
    let y_parity = !v.bit(0);
    match v.checked_sub(U256::from(35)) {
        Some(above) => match u64::try_from(above >> 1) {
            Ok(chain_id) => Ok((Some(chain_id), y_parity)),
            Err(_) => Err("a chain id below 2^64"),
        },
        None if v == U256::from(27) || v == U256::from(28) => Ok((None, y_parity)),
        None => Err("27, 28, or 35 and more"),
    }
}
