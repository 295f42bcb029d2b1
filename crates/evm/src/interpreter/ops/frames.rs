//! Opcodes that end a frame or open one.

use std::ops::Range;

use zvm_core::{SpecId, U256};

use super::{
    Done,
    accounts::{access_cost, to_address},
    memory::{end_of, range_of, reach},
};
use crate::{
    CallKind, Tracer,
    frame::Frame,
    gas,
    interpreter::{
        stack::Regs,
        vm::{CallRequest, CreateRequest, Fault, Vm},
        word,
    },
    limits::INITCODE_MAX,
};

/// `RETURN` and `REVERT`: the range of the output.
#[inline(never)]
pub(in crate::interpreter) unsafe fn output(
    s: &mut Regs,
    vm: &mut Vm<'_>,
) -> Result<Range<usize>, Fault> {
    let (offset, len) = (s.peek(1), s.peek(2));
    let end = end_of(offset, len)?;
    reach(s, vm, end)?;
    s.drop(2);
    Ok(range_of(offset, len))
}

/// `SELFDESTRUCT` (0xff; EIP-150, 161, 2929, 3529, 6780).
#[inline(never)]
pub(in crate::interpreter) unsafe fn selfdestruct<T: Tracer>(
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
#[inline(never)]
pub(in crate::interpreter) unsafe fn call<T: Tracer>(
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
#[inline(never)]
pub(in crate::interpreter) unsafe fn create(
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
        if size > INITCODE_MAX as u64 {
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
