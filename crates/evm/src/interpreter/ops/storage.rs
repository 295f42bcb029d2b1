//! Storage, transient storage and events.

use zvm_core::{B256, Log, LogData, SpecId};

use super::{
    Done,
    memory::{end_of, range_of},
};
use crate::{
    Tracer,
    frame::Frame,
    gas,
    interpreter::{
        stack::Regs,
        vm::{Fault, Vm},
        word,
    },
};

#[inline(never)]
pub(in crate::interpreter) unsafe fn sload<T: Tracer>(
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

#[inline(never)]
pub(in crate::interpreter) unsafe fn sstore<T: Tracer>(
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

#[inline(never)]
pub(in crate::interpreter) unsafe fn tload(s: &mut Regs, vm: &Vm<'_>, frame: &Frame) -> Done {
    let word = vm.journal.transient(frame.account, word::to_u256(s.peek(1)));
    s.poke(1, word::from_u256(word));
    Ok(())
}

#[inline(never)]
pub(in crate::interpreter) unsafe fn tstore(s: &mut Regs, vm: &mut Vm<'_>, frame: &Frame) -> Done {
    if frame.is_static {
        return Err(Fault::StaticCallViolation);
    }
    let (key, word) = (word::to_u256(s.peek(1)), word::to_u256(s.peek(2)));
    vm.journal.set_transient(frame.account, key, word);
    s.drop(2);
    Ok(())
}

/// `LOG0` to `LOG4`. Gas: 8 per byte; the topics are static.
#[inline(never)]
pub(in crate::interpreter) unsafe fn log<T: Tracer>(
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
