//! Accounts that run the code of others (EIP-7702).

use std::sync::Arc;

use zvm_core::{Address, DbError, KECCAK_EMPTY, SignedAuthorization, Transaction, U256, keccak256};

use crate::{
    Tracer,
    code::Code,
    gas,
    interpreter::Vm,
    journal::{AccountId, delegation},
    machine::Machine,
};

/// Sets the delegations of the transaction; the gas to refund for accounts that exist.
pub(super) fn apply<T: Tracer>(
    machine: &mut Machine<'_>,
    tx: &Transaction,
    tracer: &mut T,
) -> Result<u64, DbError> {
    let mut refund = 0;
    for authorization in &tx.authorizations {
        refund += apply_one(&mut machine.vm, authorization, tracer)?;
    }
    Ok(refund)
}

/// Sets one delegation, or skips it if it is not valid.
fn apply_one<T: Tracer>(
    vm: &mut Vm<'_>,
    signed: &SignedAuthorization,
    tracer: &mut T,
) -> Result<u64, DbError> {
    let authorization = &signed.authorization;
    let is_for_chain = authorization.chain_id.is_zero()
        || authorization.chain_id == U256::from(vm.config.chain_id);
    let Some(next_nonce) = authorization.nonce.checked_add(1) else { return Ok(0) };
    let Some(authority) = signed.authority.filter(|_| is_for_chain) else { return Ok(0) };

    let id = vm.journal.id_of(authority);
    vm.journal.warm_account(id);
    tracer.account_access(authority);
    vm.journal.load(id, vm.db)?;
    let code = vm.journal.code(id, vm.codes, vm.db)?;
    if code.is_some_and(|code| code.len() > 0 && code.delegate().is_none()) {
        return Ok(0);
    }
    let entry = vm.journal.entry(id);
    if entry.info.nonce != authorization.nonce {
        return Ok(0);
    }
    let refund = if entry.exists { gas::NEW_AUTHORIZATION - gas::AUTHORIZATION_BASE } else { 0 };
    if authorization.address == Address::ZERO {
        vm.journal.set_code(id, None, KECCAK_EMPTY);
    } else {
        let bytes = delegation(authorization.address);
        let code = Arc::new(Code::new(&bytes));
        vm.journal.set_code(id, Some(code), keccak256(&bytes));
    }
    vm.journal.set_nonce(id, next_nonce);
    Ok(refund)
}

/// The account whose code a call of `target` runs instead; warm from here on.
pub(super) fn of(vm: &mut Vm<'_>, target: AccountId) -> Result<Option<AccountId>, DbError> {
    if !vm.spec.has(zvm_core::SpecId::PRAGUE) {
        return Ok(None);
    }
    let code = vm.journal.code(target, vm.codes, vm.db)?;
    let Some(address) = code.and_then(|code| code.delegate()) else { return Ok(None) };
    let id = vm.journal.id_of(address);
    vm.journal.warm_account(id);
    vm.journal.load(id, vm.db)?;
    Ok(Some(id))
}
