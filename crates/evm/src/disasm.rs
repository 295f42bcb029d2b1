//! Code as a sequence of instructions.

use std::fmt;

use crate::opcode;

/// An opcode with its place and immediate data.
///
/// Shown as in assembly, `PUSH2 0x0102`, by the names of the latest hard fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// Offset of the opcode in the code.
    pub pc: usize,
    /// The opcode, defined or not.
    pub opcode: u8,
    /// Data of a `PUSHn`: n bytes, fewer only where the code ends inside them. The machine reads
    /// the missing bytes as zeros.
    pub immediate: &'a [u8],
}

impl Instruction<'_> {
    /// Whether the code ends inside the immediate data.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.immediate.len() < opcode::immediate_len(self.opcode)
    }
}

impl fmt::Display for Instruction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match opcode::OPCODES[usize::from(self.opcode)] {
            Some(info) => f.write_str(info.name)?,
            None => write!(f, "UNDEFINED({:#04x})", self.opcode)?,
        }
        if !self.immediate.is_empty() {
            write!(f, " {}", zvm_core::hex::encode_prefixed(self.immediate))?;
        }
        if self.is_truncated() {
            f.write_str(" (truncated)")?;
        }
        Ok(())
    }
}

/// The instructions of `code` from its start, data after the last jump included.
///
/// ```
/// let text: Vec<_> =
///     zvm_evm::disassemble(&[0x60, 0x01, 0x5b]).map(|i| format!("{} {i}", i.pc)).collect();
/// assert_eq!(text, ["0 PUSH1 0x01", "2 JUMPDEST"]);
/// ```
pub fn disassemble(code: &[u8]) -> impl Iterator<Item = Instruction<'_>> {
    let mut pc = 0;
    std::iter::from_fn(move || {
        let (&opcode, rest) = code.get(pc..)?.split_first()?;
        let immediate = &rest[..opcode::immediate_len(opcode).min(rest.len())];
        let instruction = Instruction { pc, opcode, immediate };
        pc += 1 + immediate.len();
        Some(instruction)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediates_are_not_instructions() {
        let code = [0x61, 0x5b, 0x5b, 0x5b, 0x5f, 0x0c];
        let pcs: Vec<_> = disassemble(&code).map(|i| (i.pc, i.to_string())).collect();
        let expected = [(0, "PUSH2 0x5b5b"), (3, "JUMPDEST"), (4, "PUSH0"), (5, "UNDEFINED(0x0c)")];
        assert_eq!(pcs, expected.map(|(pc, text)| (pc, text.to_owned())));
    }

    #[test]
    fn push_at_the_end_is_truncated() {
        let text = |code: &[u8]| disassemble(code).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(text(&[0x62, 0x01]), ["PUSH3 0x01 (truncated)"]);
        assert_eq!(text(&[0x7f]), ["PUSH32 (truncated)"]);
        assert!(text(&[]).is_empty());
    }
}
