//! What opcodes ask of accounts and of the block.

use zvm_core::{Address, B256, SpecId};

use super::{
    Done,
    memory::{charge_copy, copy_padded},
};
use crate::{
    Tracer,
    frame::Frame,
    gas,
    interpreter::{
        stack::Regs,
        vm::{Fault, Vm},
        word::{self, Limbs},
    },
    journal::AccountId,
};

#[inline(always)]
pub(super) fn to_address(word: Limbs) -> Address {
    Address::from_word(B256::new(word::to_be(word)))
}

#[inline(always)]
pub(in crate::interpreter) fn from_address(address: Address) -> Limbs {
    word::from_be(&address.into_word().0)
}

/// Price of touching an account; what is not dynamic before Berlin is in the opcode table.
#[inline]
pub(super) fn access_cost(vm: &Vm<'_>, id: AccountId) -> u64 {
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

#[inline(never)]
pub(in crate::interpreter) unsafe fn balance<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Done {
    let id = access_account(s, vm, tracer)?;
    s.poke(1, word::from_u256(vm.journal.entry(id).info.balance));
    Ok(())
}

#[inline(never)]
pub(in crate::interpreter) unsafe fn extcodesize<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Done {
    let id = access_account(s, vm, tracer)?;
    let len = vm.journal.code(id, vm.codes, vm.db).map(|code| code.map_or(0, |code| code.len()));
    let len = vm.db(len)?;
    s.poke(1, word::from_u64(len as u64));
    Ok(())
}

/// `EXTCODEHASH` (0x3f, EIP-1052): zero for an account that is empty or not there.
#[inline(never)]
pub(in crate::interpreter) unsafe fn extcodehash<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Done {
    let id = access_account(s, vm, tracer)?;
    let info = &vm.journal.entry(id).info;
    let hash = if info.is_empty() { word::ZERO } else { word::from_be(&info.code_hash.0) };
    s.poke(1, hash);
    Ok(())
}

#[inline(never)]
pub(in crate::interpreter) unsafe fn extcodecopy<T: Tracer>(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    tracer: &mut T,
) -> Done {
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

#[inline(never)]
pub(in crate::interpreter) unsafe fn selfbalance(
    s: &mut Regs,
    vm: &mut Vm<'_>,
    frame: &Frame,
) -> Done {
    let loaded = vm.journal.load(frame.account, vm.db).map(|entry| entry.info.balance);
    let balance = vm.db(loaded)?;
    s.push(word::from_u256(balance));
    Ok(())
}

/// `BLOCKHASH` (0x40): zero outside the last 256 blocks.
#[inline(never)]
pub(in crate::interpreter) unsafe fn blockhash(s: &mut Regs, vm: &mut Vm<'_>) -> Done {
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
pub(in crate::interpreter) unsafe fn blobhash(s: &mut Regs, vm: &Vm<'_>) {
    let index = usize::try_from(word::to_u64_saturating(s.peek(1))).unwrap_or(usize::MAX);
    let hash = vm.tx.blob_hashes.get(index).copied().unwrap_or_default();
    s.poke(1, word::from_be(&hash.0));
}

/// `PREVRANDAO` (EIP-4399), before Paris `DIFFICULTY`.
#[inline(always)]
pub(in crate::interpreter) fn prevrandao(vm: &Vm<'_>) -> Limbs {
    if vm.spec.has(SpecId::PARIS) {
        word::from_be(&vm.block.prevrandao.0)
    } else {
        word::from_u256(vm.block.difficulty)
    }
}
