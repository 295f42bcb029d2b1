//! Calls, creations, and what comes back from them.

use zvm_core::{Address, SpecId, U256};
use zvm_evm::opcode as op;

use super::{body, body::Writer, words};
use crate::Op;

impl Writer<'_> {
    /// Puts an address on the stack.
    pub(super) fn address(&mut self) {
        match self.rng.below(20) {
            0..=1 => self.apply(op::ADDRESS, 0, 1),
            2 => self.apply(op::CALLER, 0, 1),
            3 => self.apply(op::COINBASE, 0, 1),
            4 if self.free() > 0 => {}
            5 => {
                // Only the low 20 bytes count.
                let dirt = U256::from(self.rng.next()) << 160;
                let address = U256::from_be_bytes(self.places.any(self.rng).into_word().0);
                self.push(dirt | address);
            }
            _ => {
                let address = self.places.any(self.rng);
                self.push_address(address);
            }
        }
    }

    pub(super) fn push_address(&mut self, address: Address) {
        self.push(address.into_word().into());
    }

    /// A call of any kind to anything.
    pub(super) fn call(&mut self) {
        let kind = self.rng.weighted(&[
            (10, op::CALL),
            (3, op::CALLCODE),
            (if self.has(SpecId::HOMESTEAD) { 6 } else { 0 }, op::DELEGATECALL),
            (if self.has(SpecId::BYZANTIUM) { 5 } else { 0 }, op::STATICCALL),
        ]);
        let precompile = self.rng.chance(18);
        let (output, input) = (self.area(), self.area());
        let input = if precompile { self.precompile_input() } else { input };
        for word in [output.1, output.0, input.1, input.0] {
            self.push(word);
        }
        let has_value = matches!(kind, op::CALL | op::CALLCODE);
        if has_value {
            let value = match self.rng.below(20) {
                0..=13 => U256::ZERO,
                14..=17 => U256::from(self.rng.below(20)),
                18 => U256::from(self.rng.below(2_000)),
                _ => words::word(self.rng),
            };
            self.push(value);
        }
        if precompile {
            let address = self.places.precompile(self.rng);
            self.push_address(address);
        } else {
            self.address();
        }
        self.gas();
        self.apply(kind, if has_value { 7 } else { 6 }, 1);
        if self.rng.chance(30) && self.has(SpecId::BYZANTIUM) {
            self.return_data();
        }
        self.sink();
    }

    /// How much gas to give.
    fn gas(&mut self) {
        // Before EIP-150 asking for more gas than there is ends the frame.
        let most = if self.has(SpecId::TANGERINE) { 10 } else { 1 };
        match 9 - self.rng.below(most) {
            0..=3 => self.apply(op::GAS, 0, 1),
            4 => {
                let gas = words::word(self.rng);
                self.push(gas);
            }
            _ => {
                let gas = self.rng.pick(&[0, 1, 700, 2_300, 5_000, 9_000, 30_000, 60_000, 100_000]);
                self.push_small(gas);
            }
        }
    }

    /// Offset and length in memory.
    fn area(&mut self) -> (U256, U256) {
        (words::offset(self.rng), words::length(self.rng))
    }

    /// Writes a few words that some precompile may like, and says where they are.
    fn precompile_input(&mut self) -> (U256, U256) {
        let lengths = [0, 32, 64, 96, 128, 160, 192, 213, 256, 288, 384];
        let length = self.rng.pick(&lengths);
        if self.rng.chance(15) {
            // A signature that recovers.
            for (i, word) in SIGNATURE.into_iter().enumerate() {
                self.push(word);
                self.push_small(32 * i as u64);
                self.apply(op::MSTORE, 2, 0);
            }
        } else {
            for i in 0..self.rng.below(length / 32 + 1) {
                // (1, 2) is a point of BN254, and small lengths are what MODEXP wants.
                let word = self.rng.pick(&[0_u64, 1, 1, 2, 2, 3, 32]);
                self.push_small(word);
                self.push_small(32 * i);
                self.apply(op::MSTORE, 2, 0);
            }
        }
        (U256::ZERO, U256::from(length))
    }

    /// Copies from what the last call returned.
    pub(super) fn return_data(&mut self) {
        if !self.has(SpecId::BYZANTIUM) && !self.rng.chance(2) {
            return;
        }
        if self.rng.chance(85) {
            // All of it, from a place that may be one too far.
            self.apply(op::RETURNDATASIZE, 0, 1);
            let source = if self.rng.chance(2) { U256::from(1) } else { U256::ZERO };
            self.push(source);
        } else {
            let (source, length) = if self.rng.chance(90) {
                (U256::ZERO, U256::from(if self.rng.chance(15) { 32 } else { 0 }))
            } else {
                (words::offset(self.rng), words::length(self.rng))
            };
            self.push(length);
            self.push(source);
        }
        let offset = words::offset(self.rng);
        self.push(offset);
        self.apply(op::RETURNDATACOPY, 3, 0);
    }

    /// Creates a contract from a part of this code, and maybe calls it.
    pub(super) fn create(&mut self) {
        let initcode = body::initcode(self.rng, self.places, self.level);
        let part = self.code.parts.len();
        self.code.parts.push(initcode);
        let at = U256::from(self.rng.below(3) * 32);
        self.part_to_memory(part, at);
        let create2 = self.has(SpecId::PETERSBURG) && self.rng.chance(50);
        if create2 {
            let salt = U256::from(self.rng.below(2));
            self.push(salt);
        }
        self.code.ops.push(Op::PartLen(part));
        self.height += 1;
        self.push(at);
        let value = if self.rng.chance(75) { 0 } else { self.rng.below(100) };
        self.push_small(value);
        if create2 {
            self.apply(op::CREATE2, 4, 1);
        } else {
            self.apply(op::CREATE, 3, 1);
        }
        if self.rng.chance(60) {
            self.call_created();
        }
        self.sink();
    }

    /// Calls the address on top of the stack, which stays there.
    fn call_created(&mut self) {
        for _ in 0..5 {
            self.push_small(0);
        }
        self.apply(op::DUP1 + 5, 0, 1);
        self.gas();
        self.apply(op::CALL, 7, 1);
        self.pop();
    }

    fn part_to_memory(&mut self, part: usize, at: U256) {
        self.code.ops.push(Op::PartLen(part));
        self.code.ops.push(Op::PartOffset(part));
        self.height += 2;
        self.push(at);
        self.apply(op::CODECOPY, 3, 0);
    }

    /// Ends initcode by returning runtime code.
    pub(super) fn deploy(&mut self) {
        if self.rng.chance(8) {
            // Code that may not be deployed: reserved, or too long.
            if self.rng.chance(50) {
                self.push(U256::from(0xef));
                self.push_small(0);
                self.apply(op::MSTORE8, 2, 0);
            }
            let length = self.rng.pick(&[1, 32, 24_576, 24_577]);
            self.push_small(length);
            self.push_small(0);
            return self.op(op::RETURN);
        }
        let runtime = match self.level {
            0..=2 => body::contract(self.rng, self.places),
            _ => crate::Code::default(),
        };
        let part = self.code.parts.len();
        self.code.parts.push(runtime);
        self.part_to_memory(part, U256::ZERO);
        self.code.ops.push(Op::PartLen(part));
        self.height += 1;
        self.push_small(0);
        self.op(op::RETURN);
    }
}

/// Hash, v, r and s of a signature that ECRECOVER accepts.
const SIGNATURE: [U256; 4] = [
    zvm_core::uint!(0x18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f15d3d1c9_U256),
    zvm_core::uint!(28_U256),
    zvm_core::uint!(0x73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f_U256),
    zvm_core::uint!(0xeeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549_U256),
];
