//! Limits of the machine, of code and of frames.

/// Most words on the stack of one frame (Yellow Paper, 9.1).
pub(crate) const STACK_MAX: usize = 1024;

/// Most frames below the transaction's own (Yellow Paper, 9.4.1).
pub(crate) const DEPTH_MAX: usize = 1024;

/// EIP-170: most bytes of deployed code.
pub(crate) const CODE_MAX: usize = 24_576;

/// EIP-3860: most bytes of initcode.
pub(crate) const INITCODE_MAX: usize = 49_152;

/// Most bytes of memory all frames of a transaction may hold together.
///
/// One frame needs 8.8 * 10^12 gas to get there; only executions without a sane gas limit do. Half
/// of it is not enough for the official block tests.
pub(crate) const MEMORY_MAX: usize = 1 << 31;
