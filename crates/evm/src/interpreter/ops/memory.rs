//! Memory, and copies into it: calldata, code, return data.

use std::ops::Range;

use super::Done;
use crate::{
    frame::Frame,
    gas,
    interpreter::{
        stack::Regs,
        vm::{Fault, Vm},
        word::{self, Limbs},
    },
};

/// End of `len` bytes at `offset`; 0 for an empty range, whose offset is never looked at.
#[inline(always)]
pub(super) fn end_of(offset: Limbs, len: Limbs) -> Result<u64, Fault> {
    if word::is_zero(len) {
        return Ok(0);
    }
    match (word::to_u64(offset), word::to_u64(len)) {
        (Some(offset), Some(len)) => offset.checked_add(len).ok_or(Fault::OutOfGas),
        _ => Err(Fault::OutOfGas),
    }
}

/// The range after its end has been charged for, so that it fits.
#[inline(always)]
pub(super) fn range_of(offset: Limbs, len: Limbs) -> Range<usize> {
    let len = len[0] as usize;
    if len == 0 { 0..0 } else { offset[0] as usize..offset[0] as usize + len }
}

/// Makes sure that the 32 or fewer bytes up to `end` are there.
#[inline(always)]
pub(super) fn reach(s: &mut Regs, vm: &mut Vm<'_>, end: u64) -> Done {
    if end > vm.memory.len() as u64 {
        s.gas = grow(s.gas, vm, end)?;
    }
    Ok(())
}

/// Charges for memory up to `end` and grows it; the gas left.
#[cold]
#[inline(never)]
pub(in crate::interpreter) fn grow(gas: u64, vm: &mut Vm<'_>, end: u64) -> Result<u64, Fault> {
    let cost = vm.memory.growth_cost(end)?;
    let rest = gas.checked_sub(cost).ok_or(Fault::OutOfGas)?;
    vm.memory.grow(end);
    Ok(rest)
}

/// Offset of an access of a few bytes, whose end cannot overflow.
#[inline(always)]
pub(in crate::interpreter) fn offset_of(offset: Limbs) -> Result<u64, Fault> {
    // Anything from 2^40 on costs more gas than there is.
    if offset[1] | offset[2] | offset[3] | (offset[0] >> 40) != 0 {
        return Err(Fault::OutOfGas);
    }
    Ok(offset[0])
}

/// Reads the word at `at`, which was reached.
#[inline(always)]
pub(in crate::interpreter) unsafe fn load_word(vm: &Vm<'_>, at: u64) -> Limbs {
    word::from_be(&*vm.memory.pointer(at).cast())
}

/// Writes a word at `at`, which was reached.
#[inline(always)]
pub(in crate::interpreter) unsafe fn store_word(vm: &mut Vm<'_>, at: u64, word: Limbs) {
    *vm.memory.pointer_mut(at).cast() = word::to_be(word);
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn mload(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 32)?;
    s.poke(1, load_word(vm, at));
    Ok(())
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn mstore(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 32)?;
    store_word(vm, at, s.peek(2));
    s.drop(2);
    Ok(())
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn mstore8(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 1)?;
    let byte = s.peek(2)[0] as u8;
    *vm.memory.pointer_mut(at) = byte;
    s.drop(2);
    Ok(())
}

/// `MCOPY` (0x5e, EIP-5656). Memory grows to the end of the farther area.
#[inline(never)]
pub(in crate::interpreter) unsafe fn mcopy(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let (dst, src, len) = (s.peek(1), s.peek(2), s.peek(3));
    let end = end_of(dst, len)?.max(end_of(src, len)?);
    let words = gas::per_word(word::to_u64_saturating(len), gas::COPY_WORD);
    s.charge(words.saturating_add(vm.memory.growth_cost(end)?))?;
    vm.memory.grow(end);
    let src = range_of(src, len);
    if !src.is_empty() {
        vm.memory.bytes_mut().copy_within(src, dst[0] as usize);
    }
    s.drop(3);
    Ok(())
}

/// `KECCAK256` (0x20). Gas: 6 per word.
#[inline(never)]
pub(in crate::interpreter) unsafe fn keccak(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let (offset, len) = (s.peek(1), s.peek(2));
    let end = end_of(offset, len)?;
    let words = gas::per_word(word::to_u64_saturating(len), gas::KECCAK_WORD);
    s.charge(words.saturating_add(vm.memory.growth_cost(end)?))?;
    vm.memory.grow(end);
    let hash = vm.hashes.keccak(&vm.memory.bytes()[range_of(offset, len)]);
    s.poke(2, word::from_be(&hash.0));
    s.drop(1);
    Ok(())
}

/// Copies `source`, from `from` on and with zeros behind its end, to memory.
pub(super) fn copy_padded(target: &mut [u8], source: &[u8], from: Limbs) {
    let from = usize::try_from(word::to_u64_saturating(from)).unwrap_or(usize::MAX);
    let source = source.get(from..).unwrap_or(&[]);
    let len = source.len().min(target.len());
    target[..len].copy_from_slice(&source[..len]);
    target[len..].fill(0);
}

/// Charges a copy to memory of the operands `dst, src, len` that start `skip` words down, plus
/// `extra`, and grows memory.
pub(super) unsafe fn charge_copy(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    skip: usize,
    extra: u64,
) -> Result<(Range<usize>, Limbs), Fault> {
    let (dst, src, len) = (s.peek(1 + skip), s.peek(2 + skip), s.peek(3 + skip));
    let end = end_of(dst, len)?;
    let words = gas::per_word(word::to_u64_saturating(len), gas::COPY_WORD);
    s.charge(words.saturating_add(vm.memory.growth_cost(end)?).saturating_add(extra))?;
    vm.memory.grow(end);
    Ok((range_of(dst, len), src))
}

#[inline(never)]
pub(in crate::interpreter) unsafe fn calldatacopy(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
) -> Done {
    let (dst, src) = charge_copy(s, vm, 0, 0)?;
    vm.memory.copy_input(&frame.input, dst, word::to_u64_saturating(src));
    s.drop(3);
    Ok(())
}

#[inline(never)]
pub(in crate::interpreter) unsafe fn codecopy(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
) -> Done {
    let (dst, src) = charge_copy(s, vm, 0, 0)?;
    copy_padded(&mut vm.memory.bytes_mut()[dst], frame.code.bytes(), src);
    s.drop(3);
    Ok(())
}

/// `RETURNDATACOPY` (0x3e, EIP-211): reading past the end is a fault, not zeros.
#[inline(never)]
pub(in crate::interpreter) unsafe fn returndatacopy(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let (src, len) = (s.peek(2), s.peek(3));
    let end = match (word::to_u64(src), word::to_u64(len)) {
        (Some(src), Some(len)) => src.saturating_add(len),
        _ => u64::MAX,
    };
    if end > vm.return_data.len() as u64 {
        return Err(Fault::ReturnDataOutOfBounds);
    }
    let (dst, src) = charge_copy(s, vm, 0, 0)?;
    copy_padded(&mut vm.memory.bytes_mut()[dst], vm.return_data, src);
    s.drop(3);
    Ok(())
}

#[inline(always)]
pub(in crate::interpreter) unsafe fn calldataload(s: &mut Regs, vm: &Vm<'_>, frame: &Frame) {
    let input = frame.input.bytes(vm.memory);
    let from = usize::try_from(word::to_u64_saturating(s.peek(1))).unwrap_or(usize::MAX);
    let word = match input.get(from..) {
        None | Some([]) => word::ZERO,
        Some(rest) => match rest.first_chunk::<32>() {
            Some(bytes) => word::from_be(bytes),
            None => {
                let mut padded = [0; 32];
                padded[..rest.len()].copy_from_slice(rest);
                word::from_be(&padded)
            }
        },
    };
    s.poke(1, word);
}
