//! The engine: buffers and code cache that live from one execution to the next.

use std::sync::Arc;

use zvm_core::{Address, BlockEnv, Bytes, Database, Transaction, U256};

use crate::{
    CallKind, Config, ExecError, Executed, Outcome, Tracer,
    arith::Modulus,
    code::{Code, CodeCache},
    frame::Frame,
    hash_cache::HashCache,
    interpreter::{StackArena, TxEnv, Vm},
    journal::Journal,
    machine::{Call, Machine},
    memory::{Input, Memory},
    transaction::{self, blob},
};

/// A machine with its buffers and its cache of decoded code.
///
/// Reuse one for many executions: everything it allocates is kept, nothing of a state is.
#[derive(Debug)]
pub struct Evm {
    stacks: StackArena,
    memory: Memory,
    return_data: Vec<u8>,
    journal: Journal,
    codes: CodeCache,
    hashes: HashCache,
    #[allow(clippy::vec_box, reason = "a frame is moved in and out as a pointer")]
    callers: Vec<Box<Frame>>,
    modulus: Modulus,
    decode_jumps_per_kib: u64,
}

/// A call without a transaction around it: no intrinsic gas, no fees, no nonce.
#[derive(Clone, Debug)]
pub struct Message {
    /// Answers `CALLER`.
    pub caller: Address,
    /// Answers `ADDRESS`: whose storage is worked on.
    pub address: Address,
    /// Answers `ORIGIN`.
    pub origin: Address,
    /// Answers `GASPRICE`, in wei.
    pub gas_price: U256,
    /// Code to run instead of that of `address`.
    pub code: Option<Bytes>,
    /// Calldata.
    pub data: Bytes,
    /// Wei, moved from `caller` to `address` before the code runs.
    pub value: U256,
    /// Gas to run with.
    pub gas: u64,
}

impl Default for Evm {
    fn default() -> Self {
        Self::new()
    }
}

impl Evm {
    /// Bytes of code, raw and decoded, that are kept unless [`with_code_cache`](Self::with_code_cache)
    /// says otherwise.
    pub const CODE_CACHE_BYTES: usize = 64 << 20;

    /// Jumps that code takes in the raw loop, per KiB of its length, before it is decoded.
    ///
    /// Decoding costs about 25 ns per byte and saves a few nanoseconds per jump. Gas would tell less:
    /// most of it pays for storage, which costs the same in both loops.
    pub const DECODE_JUMPS_PER_KIB: u64 = 2048;

    /// A machine with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stacks: StackArena::new(),
            memory: Memory::default(),
            return_data: Vec::new(),
            journal: Journal::default(),
            codes: CodeCache::new(Self::CODE_CACHE_BYTES),
            hashes: HashCache::new(),
            callers: Vec::new(),
            modulus: Modulus::default(),
            decode_jumps_per_kib: Self::DECODE_JUMPS_PER_KIB,
        }
    }

    /// Bounds the code cache.
    #[must_use]
    pub fn with_code_cache(mut self, limit_bytes: usize) -> Self {
        self.codes = CodeCache::new(limit_bytes);
        self
    }

    /// Decodes code after it has taken so many jumps in the raw loop for each KiB of its length; 0
    /// decodes at once and [`u64::MAX`] never. What is executed is the same either way.
    #[must_use]
    pub fn with_decode_jumps_per_kib(mut self, jumps_per_kib: u64) -> Self {
        self.decode_jumps_per_kib = jumps_per_kib;
        self
    }

    /// Executes `tx` on `db` as part of `block`. `db` is only read; the changes are in
    /// [`Executed::diff`].
    pub fn execute<T: Tracer>(
        &mut self,
        tx: &Transaction,
        block: &BlockEnv,
        config: &Config,
        db: &dyn Database,
        tracer: &mut T,
    ) -> Result<Executed, ExecError> {
        let env = TxEnv {
            origin: tx.sender,
            gas_price: transaction::gas_price(tx, block, config.spec()),
            blob_hashes: &tx.blob_hashes,
            blob_base_fee: blob::base_fee(block.excess_blob_gas, &config.blob),
        };
        let mut machine = self.machine(env, block, config, db);
        transaction::execute(&mut machine, tx, tracer)
    }

    /// Runs `message` on `db` without a transaction around it. `gas_used` is before refunds.
    pub fn call<T: Tracer>(
        &mut self,
        message: &Message,
        block: &BlockEnv,
        config: &Config,
        db: &dyn Database,
        tracer: &mut T,
    ) -> Result<Executed, ExecError> {
        let env = TxEnv {
            origin: message.origin,
            gas_price: message.gas_price,
            blob_hashes: &[],
            blob_base_fee: blob::base_fee(block.excess_blob_gas, &config.blob),
        };
        let mut machine = self.machine(env, block, config, db);
        let journal = &mut *machine.vm.journal;
        let payer = journal.id_of(message.caller);
        let account = journal.id_of(message.address);
        for id in [payer, account] {
            journal.warm_account(id);
            journal.load(id, db)?;
        }
        let call = Call {
            kind: CallKind::Call,
            caller: message.caller,
            payer,
            address: message.address,
            account,
            target: account,
            delegate: None,
            code: message.code.as_ref().map(|code| Arc::new(Code::new(code))),
            value: message.value,
            gas: message.gas,
            input: Input::Bytes(message.data.clone()),
            is_static: false,
        };
        let start = machine.begin_call(call, true, tracer)?;
        let result = machine.run(start, tracer)?;
        let is_success = matches!(result.outcome, Outcome::Success(_));
        let journal = &mut *machine.vm.journal;
        let refund = if is_success { journal.refund } else { 0 };
        Ok(Executed {
            outcome: result.outcome,
            gas_used: message.gas - result.gas_left,
            gas_refunded: u64::try_from(refund).unwrap_or(0),
            diff: journal.finish(config.spec().has(zvm_core::SpecId::SPURIOUS_DRAGON)),
            logs: if is_success { std::mem::take(&mut journal.logs) } else { Vec::new() },
            output: Bytes::copy_from_slice(machine.vm.return_data),
            created: None,
        })
    }

    fn machine<'a>(
        &'a mut self,
        tx: TxEnv<'a>,
        block: &'a BlockEnv,
        config: &'a Config,
        db: &'a dyn Database,
    ) -> Machine<'a> {
        let spec = config.spec();
        self.journal.reset(spec, config.precompiles());
        self.memory.reset();
        self.callers.clear();
        self.return_data.clear();
        self.codes.set_spec(spec);
        Machine {
            vm: Vm {
                spec,
                memory: &mut self.memory,
                journal: &mut self.journal,
                codes: &mut self.codes,
                hashes: &mut self.hashes,
                return_data: &mut self.return_data,
                db,
                block,
                config,
                tx,
                modulus: &mut self.modulus,
                db_error: None,
            },
            stacks: &mut self.stacks,
            callers: &mut self.callers,
            decode_jumps_per_kib: self.decode_jumps_per_kib,
        }
    }
}
