//! Code as a list of instructions that can be cut without breaking its jumps.

use std::{collections::HashMap, fmt};

use zvm_core::{U256, hex};
use zvm_evm::opcode as op;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// An opcode without immediate bytes.
    Plain(u8),
    /// `PUSH1` to `PUSH32` by width in bytes, `PUSH0` for 0.
    Push(usize, U256),
    /// A `JUMPDEST` with a number.
    Label(u32),
    /// `PUSH2` of the place of a label; 0xffff if it is gone.
    Target(u32),
    /// `PUSH2` of the place of a part of the code.
    PartOffset(usize),
    /// `PUSH2` of the length of a part of the code.
    PartLen(usize),
    /// Bytes as they are.
    Bytes(Vec<u8>),
}

/// Instructions, followed by parts that other code is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// What runs.
    pub ops: Vec<Op>,
    /// Initcode and runtime code to copy from here. Cut parts become empty, so numbers stay.
    pub parts: Vec<Code>,
}

impl Op {
    fn len(&self) -> usize {
        match self {
            Self::Plain(_) | Self::Label(_) => 1,
            Self::Push(width, _) => 1 + width,
            Self::Target(_) | Self::PartOffset(_) | Self::PartLen(_) => 3,
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

impl Code {
    /// The bytes.
    #[must_use]
    pub fn assemble(&self) -> Vec<u8> {
        let parts: Vec<Vec<u8>> = self.parts.iter().map(Self::assemble).collect();
        let mut labels = HashMap::new();
        let mut end = 0;
        for op in &self.ops {
            if let Op::Label(label) = op {
                labels.insert(*label, end);
            }
            end += op.len();
        }
        let mut offsets = Vec::new();
        for part in &parts {
            offsets.push(end);
            end += part.len();
        }
        let mut bytes = Vec::with_capacity(end);
        for op in &self.ops {
            match op {
                Op::Plain(opcode) => bytes.push(*opcode),
                Op::Push(width, value) => {
                    bytes.push(op::PUSH0 + *width as u8);
                    bytes.extend(&value.to_be_bytes::<32>()[32 - width..]);
                }
                Op::Label(_) => bytes.push(op::JUMPDEST),
                Op::Target(label) => push2(&mut bytes, labels.get(label).copied()),
                Op::PartOffset(part) => push2(&mut bytes, offsets.get(*part).copied()),
                Op::PartLen(part) => push2(&mut bytes, parts.get(*part).map(Vec::len)),
                Op::Bytes(raw) => bytes.extend(raw),
            }
        }
        parts.iter().for_each(|part| bytes.extend(part));
        bytes
    }

    /// Writes the listing, indented for parts.
    fn list(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let mut pc = 0;
        for op in &self.ops {
            writeln!(f, "{:indent$}{pc:5x}  {op}", "")?;
            pc += op.len();
        }
        for (number, part) in self.parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            writeln!(f, "{:indent$}part {number}:", "")?;
            part.list(f, indent + 4)?;
        }
        Ok(())
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.parts.iter().all(Self::is_empty)
    }
}

fn push2(bytes: &mut Vec<u8>, value: Option<usize>) {
    let value = value.and_then(|value| u16::try_from(value).ok()).unwrap_or(u16::MAX);
    bytes.push(op::PUSH1 + 1);
    bytes.extend(value.to_be_bytes());
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(opcode) => match op::OPCODES[usize::from(*opcode)] {
                Some(info) => f.write_str(info.name),
                None => write!(f, "{opcode:#04x}"),
            },
            Self::Push(width, value) => write!(f, "PUSH{width} {value:#x}"),
            Self::Label(label) => write!(f, "JUMPDEST :{label}"),
            Self::Target(label) => write!(f, "PUSH2 :{label}"),
            Self::PartOffset(part) => write!(f, "PUSH2 offset of part {part}"),
            Self::PartLen(part) => write!(f, "PUSH2 length of part {part}"),
            Self::Bytes(bytes) => write!(f, "bytes {}", hex::encode(bytes)),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list(f, 4)
    }
}
