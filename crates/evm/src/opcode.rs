//! The opcode table: one row per opcode with its mnemonic, stack effect, hard fork and base gas.
//!
//! ```
//! use zvm_core::SpecId;
//! use zvm_evm::opcode;
//!
//! let info = opcode::info(opcode::MCOPY, SpecId::CANCUN).expect("MCOPY came with Cancun");
//! assert_eq!((info.name, info.inputs, info.outputs), ("MCOPY", 3, 0));
//! assert!(opcode::info(opcode::MCOPY, SpecId::SHANGHAI).is_none());
//! assert_eq!(opcode::static_gas(opcode::SLOAD, SpecId::ISTANBUL), 800);
//! ```

use zvm_core::SpecId::{self, *};

/// What the table says of one opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpInfo {
    /// The mnemonic of today, such as `KECCAK256`.
    pub name: &'static str,
    /// Words taken off the stack. For `DUPn` and `SWAPn`, words that must be there.
    pub inputs: u8,
    /// Words put on the stack.
    pub outputs: u8,
    /// The hard fork that defined it.
    pub since: SpecId,
    /// Gas charged whatever the operands are, as of `since`.
    pub gas: u16,
    /// Later prices, oldest first.
    pub repriced: &'static [(SpecId, u16)],
}

impl OpInfo {
    /// Gas charged whatever the operands are. What depends on operands, memory or state comes on
    /// top: `SSTORE` has nothing here, and from Berlin on neither have account and slot accesses,
    /// whose whole price depends on being cold or warm (EIP-2929).
    #[must_use]
    pub const fn static_gas(&self, spec: SpecId) -> u16 {
        let mut gas = self.gas;
        let mut i = 0;
        while i < self.repriced.len() {
            let (since, price) = self.repriced[i];
            if spec.has(since) {
                gas = price;
            }
            i += 1;
        }
        gas
    }
}

/// Reads rows `byte NAME inputs -> outputs SINCE gas, FORK new_gas, …;`.
macro_rules! opcodes {
    ($($byte:literal $name:ident $inputs:literal -> $outputs:literal $since:ident $gas:literal
        $(, $fork:ident $price:literal)*;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "` (", stringify!($byte), ").")]
            pub const $name: u8 = $byte;
        )*

        /// Every opcode of every hard fork; `None` where no fork defines the byte.
        pub const OPCODES: [Option<OpInfo>; 256] = {
            let mut table = [None; 256];
            $(
                table[$byte] = Some(OpInfo {
                    name: stringify!($name),
                    inputs: $inputs,
                    outputs: $outputs,
                    since: $since,
                    gas: $gas,
                    repriced: &[$(($fork, $price)),*],
                });
            )*
            table
        };
    };
}

// Prices: Yellow Paper, appendix G, then EIP-150 (Tangerine), EIP-1884 (Istanbul) and EIP-2929
// (Berlin). A price of 0 at Berlin means that all of it is dynamic from there on.
opcodes! {
    0x00 STOP            0 -> 0  FRONTIER 0;
    0x01 ADD             2 -> 1  FRONTIER 3;
    0x02 MUL             2 -> 1  FRONTIER 5;
    0x03 SUB             2 -> 1  FRONTIER 3;
    0x04 DIV             2 -> 1  FRONTIER 5;
    0x05 SDIV            2 -> 1  FRONTIER 5;
    0x06 MOD             2 -> 1  FRONTIER 5;
    0x07 SMOD            2 -> 1  FRONTIER 5;
    0x08 ADDMOD          3 -> 1  FRONTIER 8;
    0x09 MULMOD          3 -> 1  FRONTIER 8;
    0x0a EXP             2 -> 1  FRONTIER 10;
    0x0b SIGNEXTEND      2 -> 1  FRONTIER 5;

    0x10 LT              2 -> 1  FRONTIER 3;
    0x11 GT              2 -> 1  FRONTIER 3;
    0x12 SLT             2 -> 1  FRONTIER 3;
    0x13 SGT             2 -> 1  FRONTIER 3;
    0x14 EQ              2 -> 1  FRONTIER 3;
    0x15 ISZERO          1 -> 1  FRONTIER 3;
    0x16 AND             2 -> 1  FRONTIER 3;
    0x17 OR              2 -> 1  FRONTIER 3;
    0x18 XOR             2 -> 1  FRONTIER 3;
    0x19 NOT             1 -> 1  FRONTIER 3;
    0x1a BYTE            2 -> 1  FRONTIER 3;
    0x1b SHL             2 -> 1  CONSTANTINOPLE 3;
    0x1c SHR             2 -> 1  CONSTANTINOPLE 3;
    0x1d SAR             2 -> 1  CONSTANTINOPLE 3;
    0x1e CLZ             1 -> 1  OSAKA 5;

    0x20 KECCAK256       2 -> 1  FRONTIER 30;

    0x30 ADDRESS         0 -> 1  FRONTIER 2;
    0x31 BALANCE         1 -> 1  FRONTIER 20, TANGERINE 400, ISTANBUL 700, BERLIN 0;
    0x32 ORIGIN          0 -> 1  FRONTIER 2;
    0x33 CALLER          0 -> 1  FRONTIER 2;
    0x34 CALLVALUE       0 -> 1  FRONTIER 2;
    0x35 CALLDATALOAD    1 -> 1  FRONTIER 3;
    0x36 CALLDATASIZE    0 -> 1  FRONTIER 2;
    0x37 CALLDATACOPY    3 -> 0  FRONTIER 3;
    0x38 CODESIZE        0 -> 1  FRONTIER 2;
    0x39 CODECOPY        3 -> 0  FRONTIER 3;
    0x3a GASPRICE        0 -> 1  FRONTIER 2;
    0x3b EXTCODESIZE     1 -> 1  FRONTIER 20, TANGERINE 700, BERLIN 0;
    0x3c EXTCODECOPY     4 -> 0  FRONTIER 20, TANGERINE 700, BERLIN 0;
    0x3d RETURNDATASIZE  0 -> 1  BYZANTIUM 2;
    0x3e RETURNDATACOPY  3 -> 0  BYZANTIUM 3;
    0x3f EXTCODEHASH     1 -> 1  CONSTANTINOPLE 400, ISTANBUL 700, BERLIN 0;

    0x40 BLOCKHASH       1 -> 1  FRONTIER 20;
    0x41 COINBASE        0 -> 1  FRONTIER 2;
    0x42 TIMESTAMP       0 -> 1  FRONTIER 2;
    0x43 NUMBER          0 -> 1  FRONTIER 2;
    0x44 PREVRANDAO      0 -> 1  FRONTIER 2;
    0x45 GASLIMIT        0 -> 1  FRONTIER 2;
    0x46 CHAINID         0 -> 1  ISTANBUL 2;
    0x47 SELFBALANCE     0 -> 1  ISTANBUL 5;
    0x48 BASEFEE         0 -> 1  LONDON 2;
    0x49 BLOBHASH        1 -> 1  CANCUN 3;
    0x4a BLOBBASEFEE     0 -> 1  CANCUN 2;

    0x50 POP             1 -> 0  FRONTIER 2;
    0x51 MLOAD           1 -> 1  FRONTIER 3;
    0x52 MSTORE          2 -> 0  FRONTIER 3;
    0x53 MSTORE8         2 -> 0  FRONTIER 3;
    0x54 SLOAD           1 -> 1  FRONTIER 50, TANGERINE 200, ISTANBUL 800, BERLIN 0;
    0x55 SSTORE          2 -> 0  FRONTIER 0;
    0x56 JUMP            1 -> 0  FRONTIER 8;
    0x57 JUMPI           2 -> 0  FRONTIER 10;
    0x58 PC              0 -> 1  FRONTIER 2;
    0x59 MSIZE           0 -> 1  FRONTIER 2;
    0x5a GAS             0 -> 1  FRONTIER 2;
    0x5b JUMPDEST        0 -> 0  FRONTIER 1;
    0x5c TLOAD           1 -> 1  CANCUN 100;
    0x5d TSTORE          2 -> 0  CANCUN 100;
    0x5e MCOPY           3 -> 0  CANCUN 3;
    0x5f PUSH0           0 -> 1  SHANGHAI 2;

    0x60 PUSH1           0 -> 1  FRONTIER 3;
    0x61 PUSH2           0 -> 1  FRONTIER 3;
    0x62 PUSH3           0 -> 1  FRONTIER 3;
    0x63 PUSH4           0 -> 1  FRONTIER 3;
    0x64 PUSH5           0 -> 1  FRONTIER 3;
    0x65 PUSH6           0 -> 1  FRONTIER 3;
    0x66 PUSH7           0 -> 1  FRONTIER 3;
    0x67 PUSH8           0 -> 1  FRONTIER 3;
    0x68 PUSH9           0 -> 1  FRONTIER 3;
    0x69 PUSH10          0 -> 1  FRONTIER 3;
    0x6a PUSH11          0 -> 1  FRONTIER 3;
    0x6b PUSH12          0 -> 1  FRONTIER 3;
    0x6c PUSH13          0 -> 1  FRONTIER 3;
    0x6d PUSH14          0 -> 1  FRONTIER 3;
    0x6e PUSH15          0 -> 1  FRONTIER 3;
    0x6f PUSH16          0 -> 1  FRONTIER 3;

    0x70 PUSH17          0 -> 1  FRONTIER 3;
    0x71 PUSH18          0 -> 1  FRONTIER 3;
    0x72 PUSH19          0 -> 1  FRONTIER 3;
    0x73 PUSH20          0 -> 1  FRONTIER 3;
    0x74 PUSH21          0 -> 1  FRONTIER 3;
    0x75 PUSH22          0 -> 1  FRONTIER 3;
    0x76 PUSH23          0 -> 1  FRONTIER 3;
    0x77 PUSH24          0 -> 1  FRONTIER 3;
    0x78 PUSH25          0 -> 1  FRONTIER 3;
    0x79 PUSH26          0 -> 1  FRONTIER 3;
    0x7a PUSH27          0 -> 1  FRONTIER 3;
    0x7b PUSH28          0 -> 1  FRONTIER 3;
    0x7c PUSH29          0 -> 1  FRONTIER 3;
    0x7d PUSH30          0 -> 1  FRONTIER 3;
    0x7e PUSH31          0 -> 1  FRONTIER 3;
    0x7f PUSH32          0 -> 1  FRONTIER 3;

    0x80 DUP1            1 -> 2  FRONTIER 3;
    0x81 DUP2            2 -> 3  FRONTIER 3;
    0x82 DUP3            3 -> 4  FRONTIER 3;
    0x83 DUP4            4 -> 5  FRONTIER 3;
    0x84 DUP5            5 -> 6  FRONTIER 3;
    0x85 DUP6            6 -> 7  FRONTIER 3;
    0x86 DUP7            7 -> 8  FRONTIER 3;
    0x87 DUP8            8 -> 9  FRONTIER 3;
    0x88 DUP9            9 -> 10 FRONTIER 3;
    0x89 DUP10          10 -> 11 FRONTIER 3;
    0x8a DUP11          11 -> 12 FRONTIER 3;
    0x8b DUP12          12 -> 13 FRONTIER 3;
    0x8c DUP13          13 -> 14 FRONTIER 3;
    0x8d DUP14          14 -> 15 FRONTIER 3;
    0x8e DUP15          15 -> 16 FRONTIER 3;
    0x8f DUP16          16 -> 17 FRONTIER 3;

    0x90 SWAP1           2 -> 2  FRONTIER 3;
    0x91 SWAP2           3 -> 3  FRONTIER 3;
    0x92 SWAP3           4 -> 4  FRONTIER 3;
    0x93 SWAP4           5 -> 5  FRONTIER 3;
    0x94 SWAP5           6 -> 6  FRONTIER 3;
    0x95 SWAP6           7 -> 7  FRONTIER 3;
    0x96 SWAP7           8 -> 8  FRONTIER 3;
    0x97 SWAP8           9 -> 9  FRONTIER 3;
    0x98 SWAP9          10 -> 10 FRONTIER 3;
    0x99 SWAP10         11 -> 11 FRONTIER 3;
    0x9a SWAP11         12 -> 12 FRONTIER 3;
    0x9b SWAP12         13 -> 13 FRONTIER 3;
    0x9c SWAP13         14 -> 14 FRONTIER 3;
    0x9d SWAP14         15 -> 15 FRONTIER 3;
    0x9e SWAP15         16 -> 16 FRONTIER 3;
    0x9f SWAP16         17 -> 17 FRONTIER 3;

    0xa0 LOG0            2 -> 0  FRONTIER 375;
    0xa1 LOG1            3 -> 0  FRONTIER 750;
    0xa2 LOG2            4 -> 0  FRONTIER 1125;
    0xa3 LOG3            5 -> 0  FRONTIER 1500;
    0xa4 LOG4            6 -> 0  FRONTIER 1875;

    0xf0 CREATE          3 -> 1  FRONTIER 32000;
    0xf1 CALL            7 -> 1  FRONTIER 40, TANGERINE 700, BERLIN 0;
    0xf2 CALLCODE        7 -> 1  FRONTIER 40, TANGERINE 700, BERLIN 0;
    0xf3 RETURN          2 -> 0  FRONTIER 0;
    0xf4 DELEGATECALL    6 -> 1  HOMESTEAD 40, TANGERINE 700, BERLIN 0;
    0xf5 CREATE2         4 -> 1  CONSTANTINOPLE 32000;
    0xfa STATICCALL      6 -> 1  BYZANTIUM 700, BERLIN 0;
    0xfd REVERT          2 -> 0  BYZANTIUM 0;
    0xfe INVALID         0 -> 0  FRONTIER 0;
    0xff SELFDESTRUCT    1 -> 0  FRONTIER 0, TANGERINE 5000;
}

// `OPCODES` is a constant, which every use would copy; this is the one copy in the binary.
static TABLE: [Option<OpInfo>; 256] = OPCODES;

/// The row of `op` if `spec` defines it.
#[must_use]
pub fn info(op: u8, spec: SpecId) -> Option<&'static OpInfo> {
    TABLE[usize::from(op)].as_ref().filter(|info| spec.has(info.since))
}

/// The mnemonic of `op` if `spec` defines it. 0x44 was `DIFFICULTY` before Paris (EIP-4399).
#[must_use]
pub fn name(op: u8, spec: SpecId) -> Option<&'static str> {
    if op == PREVRANDAO && !spec.has(PARIS) {
        return Some("DIFFICULTY");
    }
    info(op, spec).map(|info| info.name)
}

/// Gas of `op` whatever its operands are ([`OpInfo::static_gas`]); 0 where `spec` has no such
/// opcode.
#[must_use]
pub fn static_gas(op: u8, spec: SpecId) -> u16 {
    info(op, spec).map_or(0, |info| info.static_gas(spec))
}

/// [`static_gas`] of all opcodes.
#[must_use]
pub const fn gas_table(spec: SpecId) -> [u16; 256] {
    let opcodes = OPCODES;
    let mut table = [0; 256];
    let mut op = 0;
    while op < 256 {
        if let Some(info) = &opcodes[op]
            && spec.has(info.since)
        {
            table[op] = info.static_gas(spec);
        }
        op += 1;
    }
    table
}

/// Bytes of immediate data after `op`: n for `PUSHn`, otherwise 0.
#[must_use]
pub const fn immediate_len(op: u8) -> usize {
    match op {
        PUSH1..=PUSH32 => (op - PUSH0) as usize,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fork_defines_as_many_opcodes_as_its_eips_say() {
        // Frontier has 129 and INVALID; then EIP-7; EIP-140, 211 (2), 214; EIP-145 (3), 1014, 1052;
        // EIP-1344, 1884; EIP-3198; EIP-3855; EIP-1153 (2), 4844, 5656, 7516; EIP-7939.
        let counts =
            SpecId::ALL.map(|spec| (0..=255).filter(|&op| info(op, spec).is_some()).count());
        assert_eq!(
            counts,
            [130, 131, 131, 131, 135, 140, 140, 142, 142, 143, 143, 144, 149, 149, 150]
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = OPCODES.iter().flatten().map(|info| info.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn prevrandao_was_difficulty_before_paris() {
        assert_eq!(name(0x44, LONDON), Some("DIFFICULTY"));
        assert_eq!(name(0x44, PARIS), Some("PREVRANDAO"));
    }

    #[test]
    fn families_follow_from_their_number() {
        for n in 1..=16 {
            let dup = OPCODES[usize::from(DUP1 + n - 1)].unwrap();
            assert_eq!((dup.name, dup.inputs, dup.outputs), (&*format!("DUP{n}"), n, n + 1));
            let swap = OPCODES[usize::from(SWAP1 + n - 1)].unwrap();
            assert_eq!(
                (swap.name, swap.inputs, swap.outputs),
                (&*format!("SWAP{n}"), n + 1, n + 1)
            );
        }
        for n in 0..=32 {
            let push = OPCODES[usize::from(PUSH0 + n)].unwrap();
            assert_eq!((push.name, push.inputs, push.outputs), (&*format!("PUSH{n}"), 0, 1));
            assert_eq!(immediate_len(PUSH0 + n), usize::from(n));
        }
        for n in 0..=4 {
            let log = OPCODES[usize::from(LOG0 + n)].unwrap();
            assert_eq!((log.inputs, log.gas), (n + 2, 375 * (u16::from(n) + 1)));
        }
    }

    #[test]
    fn account_and_slot_access_change_price_by_eip_150_1884_and_2929() {
        let prices = |op| SpecId::ALL.map(|spec| static_gas(op, spec));
        //                             F   H   T    SD   B    C    P    I    Be …
        assert_eq!(prices(BALANCE), [20, 20, 400, 400, 400, 400, 400, 700, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(prices(SLOAD), [50, 50, 200, 200, 200, 200, 200, 800, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(prices(EXTCODEHASH), [0, 0, 0, 0, 0, 400, 400, 700, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            prices(DELEGATECALL),
            [0, 40, 700, 700, 700, 700, 700, 700, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn gas_table_agrees_with_static_gas() {
        for spec in SpecId::ALL {
            let table = gas_table(spec);
            assert!((0..=255).all(|op| table[usize::from(op)] == static_gas(op, spec)));
        }
    }
}
