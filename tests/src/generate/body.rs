//! Code, statement by statement, with an eye on the height of the stack.

use zvm_core::{SpecId, U256};
use zvm_evm::opcode as op;

use super::{words, world::Places};
use crate::{Code, Op, Rng};

/// Code of an account.
pub(super) fn contract(rng: &mut Rng, places: &Places) -> Code {
    let mut writer = Writer::new(rng, places, 1);
    let count = writer.rng.range(1, 14);
    writer.statements(count);
    writer.ending();
    writer.finish()
}

/// Initcode, most of the time of a contract that works. `level` counts the creations around it.
pub(super) fn initcode(rng: &mut Rng, places: &Places, level: u32) -> Code {
    let mut writer = Writer::new(rng, places, level + 1);
    let count = writer.rng.below(4);
    writer.statements(count);
    if writer.rng.chance(75) {
        writer.deploy();
    } else {
        writer.ending();
    }
    writer.finish()
}

/// Code in the making.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) rng: &'a mut Rng,
    pub(super) places: &'a Places,
    pub(super) code: Code,
    /// Words on the stack that this code has put there.
    pub(super) height: usize,
    /// Words at the bottom that are not to be taken: loop counters, return labels.
    pub(super) floor: usize,
    /// Nesting of loops and branches.
    pub(super) nesting: u32,
    /// Creations around this code.
    pub(super) level: u32,
    /// Functions that are called and still to be written.
    pub(super) functions: Vec<u32>,
    labels: u32,
}

impl<'a> Writer<'a> {
    fn new(rng: &'a mut Rng, places: &'a Places, level: u32) -> Self {
        Self {
            rng,
            places,
            code: Code::default(),
            height: 0,
            floor: 0,
            nesting: 0,
            level,
            functions: Vec::new(),
            labels: 0,
        }
    }

    fn finish(mut self) -> Code {
        self.write_functions();
        self.code
    }

    pub(super) fn has(&self, spec: SpecId) -> bool {
        self.places.spec.has(spec)
    }

    pub(super) fn op(&mut self, opcode: u8) {
        self.code.ops.push(Op::Plain(opcode));
    }

    pub(super) fn push(&mut self, value: U256) {
        let least = value.byte_len();
        let width = match self.rng.below(20) {
            0 => self.rng.range(least.max(1) as u64, 32) as usize,
            1 if self.has(SpecId::SHANGHAI) => least,
            _ if self.has(SpecId::SHANGHAI) && self.rng.chance(80) => least,
            _ => least.max(1),
        };
        self.code.ops.push(Op::Push(width, value));
        self.height += 1;
    }

    pub(super) fn push_small(&mut self, value: u64) {
        self.push(U256::from(value));
    }

    pub(super) fn new_label(&mut self) -> u32 {
        self.labels += 1;
        self.labels
    }

    pub(super) fn label(&mut self, label: u32) {
        self.code.ops.push(Op::Label(label));
    }

    pub(super) fn target(&mut self, label: u32) {
        self.code.ops.push(Op::Target(label));
        self.height += 1;
    }

    /// Words that may be taken.
    pub(super) fn free(&self) -> usize {
        self.height.saturating_sub(self.floor)
    }

    /// An opcode that takes `takes` and leaves `leaves`, whose operands are there.
    pub(super) fn apply(&mut self, opcode: u8, takes: usize, leaves: usize) {
        self.op(opcode);
        self.height = self.height.saturating_sub(takes) + leaves;
    }

    pub(super) fn pop(&mut self) {
        self.apply(op::POP, 1, 0);
    }

    pub(super) fn statements(&mut self, count: u64) {
        for _ in 0..count {
            self.statement();
        }
    }

    pub(super) fn statement(&mut self) {
        match self.rng.below(1_000) {
            0..=169 => self.expression(),
            170..=279 => self.mix(),
            280..=379 => self.memory(),
            380..=489 => self.storage(),
            490..=529 => self.transient(),
            530..=579 => self.account(),
            580..=609 => self.log(),
            610..=649 => self.return_data(),
            650..=699 if self.nesting < 3 => self.branch(),
            700..=739 if self.nesting < 2 => self.looped(),
            740..=764 => self.function_call(),
            765..=884 => self.call(),
            885..=924 if self.level < 4 => self.create(),
            925..=944 => self.early_ending(),
            945..=949 => self.flood(),
            950..=964 => self.any_opcode(),
            965..=979 => self.gas_seen(),
            _ => self.environment(),
        }
        self.tidy();
    }

    /// Keeps the stack from growing over the statements.
    fn tidy(&mut self) {
        while self.free() > 20 {
            self.pop();
        }
    }

    /// Puts one word on the stack.
    pub(super) fn operand(&mut self) {
        match self.rng.below(20) {
            0..=9 => {
                let word = words::word(self.rng);
                self.push(word);
            }
            10..=13 if self.height > 0 => self.dup(),
            14 => {
                let offset = words::offset(self.rng);
                self.push(offset);
                self.apply(op::MLOAD, 1, 1);
            }
            15 => {
                let key = words::key(self.rng);
                self.push(key);
                self.apply(op::SLOAD, 1, 1);
            }
            16 => {
                let offset = words::offset(self.rng);
                self.push(offset);
                self.apply(op::CALLDATALOAD, 1, 1);
            }
            _ => self.environment(),
        }
    }

    fn dup(&mut self) {
        let n = self.reach(self.height.min(16) as u64);
        self.apply(op::DUP1 + n, 0, 1);
    }

    /// How far down a `DUP` or `SWAP` goes: anywhere, or as deep as there is something.
    fn reach(&mut self, depth: u64) -> u8 {
        (if self.rng.chance(80) { self.rng.below(depth) } else { depth - 1 }) as u8
    }

    /// Arithmetic on a few operands, the result kept, dropped or stored.
    fn expression(&mut self) {
        let (opcode, takes) = self.arithmetic();
        for _ in 0..takes {
            let have = self.free();
            if have < takes || self.rng.chance(60) {
                self.operand();
            }
        }
        self.apply(opcode, takes, 1);
        self.sink();
    }

    /// An arithmetic opcode of this hard fork and how many words it takes.
    fn arithmetic(&mut self) -> (u8, usize) {
        loop {
            let opcode = self.rng.range(op::ADD.into(), op::CLZ.into()) as u8;
            let takes = match opcode {
                op::ADDMOD | op::MULMOD => 3,
                op::ISZERO | op::NOT => 1,
                op::CLZ if self.has(SpecId::OSAKA) => 1,
                op::SHL | op::SHR | op::SAR if !self.has(SpecId::PETERSBURG) => continue,
                op::ADD..=op::SIGNEXTEND | op::LT..=op::SAR => 2,
                _ => continue,
            };
            return (opcode, takes);
        }
    }

    /// Disposes of the word on top.
    pub(super) fn sink(&mut self) {
        match self.rng.below(10) {
            0..=2 => self.pop(),
            3..=4 => {
                let at = 32 * self.rng.below(8);
                self.push_small(at);
                self.apply(op::MSTORE, 2, 0);
            }
            5 => {
                let key = words::key(self.rng);
                self.push(key);
                self.apply(op::SSTORE, 2, 0);
            }
            _ => {}
        }
    }

    /// A run of stack opcodes and cheap arithmetic: every pair that a decoder may fuse.
    fn mix(&mut self) {
        if self.rng.chance(4) {
            // High enough for SWAP16.
            (0..16).for_each(|word| self.push_small(word));
        }
        for _ in 0..self.rng.range(4, 24) {
            let height = self.height;
            match self.rng.below(10) {
                0..=2 => {
                    let word = words::word(self.rng);
                    self.push(word);
                }
                3..=4 if height > 0 => self.dup(),
                5 if height > 1 && self.free() > 0 => {
                    let deepest = (height - 1).min(16).min(self.free()) as u64;
                    let n = self.reach(deepest);
                    self.op(op::SWAP1 + n);
                }
                6 if self.free() > 0 => self.pop(),
                7 if self.free() > 0 => {
                    let unary = self.rng.pick(&[op::ISZERO, op::NOT]);
                    self.apply(unary, 1, 1);
                }
                8 if self.rng.chance(10) => {
                    let offset = words::offset(self.rng);
                    self.push(offset);
                    let load = self.rng.pick(&[op::MLOAD, op::CALLDATALOAD]);
                    self.apply(load, 1, 1);
                }
                _ => {
                    let (opcode, takes) = self.arithmetic();
                    // EXP by a random word costs more than all the rest.
                    if self.free() >= takes && opcode != op::EXP {
                        self.apply(opcode, takes, 1);
                    }
                }
            }
        }
    }

    fn memory(&mut self) {
        let (offset, length) = (words::offset(self.rng), words::length(self.rng));
        let source = words::offset(self.rng);
        match self.rng.below(9) {
            0..=1 => {
                self.operand();
                self.push(offset);
                let store = self.rng.pick(&[op::MSTORE, op::MSTORE, op::MSTORE8]);
                self.apply(store, 2, 0);
            }
            2 => {
                self.push(offset);
                self.apply(op::MLOAD, 1, 1);
                self.sink();
            }
            3 if self.has(SpecId::CANCUN) => {
                self.push(length);
                self.push(source);
                self.push(offset);
                self.apply(op::MCOPY, 3, 0);
            }
            4 => {
                self.push(length);
                self.push(offset);
                self.apply(op::KECCAK256, 2, 1);
                self.sink();
            }
            5 => {
                self.op(op::MSIZE);
                self.height += 1;
                self.sink();
            }
            _ => {
                let copy = self.rng.pick(&[op::CALLDATACOPY, op::CODECOPY, op::EXTCODECOPY]);
                self.push(length);
                self.push(source);
                self.push(offset);
                if copy == op::EXTCODECOPY {
                    self.address();
                }
                self.apply(copy, if copy == op::EXTCODECOPY { 4 } else { 3 }, 0);
            }
        }
    }

    fn storage(&mut self) {
        let key = words::key(self.rng);
        if self.rng.chance(30) {
            self.push(key);
            self.apply(op::SLOAD, 1, 1);
            self.sink();
            return;
        }
        // Twice or thrice on one slot: the refund rules live on such sequences.
        for _ in 0..self.rng.range(1, 3) {
            let word = words::stored(self.rng);
            self.push(word);
            self.push(key);
            self.apply(op::SSTORE, 2, 0);
        }
    }

    fn transient(&mut self) {
        if !self.has(SpecId::CANCUN) && !self.rng.chance(1) {
            return self.storage();
        }
        let key = words::key(self.rng);
        if self.rng.chance(50) {
            self.push(key);
            self.apply(op::TLOAD, 1, 1);
            self.sink();
        } else {
            self.operand();
            self.push(key);
            self.apply(op::TSTORE, 2, 0);
        }
    }

    /// Reads another account.
    fn account(&mut self) {
        self.address();
        let read = self.rng.pick(&[op::BALANCE, op::EXTCODESIZE, op::EXTCODEHASH]);
        let known = read != op::EXTCODEHASH || self.has(SpecId::PETERSBURG);
        self.apply(if known { read } else { op::BALANCE }, 1, 1);
        self.sink();
    }

    fn log(&mut self) {
        let topics = self.rng.below(5) as u8;
        for _ in 0..topics {
            self.operand();
        }
        let (offset, length) = (words::offset(self.rng), words::length(self.rng));
        self.push(length);
        self.push(offset);
        self.apply(op::LOG0 + topics, 2 + usize::from(topics), 0);
    }

    /// Something about the transaction or the block.
    fn environment(&mut self) {
        let (opcode, takes) = match self.rng.below(24) {
            0 => (op::ADDRESS, 0),
            1 => (op::ORIGIN, 0),
            2 => (op::CALLER, 0),
            3 => (op::CALLVALUE, 0),
            4 => (op::CALLDATASIZE, 0),
            5 => (op::CODESIZE, 0),
            6 => (op::GASPRICE, 0),
            7 => (op::COINBASE, 0),
            8 => (op::TIMESTAMP, 0),
            9 => (op::NUMBER, 0),
            10 => (op::PREVRANDAO, 0),
            11 => (op::GASLIMIT, 0),
            12 => (op::PC, 0),
            13 => (op::MSIZE, 0),
            14 if self.has(SpecId::BYZANTIUM) => (op::RETURNDATASIZE, 0),
            15 if self.has(SpecId::ISTANBUL) => (op::CHAINID, 0),
            16 if self.has(SpecId::ISTANBUL) => (op::SELFBALANCE, 0),
            17 if self.has(SpecId::LONDON) => (op::BASEFEE, 0),
            18 if self.has(SpecId::CANCUN) => (op::BLOBBASEFEE, 0),
            19 if self.has(SpecId::CANCUN) => (op::BLOBHASH, 1),
            20..=21 => (op::BLOCKHASH, 1),
            _ => (op::GAS, 0),
        };
        match opcode {
            op::BLOBHASH => {
                let index = self.rng.below(8);
                self.push_small(index);
            }
            op::BLOCKHASH if self.rng.chance(80) => {
                // A recent block, by its distance.
                let distance = self.rng.pick(&[0, 1, 2, 255, 256, 257]);
                self.push_small(distance);
                self.apply(op::NUMBER, 0, 1);
                self.apply(op::SUB, 2, 1);
            }
            op::BLOCKHASH => self.operand(),
            _ => {}
        }
        self.apply(opcode, takes, 1);
    }

    /// Makes gas itself part of the result.
    fn gas_seen(&mut self) {
        self.apply(op::GAS, 0, 1);
        let key = words::key(self.rng);
        self.push(key);
        self.apply(op::SSTORE, 2, 0);
    }

    /// Any byte at all.
    fn any_opcode(&mut self) {
        for _ in 0..self.rng.below(4) {
            self.operand();
        }
        let opcode = self.rng.below(256) as u8;
        match opcode {
            // A push would swallow what follows, which is a case of its own below.
            0x5f..=0x7f => {
                let mut bytes = vec![opcode];
                bytes.resize(1 + usize::from(opcode - op::PUSH0), op::JUMPDEST);
                self.code.ops.push(Op::Bytes(bytes));
                self.height += 1;
            }
            _ => self.op(opcode),
        }
    }
}
