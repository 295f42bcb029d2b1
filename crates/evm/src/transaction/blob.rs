//! The blob gas market (EIP-4844).

use zvm_core::{BlobParams, U256};

use crate::gas;

/// Blob gas of `count` blobs.
pub(crate) fn gas(count: usize) -> u64 {
    (count as u64).saturating_mul(gas::BLOB)
}

/// Blob gas of as many blobs as a block may hold.
pub(crate) fn gas_max(params: &BlobParams) -> u64 {
    params.max.saturating_mul(gas::BLOB)
}

/// Wei per blob gas at `excess` blob gas: `fake_exponential` of EIP-4844, `e^(excess / fraction)`
/// in integers. Saturates where the value does not fit a word.
pub(crate) fn base_fee(excess: u64, params: &BlobParams) -> U256 {
    if excess == 0 {
        // The common case, and every block before Cancun.
        return U256::ONE;
    }
    let denominator = U256::from(params.base_fee_update_fraction.max(1));
    let numerator = U256::from(excess);
    let mut output = U256::ZERO;
    let mut term = denominator;
    let mut i = 1u64;
    while !term.is_zero() {
        output = output.saturating_add(term);
        let Some(product) = term.checked_mul(numerator) else { return U256::MAX };
        term = product / (denominator * U256::from(i));
        i += 1;
    }
    output / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_starts_at_one_wei_and_grows_exponentially() {
        let params = BlobParams::CANCUN;
        assert_eq!(base_fee(0, &params), U256::from(1));
        assert_eq!(base_fee(2_314_057, &params), U256::from(1));
        assert_eq!(base_fee(2_314_058, &params), U256::from(2));
        assert_eq!(base_fee(10 * 1024 * 1024, &params), U256::from(23));
        assert_eq!(base_fee(u64::MAX, &params), U256::MAX);
    }
}
