//! Memory of all frames: one buffer, the child's region starting where the parent's ends.

use std::ops::Range;

use zvm_core::Bytes;

use crate::{Halt, gas, limits::MEMORY_MAX};

/// Zeroed in steps of this many bytes, so that growing word by word is a comparison.
const CHUNK: usize = 1024;

/// The memory of the running frame, on top of the memory of its callers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    buffer: Vec<u8>,
    /// Start of the running frame's region.
    base: usize,
    /// Bytes of the running frame; a multiple of 32.
    len: usize,
    /// Bytes from `base + len` to here are zero.
    clean_to: usize,
}

/// A region set aside while a child frame runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Region {
    base: usize,
    len: usize,
}

impl Memory {
    /// Empties everything for a new transaction; the buffer is kept.
    pub(crate) fn reset(&mut self) {
        self.base = 0;
        self.len = 0;
        self.clean_to = 0;
    }

    /// Starts an empty region behind the running frame's and returns the latter.
    pub(crate) fn enter(&mut self) -> Region {
        let parent = Region { base: self.base, len: self.len };
        self.base += self.len;
        self.len = 0;
        parent
    }

    /// Returns to the region of the parent. What the child wrote is garbage now.
    pub(crate) fn leave(&mut self, parent: Region) {
        self.base = parent.base;
        self.len = parent.len;
        self.clean_to = self.base + self.len;
    }

    /// Bytes in use by the running frame.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bytes of the running frame.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `base + len <= buffer.len()`: `grow` extends the buffer before `len`, and
        // `enter` and `leave` only move between regions that were in bounds.
        unsafe { self.buffer.get_unchecked(self.base..self.base + self.len) }
    }

    /// The bytes of the running frame.
    #[inline(always)]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`.
        unsafe { self.buffer.get_unchecked_mut(self.base..self.base + self.len) }
    }

    /// Where byte `offset` of the running frame is.
    ///
    /// # Safety
    ///
    /// `offset` is at most [`len`](Self::len).
    #[inline(always)]
    pub(crate) unsafe fn pointer(&self, offset: u64) -> *const u8 {
        // SAFETY: as in `bytes`, and by contract.
        unsafe { self.buffer.as_ptr().add(self.base + offset as usize) }
    }

    /// [`pointer`](Self::pointer) to write to.
    #[inline(always)]
    pub(crate) unsafe fn pointer_mut(&mut self, offset: u64) -> *mut u8 {
        // SAFETY: as in `pointer`.
        unsafe { self.buffer.as_mut_ptr().add(self.base + offset as usize) }
    }

    /// Position of the running frame's byte `offset` among the bytes of all frames.
    pub(crate) fn absolute(&self, offset: usize) -> usize {
        self.base + offset
    }

    /// Bytes at an absolute position, of this frame or of a caller. Empty if out of bounds.
    #[inline]
    pub(crate) fn absolute_bytes(&self, start: usize, len: usize) -> &[u8] {
        self.buffer.get(start..start + len).unwrap_or(&[])
    }

    /// Copies calldata from `from` on, with zeros behind its end, to the range `to`, which is there.
    pub(crate) fn copy_input(&mut self, input: &Input, to: Range<usize>, from: u64) {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(input.len());
        let len = (input.len() - from).min(to.len());
        match input {
            Input::Bytes(bytes) => {
                self.bytes_mut()[to.start..to.start + len]
                    .copy_from_slice(&bytes[from..from + len]);
            }
            Input::Memory { start, .. } => {
                let target = self.base + to.start;
                self.buffer.copy_within(start + from..start + from + len, target);
            }
        }
        self.bytes_mut()[to.start + len..to.end].fill(0);
    }

    /// Gas to grow to `end` bytes from the present size; zero where that is no growth.
    #[inline]
    pub(crate) fn growth_cost(&self, end: u64) -> Result<u64, Halt> {
        if end <= self.len as u64 {
            return Ok(0);
        }
        if end > (MEMORY_MAX - self.base.min(MEMORY_MAX)) as u64 {
            // Beyond any gas limit a block can have; the exact price does not matter.
            return Err(if end > 1 << 38 { Halt::OutOfGas } else { Halt::MemoryLimit });
        }
        Ok(gas::memory(end.div_ceil(32)) - gas::memory(self.len as u64 / 32))
    }

    /// Grows to hold `end` bytes, zero-filled, rounded up to words. The cost was charged.
    #[inline]
    pub(crate) fn grow(&mut self, end: u64) {
        let len = (end as usize).next_multiple_of(32);
        if len > self.len {
            if self.base + len > self.clean_to {
                self.clean(self.base + len);
            }
            self.len = len;
        }
    }

    /// Zeroes ahead, at least to `end`.
    #[cold]
    #[inline(never)]
    fn clean(&mut self, end: usize) {
        let from = self.clean_to.max(self.base + self.len);
        let to = end.next_multiple_of(CHUNK);
        if to > self.buffer.len() {
            // Doubling, so that growth stays linear in the bytes paid for.
            let size = to.max(self.buffer.len() * 2);
            let dirty_to = self.buffer.len();
            self.buffer.resize(size, 0);
            if from < dirty_to {
                self.buffer[from..dirty_to].fill(0);
            }
            self.clean_to = size;
        } else {
            self.buffer[from..to].fill(0);
            self.clean_to = to;
        }
    }
}

/// Calldata of a frame.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Of the transaction.
    Bytes(Bytes),
    /// In the memory of the caller, at an absolute position. It cannot change before the frame
    /// ends, so nothing is copied.
    Memory { start: usize, len: usize },
}

impl Input {
    pub(crate) const EMPTY: Self = Self::Memory { start: 0, len: 0 };

    #[inline]
    pub(crate) fn bytes<'a>(&'a self, memory: &'a Memory) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Memory { start, len } => memory.absolute_bytes(*start, *len),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Memory { len, .. } => *len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_starts_empty_and_zeroed() {
        let mut memory = Memory::default();
        memory.grow(33);
        assert_eq!(memory.len(), 64);
        memory.bytes_mut().fill(0xaa);
        let parent = memory.enter();
        assert_eq!(memory.len(), 0);
        memory.grow(5000);
        assert!(memory.bytes().iter().all(|byte| *byte == 0));
        memory.bytes_mut().fill(0xbb);
        memory.leave(parent);
        assert_eq!(memory.bytes(), [0xaa; 64]);
        memory.grow(4096);
        assert!(memory.bytes()[64..].iter().all(|byte| *byte == 0), "the child's bytes are gone");
    }

    #[test]
    fn reset_forgets_what_was_written() {
        let mut memory = Memory::default();
        memory.grow(2048);
        memory.bytes_mut().fill(1);
        memory.reset();
        memory.grow(2048);
        assert!(memory.bytes().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn growth_costs_words_and_their_squares() {
        let mut memory = Memory::default();
        assert_eq!(memory.growth_cost(0), Ok(0));
        assert_eq!(memory.growth_cost(1), Ok(3));
        assert_eq!(memory.growth_cost(1024 * 32), Ok(3 * 1024 + 2048));
        memory.grow(32);
        assert_eq!(memory.growth_cost(64), Ok(3));
        assert_eq!(memory.growth_cost(MEMORY_MAX as u64 + 1), Err(Halt::MemoryLimit));
        assert_eq!(memory.growth_cost(u64::MAX), Err(Halt::OutOfGas));
    }
}
