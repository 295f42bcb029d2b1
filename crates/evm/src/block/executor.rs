//! Executing the transactions of a block, and what the protocol does before and after them.

use zvm_core::{
    AccountDiff, AccountInfo, Address, B256, BlockEnv, Bytes, ChainConfig, Database, DbError,
    Header, Receipt, ReceiptOutcome, SpecId, StateDiff, Transaction, U256, Withdrawal,
};

use super::{
    BlockError, Consensus, InvalidBlock, bloom::Blooms, dao, overlay::Overlay, requests, rewards,
    system,
};
use crate::{Config, Evm, ExecError, Executed, InvalidTransaction, Tracer, gas, transaction::blob};

/// Computes the root of the state as it would be after a diff; receipts before Byzantium hold it.
pub type RootAfter<'a> = dyn Fn(&StateDiff) -> Result<B256, DbError> + 'a;

/// What a block is executed on and by.
#[derive(Clone)]
pub struct BlockContext<'a> {
    /// The rules of the chain.
    pub chain: &'a ChainConfig,
    /// What makes a block of this chain final.
    pub consensus: Consensus,
    /// What the block tells its transactions.
    pub env: BlockEnv,
    /// Hash of the parent (EIP-2935).
    pub parent_hash: B256,
    /// Root of the parent's beacon block (EIP-4788).
    pub parent_beacon_root: Option<B256>,
    /// The state after the parent. Its block hashes are those of the ancestors.
    pub db: &'a dyn Database,
    /// Roots of states one diff from `db`, for receipts before Byzantium. Without it they hold a
    /// root of zero.
    pub root_after: Option<&'a RootAfter<'a>>,
}

/// A block in the making: begun, given transactions, finished.
///
/// A transaction that is refused leaves the block as it was, so that a builder can go on with
/// another one.
pub struct BlockExecutor<'a> {
    evm: &'a mut Evm,
    context: BlockContext<'a>,
    config: Config,
    state: Overlay<'a>,
    blooms: Blooms,
    done: ExecutedBlock,
}

/// What the execution of a block came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// One for each transaction.
    pub receipts: Vec<Receipt>,
    /// What the protocol did before the first transaction.
    pub start_diff: StateDiff,
    /// What each transaction changed.
    pub tx_diffs: Vec<StateDiff>,
    /// What the whole block changed.
    pub diff: StateDiff,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Blob gas of all transactions (EIP-4844).
    pub blob_gas_used: u64,
    /// Requests to the consensus layer, each type with its number before it; from Prague on
    /// (EIP-7685).
    pub requests: Option<Vec<Bytes>>,
}

impl<'a> BlockExecutor<'a> {
    /// Begins a block: the irregular change of the DAO fork, and the calls of EIP-4788 and 2935.
    pub fn begin(evm: &'a mut Evm, context: BlockContext<'a>) -> Result<Self, BlockError> {
        let env = &context.env;
        let config = super::config(context.chain, context.consensus, env.number, env.timestamp)?;
        let state = Overlay::new(context.db);
        let (blooms, done) = (Blooms::default(), ExecutedBlock::default());
        let mut block = Self { evm, config, state, blooms, context, done };
        if super::dao_block(block.context.chain) == Some(block.context.env.number) {
            block.drain_dao()?;
        }
        let spec = block.config.spec();
        if let Some(root) = block.context.parent_beacon_root
            && spec.has(SpecId::CANCUN)
        {
            block.tell(system::BEACON_ROOTS_CONTRACT, root)?;
        }
        if spec.has(SpecId::PRAGUE) {
            block.tell(system::HISTORY_CONTRACT, block.context.parent_hash)?;
        }
        block.done.start_diff = block.done.diff.clone();
        Ok(block)
    }

    /// The rules in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Gas that is left for further transactions.
    #[must_use]
    pub fn gas_left(&self) -> u64 {
        self.context.env.gas_limit.saturating_sub(self.done.gas_used)
    }

    /// The state after all transactions so far.
    #[must_use]
    pub fn state(&self) -> &dyn Database {
        &self.state
    }

    /// Executes `tx` as the next transaction. Nothing has happened if it is refused.
    ///
    /// Diff and logs of what is returned are moved to the block, which keeps them for
    /// [`ExecutedBlock::tx_diffs`] and the receipts.
    pub fn transact<T: Tracer>(
        &mut self,
        tx: &Transaction,
        tracer: &mut T,
    ) -> Result<Executed, ExecError> {
        let blob_gas = self.room_for(tx)?;
        let env = &self.context.env;
        let mut executed = self.evm.execute(tx, env, &self.config, &self.state, tracer)?;
        let diff = std::mem::take(&mut executed.diff);
        self.apply(&diff)?;
        self.done.tx_diffs.push(diff);
        self.done.gas_used += executed.gas_used;
        self.done.blob_gas_used += blob_gas;
        let outcome = if self.config.spec().has(SpecId::BYZANTIUM) {
            ReceiptOutcome::Status(executed.is_success())
        } else {
            let root_after = self.context.root_after;
            let root = root_after.map(|root_after| root_after(&self.done.diff)).transpose()?;
            ReceiptOutcome::Root(root.unwrap_or_default())
        };
        let logs = std::mem::take(&mut executed.logs);
        let bloom = self.blooms.of(&logs);
        let (tx_type, cumulative_gas_used) = (tx.tx_type, self.done.gas_used);
        self.done.receipts.push(Receipt { tx_type, outcome, cumulative_gas_used, bloom, logs });
        Ok(executed)
    }

    /// Pays for the block: `reward` wei to its beneficiary, with what ommers add, and to the
    /// ommers, given as number and beneficiary, their part (Yellow Paper, 11.3).
    pub fn pay(
        &mut self,
        reward: U256,
        ommers: impl Iterator<Item = (u64, Address)>,
    ) -> Result<(), DbError> {
        let (number, beneficiary) = (self.context.env.number, self.context.env.beneficiary);
        for (address, wei) in rewards::of(reward, number, beneficiary, ommers) {
            self.credit(address, wei)?;
        }
        Ok(())
    }

    /// Ends the block: rewards before Paris, withdrawals, and requests.
    pub fn finish(
        mut self,
        ommers: &[Header],
        withdrawals: &[Withdrawal],
    ) -> Result<ExecutedBlock, BlockError> {
        if self.context.consensus == Consensus::ProofOfWork {
            let reward = rewards::block_reward(self.config.spec());
            self.pay(reward, ommers.iter().map(|ommer| (ommer.number, ommer.beneficiary)))?;
        }
        self.finish_unpaid(withdrawals)
    }

    /// Ends the block without a reward, for those who [`pay`](Self::pay) another one.
    pub fn finish_unpaid(
        mut self,
        withdrawals: &[Withdrawal],
    ) -> Result<ExecutedBlock, BlockError> {
        for withdrawal in withdrawals {
            let wei = U256::from(withdrawal.amount) * U256::from(rewards::GWEI);
            self.credit(withdrawal.address, wei)?;
        }
        if self.config.spec().has(SpecId::PRAGUE) {
            self.done.requests = Some(self.requests()?);
        }
        Ok(self.done)
    }

    /// Whether block gas and blob gas are left for `tx`; the blob gas it needs.
    fn room_for(&self, tx: &Transaction) -> Result<u64, InvalidTransaction> {
        let (gas_limit, available) = (tx.gas_limit, self.gas_left());
        if gas_limit > available {
            return Err(InvalidTransaction::BlockGasLimit { gas_limit, available });
        }
        let blob_gas = blob::gas(tx.blob_hashes.len());
        let left = blob::gas_max(&self.config.blob).saturating_sub(self.done.blob_gas_used);
        if blob_gas > left {
            let (count, max) = (tx.blob_hashes.len(), left / gas::BLOB);
            return Err(InvalidTransaction::TooManyBlobs { count, max });
        }
        Ok(blob_gas)
    }

    /// Makes `diff` part of the block.
    fn apply(&mut self, diff: &StateDiff) -> Result<(), DbError> {
        self.state.apply(diff)?;
        self.done.diff.append(diff);
        Ok(())
    }

    /// Adds `wei` to the balance of an account and touches it (EIP-161).
    fn credit(&mut self, address: Address, wei: U256) -> Result<(), DbError> {
        let account = self.state.account(address)?;
        let balance = account.map_or(U256::ZERO, |account| account.balance);
        self.set_balance(address, balance.wrapping_add(wei))
    }

    fn set_balance(&mut self, address: Address, balance: U256) -> Result<(), DbError> {
        let account = self.state.account(address)?;
        let old = account.map(|account| account.info);
        let new = AccountInfo { balance, ..old.unwrap_or_default() };
        let is_cleared = new.is_empty() && self.config.spec().has(SpecId::SPURIOUS_DRAGON);
        let new = (!is_cleared).then_some(new);
        if old == new {
            return Ok(());
        }
        let wiped = new.is_none() && account.is_some_and(|account| account.has_storage);
        let change = AccountDiff { old, new, wiped, ..AccountDiff::default() };
        let accounts = [(address, change)].into();
        self.apply(&StateDiff { accounts, ..StateDiff::default() })
    }

    /// EIP-779.
    fn drain_dao(&mut self) -> Result<(), DbError> {
        for address in dao::DRAINED {
            let Some(account) = self.state.account(address)? else { continue };
            self.credit(dao::REFUND_CONTRACT, account.balance)?;
            self.set_balance(address, U256::ZERO)?;
        }
        Ok(())
    }

    /// Tells a contract of the protocol a word at the start of the block. If there is none, or it
    /// does not want to know, the block goes on.
    fn tell(&mut self, contract: Address, word: B256) -> Result<(), DbError> {
        if let Some(executed) = self.call_system(contract, word.into())? {
            self.apply(&executed.diff)?;
        }
        Ok(())
    }

    /// Asks a contract of the protocol for its requests at the end of the block.
    fn ask(&mut self, contract: Address) -> Result<Bytes, BlockError> {
        let Some(executed) = self.call_system(contract, Bytes::new())? else {
            return Err(InvalidBlock::SystemContractMissing { contract }.into());
        };
        if !executed.is_success() {
            return Err(InvalidBlock::SystemCallFailed { contract }.into());
        }
        self.apply(&executed.diff)?;
        Ok(executed.output)
    }

    fn call_system(&mut self, to: Address, data: Bytes) -> Result<Option<Executed>, DbError> {
        system::call(self.evm, to, data, &self.context.env, &self.config, &self.state)
    }

    /// EIP-6110, 7002 and 7251, in the order of their types.
    fn requests(&mut self) -> Result<Vec<Bytes>, BlockError> {
        let mut deposits = Vec::new();
        if let Some(contract) = self.context.chain.deposit_contract {
            for (index, receipt) in self.done.receipts.iter().enumerate() {
                for log in &receipt.logs {
                    requests::deposit(contract, log, &mut deposits)
                        .map_err(|_| InvalidBlock::DepositLayout { index })?;
                }
            }
        }
        let withdrawals = self.ask(system::WITHDRAWAL_CONTRACT)?;
        let consolidations = self.ask(system::CONSOLIDATION_CONTRACT)?;
        let all = [
            requests::of_type(requests::DEPOSIT, &deposits),
            requests::of_type(requests::WITHDRAWAL, &withdrawals),
            requests::of_type(requests::CONSOLIDATION, &consolidations),
        ];
        Ok(all.into_iter().flatten().collect())
    }
}
