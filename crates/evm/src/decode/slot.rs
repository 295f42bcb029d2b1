//! Decoded operations.

/// One decoded operation; 16 bytes.
///
/// Words are named by where they are: a signed offset in bytes from the stack pointer of the
/// block's start. `a` holds where the result goes or, for an opcode that works on the stack as it
/// does in bytecode, where its top is.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// An opcode, or one of [`slot`](self).
    pub(crate) op: u8,
    /// Of a conditional jump: 1 to negate.
    pub(crate) n: u8,
    /// Place of the result. Of a block: least stack height, in bytes.
    pub(crate) a: u16,
    /// Places of two operands, `x` in the lower half. Of a block: static gas.
    pub(crate) b: u32,
    /// A constant, the index of one in the pool, or the place of a third operand. Of a jump, its
    /// target in the upper half. Of a block see [`Slot::height_range`].
    pub(crate) imm: u64,
}

impl Slot {
    pub(super) const fn plain(op: u8) -> Self {
        Self { op, n: 0, a: 0, b: 0, imm: 0 }
    }

    /// Of a block: greatest stack height less the least, in bytes.
    #[inline(always)]
    pub(crate) fn height_range(&self) -> u16 {
        self.imm as u16
    }

    /// Place of the result.
    #[inline(always)]
    pub(crate) fn to(&self) -> isize {
        isize::from(self.a as i16)
    }

    /// Place of the first operand, the top of the stack in bytecode.
    #[inline(always)]
    pub(crate) fn x(&self) -> isize {
        isize::from(self.b as i16)
    }

    /// Place of the second operand.
    #[inline(always)]
    pub(crate) fn y(&self) -> isize {
        isize::from((self.b >> 16) as i16)
    }

    /// Place of the third operand.
    #[inline(always)]
    pub(crate) fn z(&self) -> isize {
        isize::from(self.imm as i16)
    }

    /// Index of the block slot that a jump goes to.
    #[inline(always)]
    pub(crate) fn target(&self) -> usize {
        (self.imm >> 32) as usize
    }

    /// The constant that a comparing jump compares with.
    #[inline(always)]
    pub(crate) fn short(&self) -> u64 {
        self.imm & 0xffff_ffff
    }
}

/// Checks gas and stack of the slots up to the next block.
pub(crate) const BLOCK: u8 = 0x60;
/// Hands over to the raw loop: what comes here faults there.
pub(crate) const DEMOTE: u8 = 0x61;
/// Goes on at slot `imm`, whose block has been paid for: the end of a run of `JUMPDEST`s.
pub(crate) const GOTO: u8 = 0x62;
/// Moves the stack pointer to `a`.
pub(crate) const ADJUST: u8 = 0x63;
/// Moves the stack pointer to `a` and enters the block behind.
pub(crate) const NEXT: u8 = 0x64;
/// `a = imm`.
pub(crate) const IMM: u8 = 0x65;
/// `a =` word `imm` of the pool.
pub(crate) const WORD: u8 = 0x66;
/// `a = x`.
pub(crate) const MOVE: u8 = 0x67;
/// `a = x`, then `y = z`.
pub(crate) const MOVE2: u8 = 0x68;
/// Exchanges `a` and `x`.
pub(crate) const EXCHANGE: u8 = 0x69;
/// `MLOAD` and `MSTORE` at a constant offset; the word stored is `y`.
pub(crate) const IMM_MLOAD: u8 = 0x6a;
pub(crate) const IMM_MSTORE: u8 = 0x6b;

/// Jumps to the target, with the stack pointer at `a`: always, or if `x` compares so with `y` or
/// a short constant. The `IMM` forms have the constant as the first operand.
pub(crate) const JUMP_TO: u8 = 0x70;
pub(crate) const JUMP_IF: u8 = 0x71;
pub(crate) const JUMP_LT: u8 = 0x72;
pub(crate) const JUMP_SLT: u8 = 0x73;
pub(crate) const JUMP_EQ: u8 = 0x74;
pub(crate) const JUMP_IMM_LT: u8 = 0x75;
pub(crate) const JUMP_IMM_GT: u8 = 0x76;
pub(crate) const JUMP_IMM_SLT: u8 = 0x77;
pub(crate) const JUMP_IMM_SGT: u8 = 0x78;
pub(crate) const JUMP_IMM_EQ: u8 = 0x79;

/// Defines forms of binary operations with a constant operand, and the look-up from opcode.
macro_rules! family {
    ($(#[$doc:meta])* $lookup:ident: $($op:ident $name:ident $byte:literal),* $(,)?) => {
        $(pub(crate) const $name: u8 = $byte;)*

        $(#[$doc])*
        pub(super) const fn $lookup(op: u8) -> Option<u8> {
            match op {
                $(crate::opcode::$op => Some($name),)*
                _ => None,
            }
        }
    };
}

family! {
    /// `a = op(imm, x)`.
    imm_first:
    ADD IMM_ADD 0xb0, SUB IMM_SUB 0xb1, MUL IMM_MUL 0xb2, LT IMM_LT 0xb3, GT IMM_GT 0xb4,
    SLT IMM_SLT 0xb5, SGT IMM_SGT 0xb6, EQ IMM_EQ 0xb7, AND IMM_AND 0xb8, OR IMM_OR 0xb9,
    XOR IMM_XOR 0xba, SHL IMM_SHL 0xbb, SHR IMM_SHR 0xbc, SAR IMM_SAR 0xbd, BYTE IMM_BYTE 0xbe,
    SIGNEXTEND IMM_SIGNEXTEND 0xbf,
}
family! {
    /// `a = op(word imm of the pool, x)`.
    word_first:
    ADD WORD_ADD 0xc0, SUB WORD_SUB 0xc1, MUL WORD_MUL 0xc2, AND WORD_AND 0xc3, OR WORD_OR 0xc4,
    XOR WORD_XOR 0xc5, EQ WORD_EQ 0xc6, LT WORD_LT 0xc7, GT WORD_GT 0xc8,
}
family! {
    /// `a = op(x, imm)`.
    imm_second:
    SUB SUB_IMM 0xd8, DIV DIV_IMM 0xd9, MOD MOD_IMM 0xda, SDIV SDIV_IMM 0xdb, SMOD SMOD_IMM 0xdc,
    SHL SHL_IMM 0xdd,
}
