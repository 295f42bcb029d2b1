//! Bytes behind hex digits, as `anvil_dumpState` answers them.

use std::io::{self, BufRead, Read};

/// Reads `0x…`, with or without quotes and white space around it, as the bytes it stands for.
pub(super) struct Hexed<R> {
    digits: R,
    /// Number of bytes of text read.
    offset: u64,
    /// Quotes and `0x` lie behind.
    has_begun: bool,
}

impl<R: BufRead> Hexed<R> {
    pub(super) fn new(digits: R) -> Self {
        Self { digits, offset: 0, has_begun: false }
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let Some(&byte) = self.digits.fill_buf()?.first() else { return Ok(None) };
        self.digits.consume(1);
        self.offset += 1;
        Ok(Some(byte))
    }

    /// The first digit after everything that may stand before it.
    fn begin(&mut self) -> io::Result<Option<u8>> {
        self.has_begun = true;
        loop {
            match self.next()? {
                Some(byte) if byte.is_ascii_whitespace() || byte == b'"' => {}
                Some(b'0') => match self.next()? {
                    Some(b'x') => return self.next(),
                    _ => return Err(self.fault("0x")),
                },
                first => return Ok(first),
            }
        }
    }

    fn digit(&self, byte: Option<u8>) -> io::Result<u8> {
        let digit = byte.and_then(|byte| char::from(byte).to_digit(16));
        digit.map(|digit| digit as u8).ok_or_else(|| self.fault("a hex digit"))
    }

    fn fault(&self, expected: &str) -> io::Error {
        let at = self.offset;
        io::Error::new(io::ErrorKind::InvalidData, format!("byte {at}: expected {expected}"))
    }
}

impl<R: BufRead> Read for Hexed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len();
        for (at, byte) in buffer.iter_mut().enumerate() {
            let high = if self.has_begun { self.next()? } else { self.begin()? };
            if high.is_none_or(|byte| byte == b'"' || byte.is_ascii_whitespace()) {
                return Ok(at);
            }
            let high = self.digit(high)?;
            let low = self.next()?;
            *byte = high << 4 | self.digit(low)?;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_prefix_are_passed_over() {
        for text in ["0x1f8B00", "\"0x1f8b00\"\n", " \"0x1f8b00\" ", "1f8b00"] {
            let mut bytes = Vec::new();
            Hexed::new(text.as_bytes()).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, [0x1f, 0x8b, 0], "{text}");
        }
    }

    #[test]
    fn what_is_no_digit_is_named_with_its_place() {
        for (text, at) in [("0x1f8", 5), ("0x1g", 4), ("01", 2)] {
            let error = Hexed::new(text.as_bytes()).read_to_end(&mut Vec::new()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("byte {at}: ")), "{text}: {error}");
        }
    }
}
