//! zvm's side of a comparison.

use std::collections::BTreeMap;

use zvm_core::{Address, StateDiff, U256, keccak256};
use zvm_evm::{
    Config, Evm, ExecError, Executed, Halt, InvalidTransaction, NoTracer, Outcome, SuccessReason,
};

use crate::{
    case::{Case, World, WorldDb},
    observe::{Ending, Observation, PostAccount, Ran, Rule},
};

/// What `evm` makes of `case`, whose world is also in `db`.
pub fn observe(evm: &mut Evm, case: &Case, db: &WorldDb) -> Observation {
    let config = match Config::new(case.spec) {
        Ok(config) => config,
        Err(error) => return Observation::Broken(error.to_string()),
    };
    match evm.execute(&case.tx, &case.block, &config, db, &mut NoTracer) {
        Ok(executed) => ran(executed, &case.pre),
        Err(ExecError::Invalid(invalid)) => Observation::Invalid(rule(&invalid)),
        Err(error) => Observation::Broken(error.to_string()),
    }
}

fn ran(executed: Executed, pre: &World) -> Observation {
    let post = match apply(&executed.diff, pre) {
        Ok(post) => post,
        Err(why) => return Observation::Broken(why),
    };
    Observation::Ran(Box::new(Ran {
        ending: ending(executed.outcome),
        gas_used: executed.gas_used,
        refund: Some(executed.gas_refunded),
        output: executed.output,
        created: executed.created,
        logs: executed.logs,
        post,
    }))
}

/// The world after `diff`, or the promise of [`StateDiff`] that it breaks.
fn apply(diff: &StateDiff, pre: &World) -> Result<BTreeMap<Address, PostAccount>, String> {
    let mut post = world_before(pre);
    for (&address, change) in &diff.accounts {
        let before = post.remove(&address);
        if change.is_empty() {
            return Err(format!("the diff lists {address}, which did not change"));
        }
        if change.old != before.as_ref().map(|account| account.info) {
            return Err(format!("the diff has {:?} as old account {address}", change.old));
        }
        let mut storage = before.map(|account| account.storage).unwrap_or_default();
        for (&slot, word) in &change.storage {
            let old = storage.get(&slot).copied().unwrap_or_default();
            if word.old != old || (word.new == old && !change.wiped) {
                return Err(format!("the diff has {word:?} for slot {slot} of {address}: {old}"));
            }
        }
        if change.wiped {
            storage.clear();
        }
        storage.extend(change.storage.iter().map(|(&slot, word)| (slot, word.new)));
        storage.retain(|_, word| *word != U256::ZERO);
        let Some(info) = change.new else {
            if !change.wiped && !storage.is_empty() {
                return Err(format!("{address} is deleted with slots left"));
            }
            continue;
        };
        if change.old.is_none_or(|old| old.code_hash != info.code_hash) && info.has_code() {
            let known = pre.values().any(|account| account.code_hash() == info.code_hash);
            if !known && !diff.code.contains_key(&info.code_hash) {
                return Err(format!("the diff lacks the code {} of {address}", info.code_hash));
            }
        }
        post.insert(address, PostAccount { info, storage });
    }
    match diff.code.iter().find(|(hash, code)| keccak256(code) != **hash) {
        Some((hash, _)) => Err(format!("the diff lists code under the wrong hash {hash}")),
        None => Ok(post),
    }
}

/// `pre` in the shape of a post state.
pub(crate) fn world_before(pre: &World) -> BTreeMap<Address, PostAccount> {
    let shape = |account: &crate::case::WorldAccount| PostAccount {
        info: account.info(),
        storage: account.storage.clone(),
    };
    pre.iter().map(|(&address, account)| (address, shape(account))).collect()
}

fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Success(SuccessReason::Stop) => Ending::Stop,
        Outcome::Success(SuccessReason::Return) => Ending::Return,
        Outcome::Success(SuccessReason::SelfDestruct) => Ending::SelfDestruct,
        Outcome::Revert => Ending::Revert,
        Outcome::Halt(halt) => match halt {
            Halt::OutOfGas | Halt::MemoryLimit => Ending::OutOfGas,
            Halt::UndefinedOpcode(_) => Ending::UndefinedOpcode,
            Halt::InvalidOpcode => Ending::InvalidOpcode,
            Halt::StackUnderflow => Ending::StackUnderflow,
            Halt::StackOverflow => Ending::StackOverflow,
            Halt::InvalidJump => Ending::InvalidJump,
            Halt::StaticCallViolation => Ending::StaticCallViolation,
            Halt::ReturnDataOutOfBounds => Ending::ReturnDataOutOfBounds,
            Halt::CreateCollision => Ending::CreateCollision,
            Halt::CodeSizeLimit => Ending::CodeSizeLimit,
            Halt::InitcodeSizeLimit => Ending::InitcodeSizeLimit,
            Halt::CodeStartsWithEf => Ending::CodeStartsWithEf,
            Halt::NonceOverflow => Ending::NonceOverflow,
            Halt::Precompile(_) => Ending::Precompile,
            _ => Ending::Other,
        },
    }
}

fn rule(invalid: &InvalidTransaction) -> Rule {
    use InvalidTransaction as Invalid;
    match invalid {
        Invalid::TypeNotSupported { .. } => Rule::TypeNotSupported,
        Invalid::ChainId { .. } | Invalid::MissingChainId => Rule::ChainId,
        Invalid::NonceTooLow { .. } | Invalid::NonceTooHigh { .. } => Rule::Nonce,
        Invalid::NonceIsMax => Rule::NonceIsMax,
        Invalid::InsufficientFunds { .. } => Rule::InsufficientFunds,
        Invalid::SenderHasCode { .. } => Rule::SenderHasCode,
        Invalid::IntrinsicGas { .. } => Rule::IntrinsicGas,
        Invalid::FloorGas { .. } => Rule::FloorGas,
        Invalid::BlockGasLimit { .. } => Rule::BlockGasLimit,
        Invalid::GasLimitCap { .. } => Rule::GasLimitCap,
        Invalid::FeeCapBelowBaseFee { .. } => Rule::FeeCapBelowBaseFee,
        Invalid::PriorityFeeAboveCap { .. } => Rule::PriorityFeeAboveCap,
        Invalid::InitcodeSize { .. } => Rule::InitcodeSize,
        Invalid::NoBlobs => Rule::NoBlobs,
        Invalid::TooManyBlobs { .. } => Rule::TooManyBlobs,
        Invalid::BlobVersion { .. } => Rule::BlobVersion,
        Invalid::BlobFeeCap { .. } => Rule::BlobFeeCap,
        Invalid::NoAuthorizations => Rule::NoAuthorizations,
        _ => Rule::Other,
    }
}
