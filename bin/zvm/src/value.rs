//! Reading values from text: hex, numbers, wei. Every message says what was found and where.

use alloy_primitives::utils::parse_units;
use zvm::{Address, B256, Bytes, U256};

/// Bytes from hex digits, with or without `0x`. Positions count from 0 in `text`.
pub(crate) fn hex(text: &str) -> Result<Bytes, String> {
    let (start, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (2, digits),
        None => (0, text),
    };
    if let Some((at, digit)) = digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
        return Err(format!("character {digit:?} at {} is no hex digit", start + at));
    }
    if digits.len() % 2 == 1 {
        return Err(format!("odd number of hex digits ({})", digits.len()));
    }
    zvm::hex::decode(digits).map(Bytes::from).map_err(|error| error.to_string())
}

/// An address: 40 hex digits, with or without `0x`. Capitals are not checked (EIP-55).
pub(crate) fn address(text: &str) -> Result<Address, String> {
    let bytes = hex(text)?;
    Address::try_from(bytes.as_ref())
        .map_err(|_| format!("{} bytes, expected an address of 20", bytes.len()))
}

/// A hash: 64 hex digits, with or without `0x`.
pub(crate) fn hash(text: &str) -> Result<B256, String> {
    let bytes = hex(text)?;
    B256::try_from(bytes.as_ref())
        .map_err(|_| format!("{} bytes, expected a hash of 32", bytes.len()))
}

/// A 256-bit number in decimal, or in hex after `0x`.
pub(crate) fn word(text: &str) -> Result<U256, String> {
    let (radix, digits) = match text.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, text),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("{text:?} is no number; expected decimal digits, or hex after 0x"));
    }
    U256::from_str_radix(digits, radix.into()).map_err(|_| format!("{text} is 2^256 or more"))
}

/// Wei: a number as in [`word`], or one with a unit, such as `1.5ether` or `20gwei`.
pub(crate) fn wei(text: &str) -> Result<U256, String> {
    for unit in ["ether", "gwei", "wei"] {
        if let Some(amount) = text.strip_suffix(unit) {
            let amount = amount.trim_end();
            // The library also takes signs and nothing at all.
            let is_plain = amount.starts_with(|c: char| c.is_ascii_digit())
                && amount.chars().all(|c| c.is_ascii_digit() || c == '.');
            let units = parse_units(amount, unit).ok().filter(|_| is_plain);
            return units
                .map(|wei| wei.get_absolute())
                .ok_or_else(|| format!("{amount:?} is no amount of {unit}"));
        }
    }
    word(text).map_err(|error| format!("{error} (or an amount of wei, gwei or ether)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_faults_are_placed() {
        assert_eq!(hex("0x6001").unwrap().as_ref(), [0x60, 1]);
        assert_eq!(hex("").unwrap().len(), 0);
        assert_eq!(hex("6001600").unwrap_err(), "odd number of hex digits (7)");
        assert_eq!(hex("0x60g1").unwrap_err(), "character 'g' at 4 is no hex digit");
        assert_eq!(hex("60é1").unwrap_err(), "character 'é' at 2 is no hex digit");
    }

    #[test]
    fn wei_knows_units() {
        assert_eq!(wei("1.5ether"), Ok(U256::from(1_500_000_000_000_000_000_u64)));
        assert_eq!(wei("20 gwei"), Ok(U256::from(20_000_000_000_u64)));
        assert_eq!((wei("7wei"), wei("0x10")), (Ok(U256::from(7)), Ok(U256::from(16))));
        for bad in ["", "ether", "-1", "-1ether", "1e3", "1.5", "0x", "+1wei"] {
            assert!(wei(bad).is_err(), "{bad}: {:?}", wei(bad));
        }
        assert!(word(&"9".repeat(78)).unwrap_err().contains("2^256"));
    }
}
