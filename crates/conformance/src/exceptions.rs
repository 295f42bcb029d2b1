//! Names of exceptions in fixtures, and which rejection each of them means.

use std::fmt;

use zvm_core::TxType;
use zvm_evm::InvalidTransaction;

/// Why a transaction was not executed.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// A field does not fit its type; no encoding of the transaction could be decoded.
    Oversized {
        /// The field.
        field: &'static str,
    },
    /// The machine refused it.
    Invalid(InvalidTransaction),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oversized { field } => write!(f, "{field} does not fit its type"),
            Self::Invalid(invalid) => invalid.fmt(f),
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

    let tx = match rejection {
        Rejection::Invalid(tx) => Some(tx),
        Rejection::Oversized { .. } => None,
    };
    // `TransactionException.*` are the names of today, `TR_*` and the bare ones those of old files.
    Some(match name {
        "TransactionException.RLP_INVALID_VALUE" | "TR_RLP_WRONGVALUE" => tx.is_none(),
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
            matches!(tx, Some(Tx::InsufficientFunds { cost: None, .. }))
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
        "TransactionException.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS" | "TR_TipGtFeeCap" => {
            matches!(tx, Some(Tx::PriorityFeeAboveCap { .. }))
        }
        "TransactionException.NONCE_IS_MAX" | "TR_NonceHasMaxValue" => {
            matches!(tx, Some(Tx::NonceIsMax))
        }
        "TransactionException.NONCE_MISMATCH_TOO_LOW" => matches!(tx, Some(Tx::NonceTooLow { .. })),
        "TransactionException.NONCE_MISMATCH_TOO_HIGH" => {
            matches!(tx, Some(Tx::NonceTooHigh { .. }))
        }
        "TransactionException.INVALID_CHAINID" => matches!(tx, Some(Tx::ChainId { .. })),
        "TransactionException.SENDER_NOT_EOA" | "SenderNotEOA" => {
            matches!(tx, Some(Tx::SenderHasCode { .. }))
        }
        "TransactionException.INITCODE_SIZE_EXCEEDED" | "TR_InitCodeLimitExceeded" => {
            matches!(tx, Some(Tx::InitcodeSize { .. }))
        }
        "TR_TypeNotSupported" => matches!(tx, Some(Tx::TypeNotSupported { .. })),
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
