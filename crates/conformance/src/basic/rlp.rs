//! RLP and the value it is of, or RLP that is none; and paths of trie nodes within it.

use alloy_rlp::Encodable;
use serde::Deserialize;
use serde_json::Value;
use zvm_core::{
    hex,
    rlp::{Reader, RlpError, write_list},
};

/// A case as the file has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    /// A string, a number, a list of such, or `VALID` or `INVALID`.
    #[serde(rename = "in")]
    value: Value,
    /// The RLP.
    out: String,
}

impl Case {
    pub(super) fn run(&self) -> Result<(), String> {
        let bytes = hex::decode(&self.out).map_err(|error| format!("out: {error}"))?;
        let outcome = walk(&bytes);
        if self.value == "INVALID" {
            return match outcome {
                Ok(()) => Err("read as RLP, expected an error".to_owned()),
                Err(_) => Ok(()),
            };
        }
        outcome.map_err(|error| format!("{error}, expected it valid"))?;
        if self.value == "VALID" {
            return Ok(());
        }
        let mut encoded = Vec::new();
        write(&self.value, &mut encoded)?;
        super::expect("the encoding", hex::encode(encoded), hex::encode(bytes))
    }
}

/// Nibbles in hex-prefix encoding.
#[derive(Debug, Deserialize)]
pub(crate) struct HexPrefix {
    seq: Vec<u8>,
    /// Whether they end at a leaf.
    term: bool,
    out: String,
}

impl HexPrefix {
    pub(super) fn run(&self) -> Result<(), String> {
        // Two nibbles to a byte; a last one alone has a zero behind it that is not written.
        let pairs = self.seq.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0));
        let key: Vec<u8> = pairs.collect();
        let mut written = Vec::new();
        zvm_trie::write_path(&mut written, &key, 0, self.seq.len(), self.term);
        let path = Reader::new(&written).string("path").map_err(|error| error.to_string())?;
        super::expect("the path", &hex::encode(path), &self.out)
    }
}

/// Reads every item, however deep: lists that are open lie on a stack of their own.
fn walk(bytes: &[u8]) -> Result<(), RlpError> {
    let mut outermost = Reader::new(bytes);
    let first = outermost.item("item")?;
    outermost.finish("input")?;
    let mut open = vec![first.is_list.then(|| first.reader())];
    while let Some(list) = open.last_mut() {
        match list.as_mut().filter(|list| !list.is_empty()) {
            None => drop(open.pop()),
            Some(list) => {
                let item = list.item("item")?;
                open.extend(item.is_list.then(|| Some(item.reader())));
            }
        }
    }
    Ok(())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::String(text) => match text.strip_prefix('#') {
            Some(digits) => write_integer(digits, out)?,
            None => text.as_bytes().encode(out),
        },
        Value::Number(number) => write_integer(&number.to_string(), out)?,
        Value::Array(items) => {
            let mut result = Ok(());
            write_list(out, |out| result = items.iter().try_for_each(|item| write(item, out)));
            result?;
        }
        other => return Err(format!("{other} in a value, expected strings, numbers and lists")),
    }
    Ok(())
}

/// An integer of any size in decimal digits.
fn write_integer(digits: &str, out: &mut Vec<u8>) -> Result<(), String> {
    // Base 256, least byte first.
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let digit = digit.to_digit(10).ok_or_else(|| format!("{digits} is no number"))?;
        let mut carry = digit;
        for byte in &mut bytes {
            let sum = u32::from(*byte) * 10 + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.reverse();
    bytes.as_slice().encode(out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_no_matter_of_the_stack() {
        let mut bytes = vec![0xc0];
        for _ in 0..2000 {
            let mut outer = Vec::new();
            write_list(&mut outer, |out| out.extend_from_slice(&bytes));
            bytes = outer;
        }
        assert_eq!(walk(&bytes), Ok(()));
        let last = bytes.len() - 1;
        bytes[last] = 0xc1;
        assert!(walk(&bytes).is_err());
    }

    #[test]
    fn integers_of_any_size_are_written() {
        let encoded = |digits: &str| {
            let mut out = Vec::new();
            write_integer(digits, &mut out).map(|()| hex::encode(out))
        };
        assert_eq!(encoded("0").unwrap(), "80");
        assert_eq!(encoded("127").unwrap(), "7f");
        assert_eq!(encoded("256").unwrap(), "820100");
        assert_eq!(encoded("18446744073709551616").unwrap(), "89010000000000000000");
        assert!(encoded("1x").is_err());
    }
}
