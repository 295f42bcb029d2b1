//! Names of exceptions in fixtures, and which rejection each of them means.

use std::fmt;

use zvm_core::{
    SenderError, TxType,
    rlp::{RlpError, RlpFault},
};
use zvm_evm::InvalidTransaction;

/// Why a transaction was not executed.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// A field does not fit its type; no encoding of the transaction could be decoded.
    Oversized {
        /// The field.
        field: &'static str,
    },
    /// Its bytes are no transaction.
    Encoding(RlpError),
    /// Its signature tells no sender.
    Sender(SenderError),
    /// It breaks a rule.
    Invalid(InvalidTransaction),
    /// Its gas costs 2^256 wei or more.
    Unpayable,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oversized { field } => write!(f, "{field} does not fit its type"),
            Self::Encoding(error) => error.fmt(f),
            Self::Sender(error) => error.fmt(f),
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Unpayable => f.write_str("its gas costs 2^256 wei or more"),
        }
    }
}

/// Whether `rejection` is what `expected` asks for: one of the names joined with `|`.
///
/// Fails with the first name that is not in the table and that nothing else makes up for.
pub(crate) fn is_expected(expected: &str, rejection: &Rejection) -> Result<bool, String> {
    let mut unknown = None;
    for name in expected.split('|') {
        let name = name.trim();
        match means(name, rejection) {
            Some(true) => return Ok(true),
            Some(false) => {}
            None => unknown = unknown.or(Some(name)),
        }
    }
    unknown.map_or(Ok(false), |name| Err(format!("unknown exception name {name:?}")))
}

/// The table: whether `name` means `rejection`, `None` for a name that is not in it.
fn means(name: &str, rejection: &Rejection) -> Option<bool> {
    use InvalidTransaction as Tx;

    if let Rejection::Encoding(error) = rejection
        && let Some(is_meant) = encoding(name, error)
    {
        return Some(is_meant);
    }
    let tx = match rejection {
        Rejection::Invalid(tx) => Some(tx),
        _ => None,
    };
    // `TransactionException.*` are the names of today, `TR_*` and the bare ones those of old files.
    Some(match name {
        "TransactionException.RLP_INVALID_VALUE" | "TR_RLP_WRONGVALUE" => {
            matches!(rejection, Rejection::Oversized { .. })
        }
        "TransactionException.TYPE_4_INVALID_AUTHORIZATION_FORMAT" => {
            matches!(rejection, Rejection::Oversized { field } if field.starts_with("authorization"))
        }
        "TransactionException.INTRINSIC_GAS_TOO_LOW" | "TR_IntrinsicGas" | "IntrinsicGas" => {
            matches!(tx, Some(Tx::IntrinsicGas { .. }))
        }
        "TransactionException.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST" => {
            matches!(tx, Some(Tx::FloorGas { .. }))
        }
        "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS" | "TR_NoFunds" | "TR_NoFundsX" => {
            matches!(tx, Some(Tx::InsufficientFunds { .. }))
        }
        // Written before it was settled which of the two is checked first.
        "TR_NoFundsOrGas" => {
            matches!(tx, Some(Tx::InsufficientFunds { .. } | Tx::IntrinsicGas { .. }))
        }
        "TransactionException.GASLIMIT_PRICE_PRODUCT_OVERFLOW" => {
            matches!(rejection, Rejection::Unpayable)
                || matches!(tx, Some(Tx::InsufficientFunds { cost: None, .. }))
        }
        "TransactionException.GAS_ALLOWANCE_EXCEEDED" | "TR_GasLimitReached" => {
            matches!(tx, Some(Tx::BlockGasLimit { .. }))
        }
        "TransactionException.GAS_LIMIT_EXCEEDS_MAXIMUM" => {
            matches!(tx, Some(Tx::GasLimitCap { .. }))
        }
        "TransactionException.INSUFFICIENT_MAX_FEE_PER_GAS" | "TR_FeeCapLessThanBlocks" => {
            matches!(tx, Some(Tx::FeeCapBelowBaseFee { .. }))
        }
        "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"
        | "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS_2"
        | "TR_TipGtFeeCap" => {
            matches!(tx, Some(Tx::PriorityFeeAboveCap { .. }))
        }
        "TransactionException.NONCE_IS_MAX" | "TR_NonceHasMaxValue" => {
            matches!(tx, Some(Tx::NonceIsMax))
        }
        "TransactionException.NONCE_MISMATCH_TOO_LOW" => matches!(tx, Some(Tx::NonceTooLow { .. })),
        "TransactionException.NONCE_MISMATCH_TOO_HIGH" => {
            matches!(tx, Some(Tx::NonceTooHigh { .. }))
        }
        // Some of these transactions have a high `s` besides, which is found first.
        "TransactionException.INVALID_CHAINID" => {
            matches!(tx, Some(Tx::ChainId { .. }))
                || matches!(rejection, Rejection::Sender(SenderError::HighS { .. }))
        }
        "TransactionException.SENDER_NOT_EOA" | "SenderNotEOA" => {
            matches!(tx, Some(Tx::SenderHasCode { .. }))
        }
        "TransactionException.INITCODE_SIZE_EXCEEDED" | "TR_InitCodeLimitExceeded" => {
            matches!(tx, Some(Tx::InitcodeSize { .. }))
        }
        "TransactionException.INVALID_SIGNATURE_VRS" => matches!(rejection, Rejection::Sender(_)),
        "TransactionException.EC_RECOVERY_FAIL" => {
            matches!(rejection, Rejection::Sender(SenderError::NoKey))
        }
        "TransactionException.TYPE_NOT_SUPPORTED" | "TR_TypeNotSupported" => {
            matches!(tx, Some(Tx::TypeNotSupported { .. }))
        }
        "TransactionException.TYPE_1_TX_PRE_FORK" => is_too_early(tx, TxType::AccessList),
        "TransactionException.TYPE_2_TX_PRE_FORK" => is_too_early(tx, TxType::DynamicFee),
        "TransactionException.TYPE_3_TX_PRE_FORK" => is_too_early(tx, TxType::Blob),
        "TransactionException.TYPE_4_TX_PRE_FORK" => is_too_early(tx, TxType::SetCode),
        "TransactionException.INSUFFICIENT_MAX_FEE_PER_BLOB_GAS" => {
            matches!(tx, Some(Tx::BlobFeeCap { .. }))
        }
        "TransactionException.TYPE_3_TX_ZERO_BLOBS" => matches!(tx, Some(Tx::NoBlobs)),
        // The limit of a transaction, and that of a block which one transaction can break alone.
        "TransactionException.TYPE_3_TX_BLOB_COUNT_EXCEEDED"
        | "TransactionException.TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"
        | "TR_BLOBLIST_OVERSIZE" => matches!(tx, Some(Tx::TooManyBlobs { .. })),
        "TransactionException.TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH" | "TR_BLOBVERSION_INVALID" => {
            matches!(tx, Some(Tx::BlobVersion { .. }))
        }
        "TransactionException.TYPE_3_TX_CONTRACT_CREATION" | "TR_BLOBCREATE" => {
            matches!(tx, Some(Tx::BlobCreate))
        }
        "TransactionException.TYPE_4_TX_CONTRACT_CREATION" => matches!(tx, Some(Tx::SetCodeCreate)),
        "TransactionException.TYPE_4_EMPTY_AUTHORIZATION_LIST" => {
            matches!(tx, Some(Tx::NoAuthorizations))
        }
        _ => return None,
    })
}

/// The names for bytes that are no transaction, `None` for other names.
fn encoding(name: &str, error: &RlpError) -> Option<bool> {
    let RlpError { field, fault, .. } = *error;
    let name = name.strip_prefix("TransactionException.")?;
    let is_of = |fields: &[&str]| fields.contains(&field);
    Some(match name {
        "NONCE_OVERFLOW" | "RLP_INVALID_NONCE" => is_of(&["nonce"]),
        "GASLIMIT_OVERFLOW" | "RLP_INVALID_GASLIMIT" => is_of(&["gas limit"]),
        "GASPRICE_OVERFLOW" => is_of(&["gas price", "max fee per gas"]),
        "PRIORITY_OVERFLOW" => is_of(&["max priority fee per gas"]),
        "VALUE_OVERFLOW" => is_of(&["value"]),
        "ADDRESS_TOO_LONG" | "ADDRESS_TOO_SHORT" | "RLP_INVALID_TO" => is_of(&["to"]),
        "RLP_INVALID_DATA" => is_of(&["data"]),
        "RLP_INVALID_SIGNATURE_R" => is_of(&["r"]),
        "RLP_INVALID_SIGNATURE_S" => is_of(&["s"]),
        "RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_LONG"
        | "RLP_INVALID_ACCESS_LIST_ADDRESS_TOO_SHORT" => is_of(&["address of an access list"]),
        "RLP_INVALID_ACCESS_LIST_STORAGE_TOO_LONG"
        | "RLP_INVALID_ACCESS_LIST_STORAGE_TOO_SHORT" => is_of(&["storage key"]),
        // The name is for a byte with a header before it too.
        "RLP_LEADING_ZEROS_NONCE" => {
            is_of(&["nonce"]) && matches!(fault, RlpFault::IntegerZeros | RlpFault::ByteWithHeader)
        }
        "RLP_LEADING_ZEROS_GASLIMIT" => is_of(&["gas limit"]) && fault == RlpFault::IntegerZeros,
        "RLP_LEADING_ZEROS_GASPRICE" => is_of(&["gas price"]) && fault == RlpFault::IntegerZeros,
        "RLP_LEADING_ZEROS_BASEFEE" => {
            is_of(&["max fee per gas"]) && fault == RlpFault::IntegerZeros
        }
        "RLP_LEADING_ZEROS_VALUE" => is_of(&["value"]) && fault == RlpFault::IntegerZeros,
        "RLP_LEADING_ZEROS_V" => is_of(&["v"]) && fault == RlpFault::IntegerZeros,
        "RLP_LEADING_ZEROS_R" => is_of(&["r"]) && fault == RlpFault::IntegerZeros,
        "RLP_LEADING_ZEROS_S" => is_of(&["s"]) && fault == RlpFault::IntegerZeros,
        // The name is for a byte with a needless header too.
        "RLP_LEADING_ZEROS_NONCE_SIZE" => {
            is_of(&["nonce"]) && matches!(fault, RlpFault::LengthZeros | RlpFault::ByteWithHeader)
        }
        "RLP_LEADING_ZEROS_DATA_SIZE" => is_of(&["data"]) && fault == RlpFault::LengthZeros,
        "RLP_TOO_FEW_ELEMENTS" => fault == RlpFault::Missing,
        "RLP_TOO_MANY_ELEMENTS" => matches!(fault, RlpFault::Trailing { .. }),
        // What a byte too many or too few does is a matter of chance.
        "RLP_ERROR_EOF" | "RLP_ERROR_SIZE" | "RLP_INVALID_HEADER" => true,
        // Only a `v` says which chain it is for.
        "INVALID_CHAINID" => is_of(&["v", "chain id"]),
        "INVALID_SIGNATURE_VRS" => is_of(&["v", "r", "s"]),
        // A hard fork before the type knows none of its fields either.
        "TYPE_NOT_SUPPORTED" => true,
        // Also the name for a whole transaction of the wrong length.
        "TYPE_4_INVALID_AUTHORIZATION_FORMAT" => {
            field.contains("authorization")
                || matches!(fault, RlpFault::TooShort { .. } | RlpFault::Trailing { .. })
        }
        "TYPE_4_INVALID_AUTHORITY_SIGNATURE" | "TYPE_4_INVALID_AUTHORITY_SIGNATURE_S_TOO_HIGH" => {
            field.contains("authorization")
        }
        _ => return None,
    })
}

fn is_too_early(tx: Option<&InvalidTransaction>, envelope: TxType) -> bool {
    matches!(tx, Some(InvalidTransaction::TypeNotSupported { tx_type }) if *tx_type == envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Rejection = Rejection::Invalid(InvalidTransaction::NonceIsMax);

    #[test]
    fn any_alternative_is_right() {
        let names = "TransactionException.SENDER_NOT_EOA|TransactionException.NONCE_IS_MAX";
        assert_eq!(is_expected(names, &MAX), Ok(true));
        assert_eq!(is_expected("TR_NoFunds|SenderNotEOA", &MAX), Ok(false));
    }

    #[test]
    fn a_name_outside_the_table_is_never_right() {
        assert!(is_expected("TransactionException.WHATEVER", &MAX).is_err());
        assert_eq!(is_expected("WHATEVER|TR_NonceHasMaxValue", &MAX), Ok(true));
    }

    #[test]
    fn pre_fork_names_ask_for_their_own_type() {
        let rejection =
            Rejection::Invalid(InvalidTransaction::TypeNotSupported { tx_type: TxType::Blob });
        assert_eq!(is_expected("TransactionException.TYPE_3_TX_PRE_FORK", &rejection), Ok(true));
        assert_eq!(is_expected("TransactionException.TYPE_4_TX_PRE_FORK", &rejection), Ok(false));
        assert_eq!(is_expected("TR_TypeNotSupported", &rejection), Ok(true));
    }
}
