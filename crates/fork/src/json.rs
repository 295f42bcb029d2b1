//! Values of Ethereum's JSON-RPC, read strictly: hexadecimal digits behind `0x`, nothing else.

use serde_json::value::RawValue;
use zvm_core::{Address, B256, Bytes, U256, hex};

/// The digits of a JSON string of hexadecimal digits. `Err` says what was found.
fn digits(value: &RawValue) -> Result<&str, String> {
    let text = value.get();
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let digits = inside.and_then(|text| text.strip_prefix("0x"));
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits.ok_or_else(|| format!("{}, expected hexadecimal digits", shortened(text)))
}

/// A number of up to 256 bits, or a word of 32 bytes.
pub(crate) fn word(value: &RawValue) -> Result<U256, String> {
    let found = digits(value)?;
    let number = match found.len() {
        1..=64 => U256::from_str_radix(found, 16).ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{}, expected up to 32 bytes", shortened(value.get())))
}

/// A number of up to 64 bits.
pub(crate) fn quantity(value: &RawValue) -> Result<u64, String> {
    let number = word(value)?;
    u64::try_from(number).map_err(|_| format!("{number:#x}, expected up to 64 bits"))
}

/// Any bytes.
pub(crate) fn bytes(value: &RawValue) -> Result<Bytes, String> {
    let decoded = hex::decode(digits(value)?);
    decoded.map(Bytes::from).map_err(|error| error.to_string())
}

/// An address as a parameter.
pub(crate) fn of_address(address: Address) -> String {
    format!("\"{address:#x}\"")
}

/// 32 bytes as a parameter.
pub(crate) fn of_word(word: U256) -> String {
    format!("\"{}\"", B256::from(word))
}

/// A number as a parameter.
pub(crate) fn of_quantity(number: u64) -> String {
    format!("\"{number:#x}\"")
}

/// Whatever a node has sent, fit for a message.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut plain = text.chars().filter(|c| !c.is_control());
    let mut short: String = plain.by_ref().take(CHARS_MAX).collect();
    if plain.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn numbers_are_hexadecimal_digits_and_nothing_else() {
        assert_eq!(word(&raw("\"0x0\"")), Ok(U256::ZERO));
        let padded = format!("\"0x{:064x}\"", 7);
        assert_eq!((word(&raw(&padded)), quantity(&raw(&padded))), (Ok(U256::from(7)), Ok(7)));
        assert_eq!(word(&raw(&format!("\"0x{}\"", "f".repeat(64)))), Ok(U256::MAX));
        for wrong in
            ["7", "\"7\"", "\"0x\"", "null", "\"0xg\"", "\"0x+1\"", "\"0x_1\"", "[]", "\"0x1 \""]
        {
            assert!(word(&raw(wrong)).is_err(), "{wrong}");
        }
        assert!(word(&raw(&format!("\"0x{}\"", "0".repeat(65)))).is_err());
        assert!(quantity(&raw("\"0x10000000000000000\"")).is_err());
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(bytes(&raw("\"0x\"")), Ok(Bytes::new()));
        assert_eq!(bytes(&raw("\"0x00fF\"")), Ok(Bytes::from_static(&[0, 255])));
        assert!(bytes(&raw("\"0x0\"")).is_err() && bytes(&raw("null")).is_err());
    }

    #[test]
    fn long_answers_are_shortened() {
        let error = word(&raw(&format!("\"{}\"", "é".repeat(9000)))).unwrap_err();
        assert!(error.len() < 250 && error.contains('…'), "{error}");
    }
}
