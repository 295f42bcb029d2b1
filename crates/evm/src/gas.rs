//! Dynamic gas: constants and formulas. Static gas is in the [opcode table](crate::opcode).

use zvm_core::{SpecId, U256};

/// Yellow Paper, `G_transaction`.
pub(crate) const TRANSACTION: u64 = 21_000;
/// EIP-2: a creating transaction costs more from Homestead on.
pub(crate) const TRANSACTION_CREATE: u64 = 32_000;
/// Yellow Paper, `G_txdatazero`.
pub(crate) const CALLDATA_ZERO: u64 = 4;
/// Yellow Paper, `G_txdatanonzero`, before EIP-2028.
pub(crate) const CALLDATA_NONZERO_FRONTIER: u64 = 68;
/// EIP-2028: calldata byte other than zero.
pub(crate) const CALLDATA_NONZERO: u64 = 16;
/// EIP-7623: floor per calldata token.
pub(crate) const FLOOR_PER_TOKEN: u64 = 10;
/// EIP-2930: each address of an access list.
pub(crate) const ACCESS_LIST_ADDRESS: u64 = 2400;
/// EIP-2930: each slot of an access list.
pub(crate) const ACCESS_LIST_SLOT: u64 = 1900;
/// EIP-7702: each authorisation, as if its account were new.
pub(crate) const NEW_AUTHORIZATION: u64 = 25_000;
/// EIP-7702: base cost of an authorisation; the rest is refunded for an account that exists.
pub(crate) const AUTHORIZATION_BASE: u64 = 12_500;
/// EIP-7825: most gas a transaction may buy.
pub const TRANSACTION_GAS_CAP: u64 = 1 << 24;
/// EIP-4844: gas of one blob.
pub(crate) const BLOB: u64 = 1 << 17;

/// EIP-2929: first touch of an account.
pub(crate) const COLD_ACCOUNT: u64 = 2600;
/// EIP-2929: first touch of a slot.
pub(crate) const COLD_SLOT: u64 = 2100;
/// EIP-2929: any later touch.
pub(crate) const WARM: u64 = 100;

/// Yellow Paper, `G_callvalue`.
pub(crate) const CALL_VALUE: u64 = 9000;
/// Yellow Paper, `G_callstipend`: gas a callee gets on top when value is sent.
pub(crate) const CALL_STIPEND: u64 = 2300;
/// Yellow Paper, `G_newaccount`.
pub(crate) const NEW_ACCOUNT: u64 = 25_000;
/// Yellow Paper, `G_codedeposit`, per byte of deployed code.
pub(crate) const CODE_DEPOSIT: u64 = 200;
/// EIP-3860: per word of initcode.
pub(crate) const INITCODE_WORD: u64 = 2;
/// Yellow Paper, `G_keccak256word`; also what CREATE2 pays to hash initcode (EIP-1014).
pub(crate) const KECCAK_WORD: u64 = 6;
/// Yellow Paper, `G_copy`, per word.
pub(crate) const COPY_WORD: u64 = 3;
/// Yellow Paper, `G_logdata`, per byte.
pub(crate) const LOG_BYTE: u64 = 8;

/// Yellow Paper, `G_sset`.
pub(crate) const SSTORE_SET: u64 = 20_000;
/// Yellow Paper, `G_sreset`.
pub(crate) const SSTORE_RESET: u64 = 5000;
/// EIP-2200: `SSTORE` needs more than this to run at all.
pub(crate) const SSTORE_SENTRY: u64 = 2300;
/// Refund for clearing a slot until EIP-3529.
pub(crate) const SSTORE_CLEAR_REFUND_FRONTIER: i64 = 15_000;
/// EIP-3529: `SSTORE_RESET - COLD_SLOT + ACCESS_LIST_SLOT`.
pub(crate) const SSTORE_CLEAR_REFUND: i64 = 4800;
/// Refund of `SELFDESTRUCT` until EIP-3529.
pub(crate) const SELFDESTRUCT_REFUND: i64 = 24_000;

/// Price of `words` words of memory (Yellow Paper, `C_mem`). At most 2^33 words are asked for.
#[inline]
pub(crate) const fn memory(words: u64) -> u64 {
    3 * words + words * words / 512
}

/// Price of `per_word` for every word begun by `bytes`.
#[inline]
pub(crate) const fn per_word(bytes: u64, per_word: u64) -> u64 {
    bytes.div_ceil(32).saturating_mul(per_word)
}

/// All but one 64th (EIP-150).
#[inline]
pub(crate) const fn all_but_64th(gas: u64) -> u64 {
    gas - gas / 64
}

/// Price of each byte of the exponent of `EXP` (10, since EIP-160 50).
#[inline]
pub(crate) const fn exp_byte(spec: SpecId) -> u64 {
    if spec.has(SpecId::SPURIOUS_DRAGON) { 50 } else { 10 }
}

/// Gas and refund of an `SSTORE`, without the cold surcharge of EIP-2929.
///
/// `original` is the word before the transaction, `present` before the opcode.
pub(crate) fn sstore(spec: SpecId, original: U256, present: U256, new: U256) -> (u64, i64) {
    let net_metered = spec == SpecId::CONSTANTINOPLE || spec.has(SpecId::ISTANBUL);
    if !net_metered {
        let is_set = present.is_zero() && !new.is_zero();
        let is_clear = !present.is_zero() && new.is_zero();
        let refund = if is_clear { SSTORE_CLEAR_REFUND_FRONTIER } else { 0 };
        return (if is_set { SSTORE_SET } else { SSTORE_RESET }, refund);
    }
    // EIP-1283, re-priced by EIP-2200, 2929 and 3529.
    let (load, reset) = match spec {
        _ if spec.has(SpecId::BERLIN) => (WARM, SSTORE_RESET - COLD_SLOT),
        _ if spec.has(SpecId::ISTANBUL) => (800, SSTORE_RESET),
        _ => (200, SSTORE_RESET),
    };
    let clear =
        if spec.has(SpecId::LONDON) { SSTORE_CLEAR_REFUND } else { SSTORE_CLEAR_REFUND_FRONTIER };
    if present == new {
        return (load, 0);
    }
    if original == present {
        return match (original.is_zero(), new.is_zero()) {
            (true, _) => (SSTORE_SET, 0),
            (false, true) => (reset, clear),
            (false, false) => (reset, 0),
        };
    }
    let mut refund = 0;
    if !original.is_zero() {
        if present.is_zero() {
            refund -= clear;
        } else if new.is_zero() {
            refund += clear;
        }
    }
    if original == new {
        let paid = if original.is_zero() { SSTORE_SET } else { reset };
        refund += (paid - load) as i64;
    }
    (load, refund)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of EIP-2200: code as (original, writes), gas used without the pushes, refund.
    #[test]
    fn net_metering_matches_the_table_of_eip_2200() {
        let cases: [(u64, &[u64], u64, i64); 12] = [
            (0, &[0, 0], 1600, 0),
            (0, &[0, 1], 20_800, 0),
            (0, &[1, 0], 20_800, 19_200),
            (0, &[1, 2], 20_800, 0),
            (1, &[0, 0], 5800, 15_000),
            (1, &[0, 1], 5800, 4200),
            (1, &[0, 2], 5800, 0),
            (1, &[2, 0], 5800, 15_000),
            (1, &[2, 1], 5800, 4200),
            (1, &[1, 0], 5800, 15_000),
            (0, &[1, 0, 1], 40_800, 19_200),
            (1, &[0, 1, 0], 10_800, 19_200),
        ];
        for (original, writes, gas, refund) in cases {
            let original = U256::from(original);
            let mut present = original;
            let (mut gas_sum, mut refund_sum) = (0, 0);
            for write in writes {
                let new = U256::from(*write);
                let (gas, refund) = sstore(SpecId::ISTANBUL, original, present, new);
                gas_sum += gas;
                refund_sum += refund;
                present = new;
            }
            assert_eq!((gas_sum, refund_sum), (gas, refund), "{original} then {writes:?}");
        }
    }
}
