//! A transaction from its checks to the settlement of its gas (Yellow Paper, section 6).

pub(crate) mod blob;
mod delegation;
pub(crate) mod intrinsic;
mod validate;

pub use validate::Requirements;

use std::sync::Arc;

use zvm_core::{BlockEnv, Bytes, Database, SpecId, Transaction, TxKind, TxType, U256};

use crate::{
    CallKind, Config, ExecError, Executed, InvalidTransaction, Outcome, Tracer,
    code::Code,
    journal::AccountId,
    machine::{Call, Create, FrameResult, Machine},
    memory::Input,
};

/// Checks and runs `tx` on a fresh machine.
pub(crate) fn execute<T: Tracer>(
    machine: &mut Machine<'_>,
    tx: &Transaction,
    tracer: &mut T,
) -> Result<Executed, ExecError> {
    let (config, block, db) = (machine.vm.config, machine.vm.block, machine.vm.db);
    let spec = config.spec();
    let price = gas_price(tx, block, spec);
    let needed = intrinsic::Gas::of(tx, spec);
    let sender = begin(machine, tx, price, &needed, block, config, db)?;
    let refund_for_accounts = delegation::apply(machine, tx, tracer)?;

    let gas = tx.gas_limit - needed.intrinsic;
    let result = run(machine, tx, sender, gas, tracer)?;
    let left = result.gas_left;

    let is_success = matches!(result.outcome, Outcome::Success(_));
    let counter = if is_success { machine.vm.journal.refund } else { 0 };
    // Never negative: a clearance is taken back only after it was given.
    let counter = u64::try_from(counter).unwrap_or(0) + refund_for_accounts;
    let used = tx.gas_limit - left;
    let quotient = if spec.has(SpecId::LONDON) { 5 } else { 2 };
    let gas_used = (used - counter.min(used / quotient)).max(needed.floor);
    settle(machine, tx, sender, price, gas_used)?;

    let diff = machine.vm.journal.finish(spec.has(SpecId::SPURIOUS_DRAGON));
    Ok(Executed {
        outcome: result.outcome,
        gas_used,
        gas_refunded: used.saturating_sub(gas_used),
        output: Bytes::copy_from_slice(machine.vm.return_data),
        created: result.created,
        logs: if is_success { std::mem::take(&mut machine.vm.journal.logs) } else { Vec::new() },
        diff,
    })
}

/// Wei per gas that the sender pays in this block (EIP-1559).
pub(crate) fn gas_price(tx: &Transaction, block: &BlockEnv, spec: SpecId) -> U256 {
    if tx.tx_type < TxType::DynamicFee || !spec.has(SpecId::LONDON) {
        return tx.gas_price;
    }
    let with_tip = U256::from(block.base_fee).saturating_add(tx.max_priority_fee);
    with_tip.min(tx.gas_price)
}

/// Checks the transaction, buys its gas and warms what it declares.
fn begin(
    machine: &mut Machine<'_>,
    tx: &Transaction,
    price: U256,
    needed: &intrinsic::Gas,
    block: &BlockEnv,
    config: &Config,
    db: &dyn Database,
) -> Result<AccountId, ExecError> {
    validate::transaction(tx, needed, block, config, machine.vm.tx.blob_base_fee)?;
    let vm = &mut machine.vm;
    let sender = vm.journal.id_of(tx.sender);
    vm.journal.load(sender, db)?;
    let has_code = vm
        .journal
        .code(sender, vm.codes, db)?
        .is_some_and(|code| code.len() > 0 && code.delegate().is_none());
    let info = vm.journal.entry(sender).info;
    let balance = validate::sender(tx, &info, has_code, config)?;

    vm.journal.warm_account(sender);
    if let TxKind::Call(to) = tx.to {
        let to = vm.journal.id_of(to);
        vm.journal.warm_account(to);
    }
    if config.spec().has(SpecId::SHANGHAI) {
        // EIP-3651.
        let beneficiary = vm.journal.id_of(block.beneficiary);
        vm.journal.warm_account(beneficiary);
    }
    for item in &tx.access_list {
        let id = vm.journal.id_of(item.address);
        vm.journal.warm_account(id);
        for key in &item.storage_keys {
            let slot = vm.journal.slot_id(id, (*key).into());
            vm.journal.warm_slot(slot);
        }
    }

    // Cannot overflow or fall short: the balance covers the most it could cost.
    let gas_cost = price.saturating_mul(U256::from(tx.gas_limit));
    let blob_gas = U256::from(blob::gas(tx.blob_hashes.len()));
    let blob_cost = vm.tx.blob_base_fee.saturating_mul(blob_gas);
    vm.journal.set_balance(sender, balance.saturating_sub(gas_cost).saturating_sub(blob_cost));
    // For a creation too: the address is made of the nonce before.
    let nonce = info.nonce.checked_add(1).ok_or(InvalidTransaction::NonceIsMax)?;
    vm.journal.set_nonce(sender, nonce);
    Ok(sender)
}

/// Runs the outermost frame.
fn run<T: Tracer>(
    machine: &mut Machine<'_>,
    tx: &Transaction,
    sender: AccountId,
    gas: u64,
    tracer: &mut T,
) -> Result<FrameResult, ExecError> {
    let db = machine.vm.db;
    let start = match tx.to {
        TxKind::Create => {
            let nonce = machine.vm.journal.entry(sender).info.nonce - 1;
            let create = Create {
                kind: CallKind::Create,
                caller: tx.sender,
                payer: sender,
                address: tx.sender.create(nonce),
                value: tx.value,
                gas,
                initcode: Arc::new(Code::new(&tx.data)),
            };
            machine.begin_create(create, true, tracer)?
        }
        TxKind::Call(to) => {
            let vm = &mut machine.vm;
            let target = vm.journal.id_of(to);
            tracer.account_access(to);
            vm.journal.load(target, db)?;
            let delegate = delegation::of(vm, target)?;
            let call = Call {
                kind: CallKind::Call,
                caller: tx.sender,
                payer: sender,
                address: to,
                account: target,
                target,
                delegate,
                code: None,
                value: tx.value,
                gas,
                input: Input::Bytes(tx.data.clone()),
                is_static: false,
            };
            machine.begin_call(call, true, tracer)?
        }
    };
    Ok(machine.run(start, tracer)?)
}

/// Gives unused gas back and pays the beneficiary.
fn settle(
    machine: &mut Machine<'_>,
    tx: &Transaction,
    sender: AccountId,
    price: U256,
    gas_used: u64,
) -> Result<(), ExecError> {
    let vm = &mut machine.vm;
    let back = price.saturating_mul(U256::from(tx.gas_limit - gas_used));
    vm.journal.add_balance(sender, back);
    let base_fee = if vm.spec.has(SpecId::LONDON) { vm.block.base_fee } else { 0 };
    let tip = price.saturating_sub(U256::from(base_fee));
    let beneficiary = vm.journal.id_of(vm.block.beneficiary);
    vm.journal.load(beneficiary, vm.db)?;
    vm.journal.add_balance(beneficiary, tip.saturating_mul(U256::from(gas_used)));
    Ok(())
}
