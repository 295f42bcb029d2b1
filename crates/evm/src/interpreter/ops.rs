//! The opcode bodies, and the match arms that both loops are made of.
//!
//! A body finds its operands on the stack and static gas charged; it charges what is dynamic. It
//! changes nothing, not even registers, before all that can fault has passed: both loops may run
//! the opcode again (see the [module above](super)).
//!
//! # Safety
//!
//! Every `unsafe fn` here asks of its caller that the stack check of its opcode has passed, the
//! invariant of [`Regs`].
#![allow(unsafe_op_in_unsafe_fn, reason = "each body is stack access by the one invariant above")]

use std::ops::Range;

use zvm_core::{Address, B256, Log, LogData, SpecId, U256, keccak256};

use super::{
    stack::{Regs, read, write},
    vm::{CallRequest, CreateRequest, Fault, Vm},
    word::{self, Limbs},
};
use crate::{CallKind, Tracer, frame::Frame, gas, journal::AccountId};

type Done = Result<(), Fault>;

// Stack and arithmetic ---------------------------------------------------------------------------

/// A pure operation on one word.
#[inline(always)]
pub(super) unsafe fn unary(s: &mut Regs, f: impl FnOnce(Limbs) -> Limbs) {
    s.poke(1, f(s.peek(1)));
}

/// A pure operation on two words.
#[inline(always)]
pub(super) unsafe fn binary(s: &mut Regs, f: impl FnOnce(Limbs, Limbs) -> Limbs) {
    let result = f(s.peek(1), s.peek(2));
    s.poke(2, result);
    s.drop(1);
}

/// A long operation on the two words below `sp`, in place and behind a call. It gets the stack
/// rather than the words: words passed and returned through memory stall on their way (see
/// [`read`]).
#[inline(never)]
pub(super) unsafe fn binary_at<F: FnOnce(Limbs, Limbs) -> Limbs>(sp: *mut Limbs, f: F) {
    write(sp.sub(2), f(read(sp.sub(1)), read(sp.sub(2))));
}

/// [`binary_at`] with the operands swapped.
#[inline(never)]
pub(super) unsafe fn swapped_at<F: FnOnce(Limbs, Limbs) -> Limbs>(sp: *mut Limbs, f: F) {
    write(sp.sub(2), f(read(sp.sub(2)), read(sp.sub(1))));
}

/// A long operation on the top word and a second operand that is at hand.
#[inline(never)]
pub(super) unsafe fn by_imm_at<F: FnOnce(Limbs, Limbs) -> Limbs>(sp: *mut Limbs, imm: u64, f: F) {
    write(sp.sub(1), f(read(sp.sub(1)), word::from_u64(imm)));
}

/// A long operation on the three words below `sp`.
#[inline(never)]
pub(super) unsafe fn ternary_at<F: FnOnce(Limbs, Limbs, Limbs) -> Limbs>(sp: *mut Limbs, f: F) {
    write(sp.sub(3), f(read(sp.sub(1)), read(sp.sub(2)), read(sp.sub(3))));
}

/// `MULMOD` (0x09) on the three words below `sp`.
#[inline(never)]
pub(super) unsafe fn mulmod_at(sp: *mut Limbs, vm: &mut Vm<'_>) {
    let (a, b, m) = (read(sp.sub(1)), read(sp.sub(2)), read(sp.sub(3)));
    write(sp.sub(3), vm.modulus.mulmod(a, b, m));
}

#[inline(always)]
pub(super) unsafe fn dup(s: &mut Regs, n: usize) {
    s.push(s.peek(n));
}

#[inline(always)]
pub(super) unsafe fn swap(s: &mut Regs, n: usize) {
    let (top, other) = (s.peek(1), s.peek(n + 1));
    s.poke(1, other);
    s.poke(n + 1, top);
}

/// `EXP` (0x0a). Gas: 10 or, since EIP-160, 50 per byte of the exponent.
#[inline(never)]
pub(super) unsafe fn exp(s: &mut Regs, vm: &Vm<'_>) -> Done {
    let exponent = s.peek(2);
    let bytes = (256 - word::clz(exponent)[0]).div_ceil(8);
    s.charge(bytes * gas::exp_byte(vm.spec))?;
    binary(s, crate::arith::exp);
    Ok(())
}

// Memory -----------------------------------------------------------------------------------------

/// End of `len` bytes at `offset`; 0 for an empty range, whose offset is never looked at.
#[inline(always)]
fn end_of(offset: Limbs, len: Limbs) -> Result<u64, Fault> {
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
fn range_of(offset: Limbs, len: Limbs) -> Range<usize> {
    let len = len[0] as usize;
    if len == 0 { 0..0 } else { offset[0] as usize..offset[0] as usize + len }
}

/// Makes sure that the 32 or fewer bytes up to `end` are there.
#[inline(always)]
fn reach(s: &mut Regs, vm: &mut Vm<'_>, end: u64) -> Done {
    if end > vm.memory.len() as u64 {
        s.gas = reach_cold(s.gas, vm, end)?;
    }
    Ok(())
}

#[inline(never)]
fn reach_cold(gas: u64, vm: &mut Vm<'_>, end: u64) -> Result<u64, Fault> {
    let cost = vm.memory.growth_cost(end)?;
    let rest = gas.checked_sub(cost).ok_or(Fault::OutOfGas)?;
    vm.memory.grow(end);
    Ok(rest)
}

/// Offset of an access of a few bytes, whose end cannot overflow.
#[inline(always)]
fn offset_of(offset: Limbs) -> Result<u64, Fault> {
    // Anything from 2^40 on costs more gas than there is.
    if offset[1] | offset[2] | offset[3] | (offset[0] >> 40) != 0 {
        return Err(Fault::OutOfGas);
    }
    Ok(offset[0])
}

/// Reads the word at `at`, which was reached.
#[inline(always)]
fn load_word(vm: &Vm<'_>, at: usize) -> Limbs {
    match vm.memory.bytes().get(at..at + 32) {
        Some(bytes) => {
            let mut word = [0; 32];
            word.copy_from_slice(bytes);
            word::from_be(&word)
        }
        None => word::ZERO,
    }
}

#[inline(always)]
pub(super) unsafe fn mload(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 32)?;
    s.poke(1, load_word(vm, at as usize));
    Ok(())
}

/// `PUSH at; MLOAD` in one.
#[inline(always)]
pub(super) unsafe fn mload_at(s: &mut Regs, vm: &mut Vm<'_>, at: u64) -> Done {
    reach(s, vm, at + 32)?;
    s.push(load_word(vm, at as usize));
    Ok(())
}

/// Writes a word at `at`, which was reached.
#[inline(always)]
fn store_word(vm: &mut Vm<'_>, at: usize, word: Limbs) {
    if let Some(bytes) = vm.memory.bytes_mut().get_mut(at..at + 32) {
        bytes.copy_from_slice(&word::to_be(word));
    }
}

#[inline(always)]
pub(super) unsafe fn mstore(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 32)?;
    store_word(vm, at as usize, s.peek(2));
    s.drop(2);
    Ok(())
}

/// `PUSH at; MSTORE` in one.
#[inline(always)]
pub(super) unsafe fn mstore_at(s: &mut Regs, vm: &mut Vm<'_>, at: u64) -> Done {
    reach(s, vm, at + 32)?;
    store_word(vm, at as usize, s.peek(1));
    s.drop(1);
    Ok(())
}

/// `DUPn; MLOAD` in one.
#[inline(always)]
pub(super) unsafe fn mload_dup(s: &mut Regs, vm: &mut Vm<'_>, n: usize) -> Done {
    mload_at(s, vm, offset_of(s.peek(n))?)
}

/// `DUPn; MSTORE` in one.
#[inline(always)]
pub(super) unsafe fn mstore_dup(s: &mut Regs, vm: &mut Vm<'_>, n: usize) -> Done {
    mstore_at(s, vm, offset_of(s.peek(n))?)
}

/// `ADD; MLOAD` in one.
#[inline(always)]
pub(super) unsafe fn mload_sum(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(word::add(s.peek(1), s.peek(2)))?;
    reach(s, vm, at + 32)?;
    s.poke(2, load_word(vm, at as usize));
    s.drop(1);
    Ok(())
}

/// `ADD; MSTORE` in one.
#[inline(always)]
pub(super) unsafe fn mstore_sum(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(word::add(s.peek(1), s.peek(2)))?;
    reach(s, vm, at + 32)?;
    store_word(vm, at as usize, s.peek(3));
    s.drop(3);
    Ok(())
}

/// `DUPn; PUSH at; MSTORE` in one.
#[inline(always)]
pub(super) unsafe fn mstore_copy(s: &mut Regs, vm: &mut Vm<'_>, n: usize, at: u64) -> Done {
    reach(s, vm, at + 32)?;
    store_word(vm, at as usize, s.peek(n));
    Ok(())
}

/// `SWAP1; MSTORE` in one.
#[inline(always)]
pub(super) unsafe fn mstore_swapped(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(2))?;
    reach(s, vm, at + 32)?;
    store_word(vm, at as usize, s.peek(1));
    s.drop(2);
    Ok(())
}

#[inline(always)]
pub(super) unsafe fn mstore8(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let at = offset_of(s.peek(1))?;
    reach(s, vm, at + 1)?;
    let byte = s.peek(2)[0] as u8;
    if let Some(place) = vm.memory.bytes_mut().get_mut(at as usize) {
        *place = byte;
    }
    s.drop(2);
    Ok(())
}

/// `MCOPY` (0x5e, EIP-5656). Memory grows to the end of the farther area.
pub(super) unsafe fn mcopy(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
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
pub(super) unsafe fn keccak(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let (offset, len) = (s.peek(1), s.peek(2));
    let end = end_of(offset, len)?;
    let words = gas::per_word(word::to_u64_saturating(len), gas::KECCAK_WORD);
    s.charge(words.saturating_add(vm.memory.growth_cost(end)?))?;
    vm.memory.grow(end);
    let hash = keccak256(&vm.memory.bytes()[range_of(offset, len)]);
    s.poke(2, word::from_be(&hash.0));
    s.drop(1);
    Ok(())
}

/// Copies `source`, from `from` on and with zeros behind its end, to memory.
fn copy_padded(target: &mut [u8], source: &[u8], from: Limbs) {
    let from = usize::try_from(word::to_u64_saturating(from)).unwrap_or(usize::MAX);
    let source = source.get(from..).unwrap_or(&[]);
    let len = source.len().min(target.len());
    target[..len].copy_from_slice(&source[..len]);
    target[len..].fill(0);
}

/// Charges a copy to memory of the operands `dst, src, len` that start `skip` words down, plus
/// `extra`, and grows memory.
unsafe fn charge_copy(
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

pub(super) unsafe fn calldatacopy(s: &mut Regs, vm: &mut Vm<'_>, frame: &Frame) -> Done {
    let (dst, src) = charge_copy(s, vm, 0, 0)?;
    vm.memory.copy_input(&frame.input, dst, word::to_u64_saturating(src));
    s.drop(3);
    Ok(())
}

pub(super) unsafe fn codecopy(s: &mut Regs, vm: &mut Vm<'_>, frame: &Frame) -> Done {
    let (dst, src) = charge_copy(s, vm, 0, 0)?;
    copy_padded(&mut vm.memory.bytes_mut()[dst], frame.code.bytes(), src);
    s.drop(3);
    Ok(())
}

/// `RETURNDATACOPY` (0x3e, EIP-211): reading past the end is a fault, not zeros.
pub(super) unsafe fn returndatacopy(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
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
pub(super) unsafe fn calldataload(s: &mut Regs, vm: &Vm<'_>, frame: &Frame) {
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

// Accounts ---------------------------------------------------------------------------------------

#[inline(always)]
fn to_address(word: Limbs) -> Address {
    Address::from_word(B256::new(word::to_be(word)))
}

#[inline(always)]
pub(super) fn from_address(address: Address) -> Limbs {
    word::from_be(&address.into_word().0)
}

/// Price of touching an account; what is not dynamic before Berlin is in the opcode table.
#[inline]
fn access_cost(vm: &Vm<'_>, id: AccountId) -> u64 {
    if !vm.spec.has(SpecId::BERLIN) {
        0
    } else if vm.journal.entry(id).is_warm {
        gas::WARM
    } else {
        gas::COLD_ACCOUNT
    }
}

/// Charges the access of the account named by the top word and loads it.
unsafe fn access_account<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Result<AccountId, Fault> {
    let address = to_address(s.peek(1));
    let id = vm.journal.id_of(address);
    s.charge(access_cost(vm, id))?;
    vm.journal.warm_account(id);
    tracer.account_access(address);
    let loaded = vm.journal.load(id, vm.db).map(|_| ());
    vm.db(loaded)?;
    Ok(id)
}

pub(super) unsafe fn balance<T: Tracer>(s: &mut Regs, vm: &mut Vm<'_>, tracer: &mut T) -> Done {
    let id = access_account(s, vm, tracer)?;
    s.poke(1, word::from_u256(vm.journal.entry(id).info.balance));
    Ok(())
}

pub(super) unsafe fn extcodesize<T: Tracer>(s: &mut Regs, vm: &mut Vm<'_>, tracer: &mut T) -> Done {
    let id = access_account(s, vm, tracer)?;
    let len = vm.journal.code(id, vm.codes, vm.db).map(|code| code.map_or(0, |code| code.len()));
    let len = vm.db(len)?;
    s.poke(1, word::from_u64(len as u64));
    Ok(())
}

/// `EXTCODEHASH` (0x3f, EIP-1052): zero for an account that is empty or not there.
pub(super) unsafe fn extcodehash<T: Tracer>(s: &mut Regs, vm: &mut Vm<'_>, tracer: &mut T) -> Done {
    let id = access_account(s, vm, tracer)?;
    let info = &vm.journal.entry(id).info;
    let hash = if info.is_empty() { word::ZERO } else { word::from_be(&info.code_hash.0) };
    s.poke(1, hash);
    Ok(())
}

pub(super) unsafe fn extcodecopy<T: Tracer>(s: &mut Regs, vm: &mut Vm<'_>, tracer: &mut T) -> Done {
    let address = to_address(s.peek(1));
    let id = vm.journal.id_of(address);
    let (dst, src) = charge_copy(s, vm, 1, access_cost(vm, id))?;
    vm.journal.warm_account(id);
    tracer.account_access(address);
    let loaded = vm.journal.load(id, vm.db).map(|_| ());
    vm.db(loaded)?;
    let code = vm.journal.code(id, vm.codes, vm.db).map(|code| code.cloned());
    let code = vm.db(code)?;
    let bytes = code.as_ref().map_or(&[][..], |code| code.bytes());
    copy_padded(&mut vm.memory.bytes_mut()[dst], bytes, src);
    s.drop(4);
    Ok(())
}

pub(super) unsafe fn selfbalance(s: &mut Regs, vm: &mut Vm<'_>, frame: &Frame) -> Done {
    let loaded = vm.journal.load(frame.account, vm.db).map(|entry| entry.info.balance);
    let balance = vm.db(loaded)?;
    s.push(word::from_u256(balance));
    Ok(())
}

/// `BLOCKHASH` (0x40): zero outside the last 256 blocks.
pub(super) unsafe fn blockhash(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
    let hash = match word::to_u64(s.peek(1)) {
        Some(number) if number < vm.block.number && vm.block.number - number <= 256 => {
            let hash = vm.db.block_hash(number);
            word::from_be(&vm.db(hash)?.0)
        }
        _ => word::ZERO,
    };
    s.poke(1, hash);
    Ok(())
}

#[inline(always)]
pub(super) unsafe fn blobhash(s: &mut Regs, vm: &Vm<'_>) {
    let index = usize::try_from(word::to_u64_saturating(s.peek(1))).unwrap_or(usize::MAX);
    let hash = vm.tx.blob_hashes.get(index).copied().unwrap_or_default();
    s.poke(1, word::from_be(&hash.0));
}

// Storage ----------------------------------------------------------------------------------------

pub(super) unsafe fn sload<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    tracer: &mut T,
) -> Done {
    let key = word::to_u256(s.peek(1));
    let id = vm.journal.slot_id(frame.account, key);
    if vm.spec.has(SpecId::BERLIN) {
        s.charge(if vm.journal.slot(id).is_warm { gas::WARM } else { gas::COLD_SLOT })?;
        vm.journal.warm_slot(id);
    }
    let loaded = vm.journal.load_slot(id, vm.db).map(|slot| slot.present);
    let word = vm.db(loaded)?;
    tracer.storage_read(frame.address, key, word);
    s.poke(1, word::from_u256(word));
    Ok(())
}

pub(super) unsafe fn sstore<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    tracer: &mut T,
) -> Done {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    if vm.spec.has(SpecId::ISTANBUL) {
        s.require(gas::SSTORE_SENTRY + 1)?;
    }
    let (key, new) = (word::to_u256(s.peek(1)), word::to_u256(s.peek(2)));
    let id = vm.journal.slot_id(frame.account, key);
    let is_cold = vm.spec.has(SpecId::BERLIN) && !vm.journal.slot(id).is_warm;
    let cold = if is_cold { gas::COLD_SLOT } else { 0 };
    s.require(cold)?;
    let loaded = vm.journal.load_slot(id, vm.db).map(|slot| (slot.original, slot.present));
    let (original, present) = vm.db(loaded)?;
    let (cost, refund) = gas::sstore(vm.spec, original, present, new);
    s.charge(cold + cost)?;
    vm.journal.warm_slot(id);
    vm.journal.refund += refund;
    tracer.storage_write(frame.address, key, present, new);
    if present != new {
        vm.journal.set_slot(id, new);
    }
    s.drop(2);
    Ok(())
}

pub(super) unsafe fn tload(s: &mut Regs, vm: &Vm<'_>, frame: &Frame) -> Done {
    let word = vm.journal.transient(frame.account, word::to_u256(s.peek(1)));
    s.poke(1, word::from_u256(word));
    Ok(())
}

pub(super) unsafe fn tstore(s: &mut Regs, vm: &mut Vm<'_>, frame: &Frame) -> Done {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    let (key, word) = (word::to_u256(s.peek(1)), word::to_u256(s.peek(2)));
    vm.journal.set_transient(frame.account, key, word);
    s.drop(2);
    Ok(())
}

/// `LOG0` to `LOG4`. Gas: 8 per byte; the topics are static.
pub(super) unsafe fn log<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    topics: usize,
    tracer: &mut T,
) -> Done {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    let (offset, len) = (s.peek(1), s.peek(2));
    let end = end_of(offset, len)?;
    let bytes = word::to_u64_saturating(len).saturating_mul(gas::LOG_BYTE);
    s.charge(bytes.saturating_add(vm.memory.growth_cost(end)?))?;
    vm.memory.grow(end);
    let data = vm.memory.bytes()[range_of(offset, len)].to_vec();
    let topics: Vec<B256> = (0..topics).map(|i| B256::new(word::to_be(s.peek(3 + i)))).collect();
    s.drop(2 + topics.len());
    let log = Log { address: frame.address, data: LogData::new_unchecked(topics, data.into()) };
    tracer.log(&log);
    vm.journal.logs.push(log);
    Ok(())
}

// Ends and frames --------------------------------------------------------------------------------

/// `RETURN` and `REVERT`: the range of the output.
#[inline(always)]
pub(super) unsafe fn output(s: &mut Regs, vm: &mut Vm<'_>) -> Result<Range<usize>, Fault> {
    let (offset, len) = (s.peek(1), s.peek(2));
    let end = end_of(offset, len)?;
    reach(s, vm, end)?;
    s.drop(2);
    Ok(range_of(offset, len))
}

/// `SELFDESTRUCT` (0xff; EIP-150, 161, 2929, 3529, 6780).
pub(super) unsafe fn selfdestruct<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    tracer: &mut T,
) -> Done {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    let heir_address = to_address(s.peek(1));
    let heir = vm.journal.id_of(heir_address);
    let mut cost = 0;
    if vm.spec.has(SpecId::BERLIN) && !vm.journal.entry(heir).is_warm {
        cost = gas::COLD_ACCOUNT;
    }
    s.require(cost)?;
    let loaded = vm.journal.load(frame.account, vm.db).map(|entry| entry.info.balance);
    let balance = vm.db(loaded)?;
    let loaded = vm.journal.load(heir, vm.db).map(|entry| (entry.exists, entry.info.is_empty()));
    let (exists, is_empty) = vm.db(loaded)?;
    let makes_account = if vm.spec.has(SpecId::SPURIOUS_DRAGON) {
        is_empty && !balance.is_zero()
    } else {
        !exists && vm.spec.has(SpecId::TANGERINE)
    };
    if makes_account {
        cost += gas::NEW_ACCOUNT;
    }
    s.charge(cost)?;
    vm.journal.warm_account(heir);
    tracer.account_access(heir_address);
    tracer.self_destruct(frame.address, heir_address, balance);

    let stays = vm.spec.has(SpecId::CANCUN) && !vm.journal.entry(frame.account).is_created;
    if heir != frame.account {
        vm.journal.set_balance(frame.account, U256::ZERO);
        vm.journal.add_balance(heir, balance);
    } else if !stays {
        // Its own heir: the balance goes with the account.
        vm.journal.set_balance(frame.account, U256::ZERO);
    }
    if !stays && vm.journal.mark_destroyed(frame.account) && !vm.spec.has(SpecId::LONDON) {
        vm.journal.refund += gas::SELFDESTRUCT_REFUND;
    }
    s.drop(1);
    Ok(())
}

/// `CALL`, `CALLCODE`, `DELEGATECALL` and `STATICCALL`: pays and says what is to be called.
pub(super) unsafe fn call<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    kind: CallKind,
    tracer: &mut T,
) -> Result<CallRequest, Fault> {
    let has_value = matches!(kind, CallKind::Call | CallKind::CallCode);
    let (requested, address) = (s.peek(1), to_address(s.peek(2)));
    let value = if has_value { word::to_u256(s.peek(3)) } else { U256::ZERO };
    let n = if has_value { 4 } else { 3 };
    let (in_offset, in_len) = (s.peek(n), s.peek(n + 1));
    let (out_offset, out_len) = (s.peek(n + 2), s.peek(n + 3));

    let moves_value = has_value && !value.is_zero();
    if frame.is_static && moves_value && kind == CallKind::Call {
        return Err(Fault::StaticCallViolation);
    }
    let end = end_of(in_offset, in_len)?.max(end_of(out_offset, out_len)?);
    let target = vm.journal.id_of(address);
    let mut cost = vm.memory.growth_cost(end)? + access_cost(vm, target);
    if moves_value {
        cost += gas::CALL_VALUE;
    }
    s.require(cost)?;
    let loaded = vm.journal.load(target, vm.db).map(|entry| (entry.exists, entry.info.is_empty()));
    let (exists, is_empty) = vm.db(loaded)?;
    let makes_account = kind == CallKind::Call
        && if vm.spec.has(SpecId::SPURIOUS_DRAGON) { is_empty && moves_value } else { !exists };
    if makes_account {
        cost += gas::NEW_ACCOUNT;
    }
    let mut delegate = None;
    if vm.spec.has(SpecId::PRAGUE) && vm.journal.entry(target).info.has_code() {
        s.require(cost)?;
        let code = vm.journal.code(target, vm.codes, vm.db);
        let address = code.map(|code| code.and_then(|code| code.delegate()));
        if let Some(address) = vm.db(address)? {
            let id = vm.journal.id_of(address);
            // The target itself is warm by the time its delegate is looked at.
            cost += if id == target { gas::WARM } else { access_cost(vm, id) };
            delegate = Some((id, address));
        }
    }
    s.require(cost)?;
    let available = s.gas - cost;
    let requested = word::to_u64_saturating(requested);
    let mut gas = if vm.spec.has(SpecId::TANGERINE) {
        requested.min(gas::all_but_64th(available))
    } else {
        requested
    };
    s.charge(cost.saturating_add(gas))?;
    if moves_value {
        // Cannot overflow: at most what the transaction bought, plus a stipend that was paid for.
        gas = gas.saturating_add(gas::CALL_STIPEND);
    }
    vm.memory.grow(end);
    vm.journal.warm_account(target);
    tracer.account_access(address);
    if let Some((id, address)) = delegate {
        vm.journal.warm_account(id);
        tracer.account_access(address);
        let loaded = vm.journal.load(id, vm.db).map(|_| ());
        vm.db(loaded)?;
    }
    s.drop(n + 3);
    Ok(CallRequest {
        kind,
        target,
        delegate: delegate.map(|(id, _)| id),
        value,
        gas,
        input: range_of(in_offset, in_len),
        output_to: range_of(out_offset, out_len),
    })
}

/// `CREATE` and `CREATE2`: pays and says what is to be created.
pub(super) unsafe fn create(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
    kind: CallKind,
) -> Result<CreateRequest, Fault> {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    let (value, offset, len) = (word::to_u256(s.peek(1)), s.peek(2), s.peek(3));
    let end = end_of(offset, len)?;
    let size = word::to_u64_saturating(len);
    let mut cost = vm.memory.growth_cost(end)?;
    if vm.spec.has(SpecId::SHANGHAI) {
        if size > crate::transaction::INITCODE_MAX as u64 {
            return Err(Fault::InitcodeSizeLimit);
        }
        cost += gas::per_word(size, gas::INITCODE_WORD);
    }
    let salt = (kind == CallKind::Create2).then(|| word::to_u256(s.peek(4)));
    if salt.is_some() {
        cost = cost.saturating_add(gas::per_word(size, gas::KECCAK_WORD));
    }
    s.require(cost)?;
    let available = s.gas - cost;
    let gas = if vm.spec.has(SpecId::TANGERINE) { gas::all_but_64th(available) } else { available };
    s.charge(cost + gas)?;
    vm.memory.grow(end);
    s.drop(if salt.is_some() { 4 } else { 3 });
    Ok(CreateRequest { salt, value, gas, initcode: range_of(offset, len) })
}

/// The match over an opcode that both loops share. Loop-specific arms come first; `fault!` and
/// `exit!` are the loop's own macros for leaving it.
macro_rules! dispatch {
    (
        ($op:expr, $s:ident, $vm:ident, $frame:ident, $tracer:ident, $fault:ident, $exit:ident)
        { $($own:tt)* }
    ) => {{
        use $crate::{CallKind, arith, opcode as op};
        use $crate::interpreter::{ops, word};

        /// An inlined body that can fault.
        macro_rules! inlined {
            ($body:expr) => {
                if let Err(fault) = $body {
                    std::hint::cold_path();
                    $fault!(fault);
                }
            };
        }
        /// A body behind a call: registers go by copy, so that they never need an address.
        macro_rules! called {
            (|$r:ident| $body:expr) => {{
                let mut copy = $s;
                let $r = &mut copy;
                let result = $body;
                $s = copy;
                match result {
                    Ok(value) => value,
                    Err(fault) => {
                        std::hint::cold_path();
                        $fault!(fault)
                    }
                }
            }};
        }
        match $op {
            $($own)*
            op::STOP => $exit!(Exit::Stop),
            op::ADD => ops::binary(&mut $s, word::add),
            op::MUL => ops::binary(&mut $s, word::mul),
            op::SUB => ops::binary(&mut $s, word::sub),
            op::DIV => {
                ops::binary_at($s.sp, arith::div);
                $s.drop(1);
            }
            op::SDIV => {
                ops::binary_at($s.sp, arith::sdiv);
                $s.drop(1);
            }
            op::MOD => {
                ops::binary_at($s.sp, arith::rem);
                $s.drop(1);
            }
            op::SMOD => {
                ops::binary_at($s.sp, arith::smod);
                $s.drop(1);
            }
            op::ADDMOD => {
                ops::ternary_at($s.sp, arith::addmod);
                $s.drop(2);
            }
            op::MULMOD => {
                ops::mulmod_at($s.sp, $vm);
                $s.drop(2);
            }
            op::EXP => called!(|r| ops::exp(r, $vm)),
            op::SIGNEXTEND => ops::binary(&mut $s, word::signextend),
            op::LT => ops::binary(&mut $s, word::lt),
            op::GT => ops::binary(&mut $s, word::gt),
            op::SLT => ops::binary(&mut $s, word::slt),
            op::SGT => ops::binary(&mut $s, word::sgt),
            op::EQ => ops::binary(&mut $s, word::eq),
            op::ISZERO => ops::unary(&mut $s, |a| word::from_bool(word::is_zero(a))),
            op::AND => ops::binary(&mut $s, word::and),
            op::OR => ops::binary(&mut $s, word::or),
            op::XOR => ops::binary(&mut $s, word::xor),
            op::NOT => ops::unary(&mut $s, word::not),
            op::BYTE => ops::binary(&mut $s, word::byte),
            op::SHL => ops::binary(&mut $s, word::shl),
            op::SHR => ops::binary(&mut $s, word::shr),
            op::SAR => ops::binary(&mut $s, word::sar),
            op::CLZ => ops::unary(&mut $s, word::clz),
            op::KECCAK256 => called!(|r| ops::keccak(r, $vm)),
            op::ADDRESS => $s.push(ops::from_address($frame.address)),
            op::BALANCE => called!(|r| ops::balance(r, $vm, $tracer)),
            op::ORIGIN => $s.push(ops::from_address($vm.tx.origin)),
            op::CALLER => $s.push(ops::from_address($frame.caller)),
            op::CALLVALUE => $s.push(word::from_u256($frame.value)),
            op::CALLDATALOAD => ops::calldataload(&mut $s, $vm, $frame),
            op::CALLDATASIZE => $s.push(word::from_u64($frame.input.len() as u64)),
            op::CALLDATACOPY => called!(|r| ops::calldatacopy(r, $vm, $frame)),
            op::CODESIZE => $s.push(word::from_u64($frame.code.len() as u64)),
            op::CODECOPY => called!(|r| ops::codecopy(r, $vm, $frame)),
            op::GASPRICE => $s.push(word::from_u256($vm.tx.gas_price)),
            op::EXTCODESIZE => called!(|r| ops::extcodesize(r, $vm, $tracer)),
            op::EXTCODECOPY => called!(|r| ops::extcodecopy(r, $vm, $tracer)),
            op::RETURNDATASIZE => $s.push(word::from_u64($vm.return_data.len() as u64)),
            op::RETURNDATACOPY => called!(|r| ops::returndatacopy(r, $vm)),
            op::EXTCODEHASH => called!(|r| ops::extcodehash(r, $vm, $tracer)),
            op::BLOCKHASH => called!(|r| ops::blockhash(r, $vm)),
            op::COINBASE => $s.push(ops::from_address($vm.block.beneficiary)),
            op::TIMESTAMP => $s.push(word::from_u64($vm.block.timestamp)),
            op::NUMBER => $s.push(word::from_u64($vm.block.number)),
            op::PREVRANDAO => $s.push(ops::prevrandao($vm)),
            op::GASLIMIT => $s.push(word::from_u64($vm.block.gas_limit)),
            op::CHAINID => $s.push(word::from_u64($vm.config.chain_id)),
            op::SELFBALANCE => called!(|r| ops::selfbalance(r, $vm, $frame)),
            op::BASEFEE => $s.push(word::from_u64($vm.block.base_fee)),
            op::BLOBHASH => ops::blobhash(&mut $s, $vm),
            op::BLOBBASEFEE => $s.push(word::from_u256($vm.tx.blob_base_fee)),
            op::POP => $s.drop(1),
            op::MLOAD => inlined!(ops::mload(&mut $s, $vm)),
            op::MSTORE => inlined!(ops::mstore(&mut $s, $vm)),
            op::MSTORE8 => inlined!(ops::mstore8(&mut $s, $vm)),
            op::SLOAD => called!(|r| ops::sload(r, $vm, $frame, $tracer)),
            op::SSTORE => called!(|r| ops::sstore(r, $vm, $frame, $tracer)),
            op::MSIZE => $s.push(word::from_u64($vm.memory.len() as u64)),
            op::GAS => $s.push(word::from_u64($s.gas)),
            op::TLOAD => called!(|r| ops::tload(r, $vm, $frame)),
            op::TSTORE => called!(|r| ops::tstore(r, $vm, $frame)),
            op::MCOPY => called!(|r| ops::mcopy(r, $vm)),
            op::PUSH0 => $s.push(word::ZERO),
            op::DUP1 => ops::dup(&mut $s, 1),
            op::DUP2 => ops::dup(&mut $s, 2),
            op::DUP3 => ops::dup(&mut $s, 3),
            op::DUP4 => ops::dup(&mut $s, 4),
            op::DUP5 => ops::dup(&mut $s, 5),
            op::DUP6 => ops::dup(&mut $s, 6),
            op::DUP7 => ops::dup(&mut $s, 7),
            op::DUP8 => ops::dup(&mut $s, 8),
            op::DUP9 => ops::dup(&mut $s, 9),
            op::DUP10 => ops::dup(&mut $s, 10),
            op::DUP11 => ops::dup(&mut $s, 11),
            op::DUP12 => ops::dup(&mut $s, 12),
            op::DUP13 => ops::dup(&mut $s, 13),
            op::DUP14 => ops::dup(&mut $s, 14),
            op::DUP15 => ops::dup(&mut $s, 15),
            op::DUP16 => ops::dup(&mut $s, 16),
            op::SWAP1 => ops::swap(&mut $s, 1),
            op::SWAP2 => ops::swap(&mut $s, 2),
            op::SWAP3 => ops::swap(&mut $s, 3),
            op::SWAP4 => ops::swap(&mut $s, 4),
            op::SWAP5 => ops::swap(&mut $s, 5),
            op::SWAP6 => ops::swap(&mut $s, 6),
            op::SWAP7 => ops::swap(&mut $s, 7),
            op::SWAP8 => ops::swap(&mut $s, 8),
            op::SWAP9 => ops::swap(&mut $s, 9),
            op::SWAP10 => ops::swap(&mut $s, 10),
            op::SWAP11 => ops::swap(&mut $s, 11),
            op::SWAP12 => ops::swap(&mut $s, 12),
            op::SWAP13 => ops::swap(&mut $s, 13),
            op::SWAP14 => ops::swap(&mut $s, 14),
            op::SWAP15 => ops::swap(&mut $s, 15),
            op::SWAP16 => ops::swap(&mut $s, 16),
            op::LOG0 => called!(|r| ops::log(r, $vm, $frame, 0, $tracer)),
            op::LOG1 => called!(|r| ops::log(r, $vm, $frame, 1, $tracer)),
            op::LOG2 => called!(|r| ops::log(r, $vm, $frame, 2, $tracer)),
            op::LOG3 => called!(|r| ops::log(r, $vm, $frame, 3, $tracer)),
            op::LOG4 => called!(|r| ops::log(r, $vm, $frame, 4, $tracer)),
            op::CREATE => {
                $exit!(Exit::Create(called!(|r| ops::create(r, $vm, $frame, CallKind::Create))))
            }
            op::CREATE2 => {
                $exit!(Exit::Create(called!(|r| ops::create(r, $vm, $frame, CallKind::Create2))))
            }
            op::CALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::Call, $tracer))
            )),
            op::CALLCODE => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::CallCode, $tracer))
            )),
            op::DELEGATECALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::DelegateCall, $tracer))
            )),
            op::STATICCALL => $exit!(Exit::Call(
                called!(|r| ops::call(r, $vm, $frame, CallKind::StaticCall, $tracer))
            )),
            op::RETURN => $exit!(Exit::Return(called!(|r| ops::output(r, $vm)))),
            op::REVERT => $exit!(Exit::Revert(called!(|r| ops::output(r, $vm)))),
            op::SELFDESTRUCT => {
                called!(|r| ops::selfdestruct(r, $vm, $frame, $tracer));
                $exit!(Exit::SelfDestruct)
            }
            op::INVALID => $fault!(Fault::InvalidOpcode),
            _ => $fault!(Fault::UndefinedOpcode),
        }
    }};
}
pub(super) use dispatch;

/// `PREVRANDAO` (EIP-4399), before Paris `DIFFICULTY`.
#[inline(always)]
pub(super) fn prevrandao(vm: &Vm<'_>) -> Limbs {
    if vm.spec.has(SpecId::PARIS) {
        word::from_be(&vm.block.prevrandao.0)
    } else {
        word::from_u256(vm.block.difficulty)
    }
}
