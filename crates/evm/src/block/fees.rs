//! The prices a block inherits from its parent: base fee and excess of blob gas.

use zvm_core::{BlobParams, SpecId, U256};

use crate::{gas, transaction::blob};

/// EIP-1559: the target is the gas limit through this; the limit grows by it at the hard fork.
pub(super) const ELASTICITY: u64 = 2;

/// EIP-1559: the base fee moves by at most its eighth.
const BASE_FEE_CHANGE_DENOMINATOR: u128 = 8;

/// EIP-7918: execution gas that a blob costs at least, as if bought at the base fee.
const BLOB_BASE_COST: u64 = 1 << 13;

/// The base fee after a block with gas limit, gas used and base fee as given (EIP-1559), in wei.
#[must_use]
pub fn next_base_fee(gas_limit: u64, gas_used: u64, base_fee: u64) -> u64 {
    // A limit below 2 is against the rules; the division must survive it all the same.
    let target = (gas_limit / ELASTICITY).max(1);
    let change = |gas: u64| {
        let product = u128::from(base_fee) * u128::from(gas);
        product / u128::from(target) / BASE_FEE_CHANGE_DENOMINATOR
    };
    let next = match gas_used.checked_sub(target) {
        Some(0) => return base_fee,
        Some(above) => u128::from(base_fee).saturating_add(change(above).max(1)),
        None => u128::from(base_fee).saturating_sub(change(target - gas_used)),
    };
    u64::try_from(next).unwrap_or(u64::MAX)
}

/// What the excess of blob gas is made of: three fields of the parent's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentBlobGas {
    /// Excess of the parent; 0 before Cancun.
    pub excess_blob_gas: u64,
    /// Blob gas in the parent; 0 before Cancun.
    pub blob_gas_used: u64,
    /// Base fee of the parent in wei; counts from Osaka on (EIP-7918).
    pub base_fee: u64,
}

/// The excess of blob gas of a block of `spec` under `params` (EIP-4844, 7691, 7918).
#[must_use]
pub fn next_excess_blob_gas(spec: SpecId, params: &BlobParams, parent: &ParentBlobGas) -> u64 {
    let target = params.target.saturating_mul(gas::BLOB);
    let used = parent.blob_gas_used;
    let Some(excess) = parent.excess_blob_gas.saturating_add(used).checked_sub(target) else {
        return 0;
    };
    if !spec.has(SpecId::OSAKA) {
        return excess;
    }
    let blob_price = blob::base_fee(parent.excess_blob_gas, params);
    let price = U256::from(gas::BLOB).saturating_mul(blob_price);
    let reserve = U256::from(BLOB_BASE_COST) * U256::from(parent.base_fee);
    if reserve <= price {
        return excess;
    }
    // Blobs cost less than their share of execution: the excess grows however many there are.
    let above_target = u128::from(params.max.saturating_sub(params.target));
    let share = u128::from(used) * above_target / u128::from(params.max.max(1));
    parent.excess_blob_gas.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_fee_moves_towards_the_target_by_at_most_an_eighth() {
        let limit = 20_000_000;
        assert_eq!(next_base_fee(limit, 10_000_000, 1000), 1000);
        assert_eq!(next_base_fee(limit, 20_000_000, 1000), 1125);
        assert_eq!(next_base_fee(limit, 0, 1000), 875);
        assert_eq!(next_base_fee(limit, 9_000_000, 1_000_000_000), 987_500_000);
        // Up by one wei at least, and down to nothing.
        assert_eq!(next_base_fee(limit, 10_000_001, 7), 8);
        assert_eq!(next_base_fee(limit, 0, 7), 7);
        assert_eq!(next_base_fee(0, u64::MAX, u64::MAX), u64::MAX);
    }

    fn parent(excess: u64, blobs: u64, base_fee: u64) -> ParentBlobGas {
        ParentBlobGas {
            excess_blob_gas: excess * gas::BLOB,
            blob_gas_used: blobs * gas::BLOB,
            base_fee,
        }
    }

    #[test]
    fn the_excess_is_what_lies_above_the_target() {
        let next = |excess, blobs| {
            next_excess_blob_gas(SpecId::CANCUN, &BlobParams::CANCUN, &parent(excess, blobs, 7))
        };
        assert_eq!(next(0, 3), 0);
        assert_eq!(next(0, 2), 0);
        assert_eq!(next(0, 6), 3 * gas::BLOB);
        assert_eq!(next(4, 1), 2 * gas::BLOB);
    }

    #[test]
    fn cheap_blobs_do_not_get_cheaper_from_osaka_on() {
        let next = |base_fee| {
            let parent = parent(10, 3, base_fee);
            next_excess_blob_gas(SpecId::OSAKA, &BlobParams::PRAGUE, &parent)
        };
        // At 16 wei a blob costs as much by both counts.
        assert_eq!(next(16), 7 * gas::BLOB);
        assert_eq!(next(17), 11 * gas::BLOB);
    }
}
