//! revm's side of a comparison: as an oracle for results, and set up at its best for timing.

use std::convert::Infallible;

use revm::{
    Context, Database, ExecuteEvm, InspectEvm, Inspector, Journal, MainBuilder, MainnetEvm,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{
            EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState,
            SuccessReason,
        },
        transaction::{
            AccessList, AccessListItem, Authorization, RecoveredAuthority, RecoveredAuthorization,
        },
    },
    context_interface::block::BlobExcessGasAndPrice,
    interpreter::{Interpreter, interpreter_types::Jumps},
    primitives::{AddressMap, HashMap, hardfork::SpecId as PeerSpec},
    state::{Account, AccountInfo, EvmState},
};
use zvm_core::{Address, B256, BlobParams, SpecId, TxType, U256};

use crate::{
    case::{Case, World, block_hash},
    machine::world_before,
    observe::{Ending, Observation, PostAccount, Ran, Rule},
};

/// The revm this is.
pub const NAME: &str = "revm 43";

/// A revm with one case set up: code analysed, buffers allocated, the transaction in place.
pub struct Peer<I = ()> {
    evm: MainnetEvm<PeerContext, I>,
}

/// The context revm executes in.
pub type PeerContext = Context<BlockEnv, TxEnv, CfgEnv, PeerDb, Journal<PeerDb>, ()>;

/// What revm answers: its result and the accounts it touched.
pub type PeerResult = Result<ResultAndState, EVMError<Infallible, InvalidTransaction>>;

impl Peer {
    /// A revm for `case`; `None` for Constantinople, which revm does not have.
    #[must_use]
    pub fn new(case: &Case) -> Option<Self> {
        Some(Self { evm: context(case)?.build_mainnet() })
    }

    /// Executes the transaction: from transaction and state to result with state changes.
    /// Nothing is committed, so it can be done again and again.
    pub fn run(&mut self) -> PeerResult {
        self.evm.replay()
    }
}

impl<I: Inspector<PeerContext>> Peer<I> {
    /// A revm for `case` that reports to `inspector`.
    #[must_use]
    pub fn watched(case: &Case, inspector: I) -> Option<Self> {
        Some(Self { evm: context(case)?.build_mainnet_with_inspector(inspector) })
    }

    /// Executes the transaction under the inspector's eyes.
    pub fn run_watched(&mut self) -> PeerResult {
        let tx = self.evm.ctx.tx.clone();
        self.evm.inspect_tx(tx)
    }

    /// The inspector.
    pub fn inspector(&self) -> &I {
        &self.evm.inspector
    }
}

/// What revm makes of `case`; `None` for Constantinople.
#[must_use]
pub fn observe(case: &Case) -> Option<Observation> {
    Some(observation(Peer::new(case)?.run(), case))
}

/// A result of revm in common words.
pub fn observation(result: PeerResult, case: &Case) -> Observation {
    match result {
        Ok(ResultAndState { result, state }) => {
            Observation::Ran(Box::new(ran(result, &state, case)))
        }
        Err(EVMError::Transaction(invalid)) => Observation::Invalid(rule(&invalid)),
        Err(error) => Observation::Broken(error.to_string()),
    }
}

/// Counts the opcodes revm executes.
#[derive(Clone, Debug)]
pub struct OpcodeCounts([u64; 256]);

impl OpcodeCounts {
    /// How often each opcode ran.
    #[must_use]
    pub fn counts(&self) -> &[u64; 256] {
        &self.0
    }
}

impl Default for OpcodeCounts {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Inspector<PeerContext> for OpcodeCounts {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut PeerContext) {
        self.0[usize::from(interpreter.bytecode.opcode())] += 1;
    }
}

/// A [`World`] in hash maps, with the code analysed, as revm reads it.
#[derive(Debug, Default)]
pub struct PeerDb {
    accounts: AddressMap<AccountInfo>,
    storage: HashMap<(Address, U256), U256>,
    code: HashMap<B256, Bytecode>,
}

impl PeerDb {
    fn new(pre: &World) -> Self {
        let mut db = Self::default();
        for (&address, account) in pre {
            let code = Bytecode::new_raw(account.code.clone());
            let info =
                AccountInfo::new(account.balance, account.nonce, account.code_hash(), code.clone());
            db.code.insert(info.code_hash, code);
            db.accounts.insert(address, info);
            for (&slot, &word) in &account.storage {
                db.storage.insert((address, slot), word);
            }
        }
        db
    }
}

impl Database for PeerDb {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.accounts.get(&address).cloned())
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok(block_hash(number))
    }
}

fn context(case: &Case) -> Option<PeerContext> {
    let spec = spec(case.spec)?;
    let blob = if case.spec.has(SpecId::PRAGUE) { BlobParams::PRAGUE } else { BlobParams::CANCUN };
    let mut context =
        Context::new(PeerDb::new(&case.pre), spec).with_cfg(cfg(spec, case.spec, blob));
    context.block = block(&case.block, case.spec, blob);
    context.tx = tx(&case.tx);
    Some(context)
}

pub(crate) fn cfg(peer: PeerSpec, spec: SpecId, blob: BlobParams) -> CfgEnv {
    let mut cfg = CfgEnv::new().with_spec_and_mainnet_gas_params(peer);
    // EIP-7594 caps the blobs of a transaction below those of a block.
    cfg.set_max_blobs_per_tx(if spec.has(SpecId::OSAKA) { 6.min(blob.max) } else { blob.max });
    cfg
}

pub(crate) fn block(block: &zvm_core::BlockEnv, spec: SpecId, blob: BlobParams) -> BlockEnv {
    BlockEnv {
        number: U256::from(block.number),
        beneficiary: block.beneficiary,
        timestamp: U256::from(block.timestamp),
        gas_limit: block.gas_limit,
        basefee: if spec.has(SpecId::LONDON) { block.base_fee } else { 0 },
        difficulty: block.difficulty,
        prevrandao: Some(block.prevrandao),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(
            block.excess_blob_gas,
            blob.base_fee_update_fraction,
        )),
        slot_num: 0,
    }
}

pub(crate) fn tx(tx: &zvm_core::Transaction) -> TxEnv {
    let item = |item: &zvm_core::AccessListItem| AccessListItem {
        address: item.address,
        storage_keys: item.storage_keys.clone(),
    };
    let authorization = |signed: &zvm_core::SignedAuthorization| {
        let inner = Authorization {
            chain_id: signed.authorization.chain_id,
            address: signed.authorization.address,
            nonce: signed.authorization.nonce,
        };
        let authority =
            signed.authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
    };
    TxEnv {
        tx_type: tx.tx_type as u8,
        caller: tx.sender,
        gas_limit: tx.gas_limit,
        gas_price: tx.gas_price.saturating_to(),
        kind: tx.to,
        value: tx.value,
        data: tx.data.clone(),
        nonce: tx.nonce,
        chain_id: tx.chain_id,
        access_list: AccessList(tx.access_list.iter().map(item).collect()),
        gas_priority_fee: (tx.tx_type >= TxType::DynamicFee)
            .then(|| tx.max_priority_fee.saturating_to()),
        blob_hashes: tx.blob_hashes.clone(),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas.saturating_to(),
        authorization_list: tx.authorizations.iter().map(authorization).collect(),
    }
}

pub(crate) fn spec(spec: SpecId) -> Option<PeerSpec> {
    Some(match spec {
        SpecId::FRONTIER => PeerSpec::FRONTIER,
        SpecId::HOMESTEAD => PeerSpec::HOMESTEAD,
        SpecId::TANGERINE => PeerSpec::TANGERINE,
        SpecId::SPURIOUS_DRAGON => PeerSpec::SPURIOUS_DRAGON,
        SpecId::BYZANTIUM => PeerSpec::BYZANTIUM,
        SpecId::CONSTANTINOPLE => return None,
        SpecId::PETERSBURG => PeerSpec::PETERSBURG,
        SpecId::ISTANBUL => PeerSpec::ISTANBUL,
        SpecId::BERLIN => PeerSpec::BERLIN,
        SpecId::LONDON => PeerSpec::LONDON,
        SpecId::PARIS => PeerSpec::MERGE,
        SpecId::SHANGHAI => PeerSpec::SHANGHAI,
        SpecId::CANCUN => PeerSpec::CANCUN,
        SpecId::PRAGUE => PeerSpec::PRAGUE,
        SpecId::OSAKA => PeerSpec::OSAKA,
    })
}

fn ran(result: ExecutionResult, state: &EvmState, case: &Case) -> Ran {
    let ending = match &result {
        ExecutionResult::Success { reason: SuccessReason::Stop, .. } => Ending::Stop,
        ExecutionResult::Success { reason: SuccessReason::Return, .. } => Ending::Return,
        ExecutionResult::Success { reason: SuccessReason::SelfDestruct, .. } => {
            Ending::SelfDestruct
        }
        ExecutionResult::Revert { .. } => Ending::Revert,
        ExecutionResult::Halt { reason, .. } => halt(reason),
    };
    // Where the calldata floor (EIP-7623) wins, revm forgets what execution used and refunded.
    let gas = result.gas();
    let is_floor = gas.floor_gas() > 0 && gas.tx_gas_used() == gas.floor_gas();
    let refund = (!is_floor).then(|| gas.final_refunded());
    let mut post = world_before(&case.pre);
    for (&address, account) in state {
        commit(address, account, case.spec, &mut post);
    }
    Ran {
        ending,
        gas_used: result.tx_gas_used(),
        refund,
        output: result.output().cloned().unwrap_or_default(),
        created: result.created_address(),
        logs: result.into_logs(),
        post,
    }
}

/// Writes one account of revm's result to `post`, by the rules that revm's databases commit by.
fn commit(
    address: Address,
    account: &Account,
    spec: SpecId,
    post: &mut std::collections::BTreeMap<Address, PostAccount>,
) {
    if !account.is_touched() {
        return;
    }
    // Before EIP-161 revm marks an empty account that stays as created.
    let is_cleared =
        account.is_empty() && (spec.has(SpecId::SPURIOUS_DRAGON) || !account.is_created());
    if account.is_selfdestructed() || is_cleared {
        post.remove(&address);
        return;
    }
    let entry = post.entry(address).or_default();
    if account.is_created() {
        entry.storage.clear();
    }
    entry.info = zvm_core::AccountInfo {
        nonce: account.info.nonce,
        balance: account.info.balance,
        code_hash: account.info.code_hash,
    };
    entry.storage.extend(account.storage.iter().map(|(&slot, word)| (slot, word.present_value())));
    entry.storage.retain(|_, word| !word.is_zero());
}

fn halt(reason: &HaltReason) -> Ending {
    match reason {
        HaltReason::OutOfGas(_) => Ending::OutOfGas,
        // revm tells opcodes of later hard forks from those that never were.
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => Ending::UndefinedOpcode,
        HaltReason::InvalidFEOpcode => Ending::InvalidOpcode,
        HaltReason::StackUnderflow => Ending::StackUnderflow,
        HaltReason::StackOverflow => Ending::StackOverflow,
        HaltReason::InvalidJump => Ending::InvalidJump,
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            Ending::StaticCallViolation
        }
        HaltReason::OutOfOffset => Ending::ReturnDataOutOfBounds,
        HaltReason::CreateCollision => Ending::CreateCollision,
        HaltReason::CreateContractSizeLimit => Ending::CodeSizeLimit,
        HaltReason::CreateInitCodeSizeLimit => Ending::InitcodeSizeLimit,
        HaltReason::CreateContractStartingWithEF => Ending::CodeStartsWithEf,
        HaltReason::NonceOverflow => Ending::NonceOverflow,
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => {
            Ending::Precompile
        }
        _ => Ending::Other,
    }
}

fn rule(invalid: &InvalidTransaction) -> Rule {
    use InvalidTransaction as Invalid;
    match invalid {
        Invalid::Eip2930NotSupported
        | Invalid::Eip1559NotSupported
        | Invalid::Eip4844NotSupported
        | Invalid::Eip7702NotSupported => Rule::TypeNotSupported,
        Invalid::InvalidChainId | Invalid::MissingChainId => Rule::ChainId,
        Invalid::NonceTooLow { .. } | Invalid::NonceTooHigh { .. } => Rule::Nonce,
        Invalid::NonceOverflowInTransaction => Rule::NonceIsMax,
        Invalid::LackOfFundForMaxFee { .. } | Invalid::OverflowPaymentInTransaction => {
            Rule::InsufficientFunds
        }
        Invalid::RejectCallerWithCode => Rule::SenderHasCode,
        Invalid::CallGasCostMoreThanGasLimit { .. } => Rule::IntrinsicGas,
        Invalid::GasFloorMoreThanGasLimit { .. } => Rule::FloorGas,
        Invalid::CallerGasLimitMoreThanBlock => Rule::BlockGasLimit,
        Invalid::TxGasLimitGreaterThanCap { .. } => Rule::GasLimitCap,
        Invalid::GasPriceLessThanBasefee => Rule::FeeCapBelowBaseFee,
        Invalid::PriorityFeeGreaterThanMaxFee => Rule::PriorityFeeAboveCap,
        Invalid::CreateInitCodeSizeLimit => Rule::InitcodeSize,
        Invalid::EmptyBlobs => Rule::NoBlobs,
        Invalid::TooManyBlobs { .. } => Rule::TooManyBlobs,
        Invalid::BlobVersionNotSupported => Rule::BlobVersion,
        Invalid::BlobGasPriceGreaterThanMax { .. } => Rule::BlobFeeCap,
        Invalid::EmptyAuthorizationList => Rule::NoAuthorizations,
        _ => Rule::Other,
    }
}
