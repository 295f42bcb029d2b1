//! The driver: opens, runs and closes frames. No frame uses the native stack.

use std::{ops::Range, sync::Arc};

use zvm_core::{Address, B256, DbError, SpecId, U256, keccak256};
use zvm_precompiles::{Precompile, PrecompileError};

use crate::{
    CallEnd, CallKind, CallStart, Halt, Outcome, SuccessReason, Tracer,
    code::Code,
    frame::Frame,
    gas,
    interpreter::{
        CallRequest, CreateRequest, Exit, StackArena, Vm, decoded, raw,
        word::{self, Limbs},
    },
    journal::AccountId,
    limits::{CODE_MAX, DEPTH_MAX},
    memory::Input,
};

pub(crate) struct Machine<'a> {
    pub(crate) vm: Vm<'a>,
    pub(crate) stacks: &'a mut StackArena,
    /// Frames that wait for the running one, outermost first.
    #[allow(clippy::vec_box, reason = "a frame moves between here and `run` as a pointer")]
    pub(crate) callers: &'a mut Vec<Box<Frame>>,
    /// Code is decoded once it has taken so many jumps per KiB in the raw loop.
    pub(crate) decode_jumps_per_kib: u64,
}

/// How a frame ended. Its output is in [`Vm::return_data`].
#[derive(Debug)]
pub(crate) struct FrameResult {
    pub(crate) outcome: Outcome,
    pub(crate) gas_left: u64,
    /// Set by a successful creation.
    pub(crate) created: Option<Address>,
}

/// A call to begin.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: CallKind,
    pub(crate) caller: Address,
    /// `caller` in the journal, which pays the value.
    pub(crate) payer: AccountId,
    /// Account to work on.
    pub(crate) address: Address,
    pub(crate) account: AccountId,
    /// Account whose code is called, and the one it delegates to.
    pub(crate) target: AccountId,
    pub(crate) delegate: Option<AccountId>,
    pub(crate) code: Option<Arc<Code>>,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) input: Input,
    pub(crate) is_static: bool,
}

/// A creation to begin; the address is known and its nonce spent.
#[derive(Debug)]
pub(crate) struct Create {
    pub(crate) kind: CallKind,
    pub(crate) caller: Address,
    pub(crate) payer: AccountId,
    pub(crate) address: Address,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) initcode: Arc<Code>,
}

/// What came of an attempt to open a frame.
pub(crate) enum Start {
    Frame(Box<Frame>),
    Done(FrameResult),
}

impl Machine<'_> {
    /// Depth of the next frame to open; the transaction's own has 1.
    fn next_depth(&self, is_outermost: bool) -> usize {
        if is_outermost { 1 } else { self.callers.len() + 2 }
    }

    /// Runs a message or creation to its end.
    pub(crate) fn run<T: Tracer>(
        &mut self,
        start: Start,
        tracer: &mut T,
    ) -> Result<FrameResult, DbError> {
        let mut frame = match start {
            Start::Frame(frame) => frame,
            Start::Done(result) => return Ok(result),
        };
        loop {
            let outcome = match self.run_frame(&mut frame, tracer) {
                Exit::Promote | Exit::Demote => continue,
                Exit::Call(request) => {
                    let output_to = request.output_to.clone();
                    let start = self.begin_nested_call(&frame, request, tracer)?;
                    self.enter(&mut frame, start, output_to);
                    continue;
                }
                Exit::Create(request) => {
                    let start = self.begin_nested_create(&frame, request, tracer)?;
                    self.enter(&mut frame, start, 0..0);
                    continue;
                }
                Exit::Stop => {
                    self.vm.return_data.clear();
                    Outcome::Success(SuccessReason::Stop)
                }
                Exit::SelfDestruct => {
                    self.vm.return_data.clear();
                    Outcome::Success(SuccessReason::SelfDestruct)
                }
                Exit::Return(range) => {
                    self.set_return_data(range);
                    Outcome::Success(SuccessReason::Return)
                }
                Exit::Revert(range) => {
                    self.set_return_data(range);
                    Outcome::Revert
                }
                Exit::Fault { fault, opcode } => match fault.halt(opcode) {
                    Some(halt) => Outcome::Halt(halt),
                    None => {
                        return Err(self
                            .vm
                            .db_error
                            .take()
                            .unwrap_or(DbError::MissingCode { code_hash: B256::ZERO }));
                    }
                },
            };
            let result = self.end(&frame, outcome, tracer);
            match self.callers.pop() {
                None => return Ok(result),
                Some(parent) => {
                    let output_to = std::mem::replace(&mut frame, parent).output_to;
                    self.resume(&mut frame, result, output_to);
                }
            }
        }
    }

    /// Runs the frame in the loop that suits it.
    fn run_frame<T: Tracer>(&mut self, frame: &mut Frame, tracer: &mut T) -> Exit {
        let base = self.stacks.pointer(frame.stack_base);
        if frame.is_decoded {
            return decoded::run(frame, base, &mut self.vm, tracer);
        }
        let may_promote = !T::STEPS && frame.code.decoded().is_none();
        let jumps = if may_promote { self.jumps_to_decode(&frame.code).max(1) } else { u64::MAX };
        let depth = self.callers.len() + 1;
        let exit = raw::run(frame, base, &mut self.vm, jumps, depth, tracer);
        if matches!(exit, Exit::Promote) {
            self.promote(frame);
        }
        exit
    }

    /// Decodes the code of a frame that stands on a `JUMPDEST`, and moves it there.
    fn promote(&mut self, frame: &mut Frame) {
        let decoded = frame.code.decode(self.vm.spec);
        self.vm.codes.note_decoded(decoded);
        if let Some(target) = decoded.target(frame.pc as u64) {
            frame.pc = decoded.index(target);
            frame.is_decoded = true;
        }
    }

    fn set_return_data(&mut self, range: Range<usize>) {
        self.vm.return_data.clear();
        self.vm.return_data.extend_from_slice(&self.vm.memory.bytes()[range]);
    }

    /// Goes on with the new frame, or with the old one if there is none.
    fn enter(&mut self, frame: &mut Box<Frame>, start: Start, output_to: Range<usize>) {
        match start {
            Start::Frame(mut child) => {
                child.stack_base = frame.stack_base + frame.stack_len;
                child.output_to = output_to;
                self.callers.push(std::mem::replace(frame, child));
            }
            Start::Done(result) => self.resume(frame, result, output_to),
        }
    }

    /// Gives the result of a call to the frame that made it.
    fn resume(&mut self, frame: &mut Frame, result: FrameResult, output_to: Range<usize>) {
        let len = output_to.len().min(self.vm.return_data.len());
        if len > 0 {
            let target = &mut self.vm.memory.bytes_mut()[output_to.start..output_to.start + len];
            target.copy_from_slice(&self.vm.return_data[..len]);
        }
        frame.gas += result.gas_left;
        let word: Limbs = match (result.outcome, result.created) {
            (Outcome::Success(_), Some(address)) => word::from_be(&address.into_word().0),
            (Outcome::Success(_), None) => word::from_bool(true),
            _ => word::ZERO,
        };
        // A call takes more words than it gives, so there is room.
        self.stacks.set(frame.stack_base + frame.stack_len, word);
        frame.stack_len += 1;
    }

    fn begin_nested_call<T: Tracer>(
        &mut self,
        frame: &Frame,
        request: CallRequest,
        tracer: &mut T,
    ) -> Result<Start, DbError> {
        let CallRequest { kind, target, delegate, value, gas, input, .. } = request;
        let input = Input::Memory { start: self.vm.memory.absolute(input.start), len: input.len() };
        let target_address = self.vm.journal.entry(target).address;
        let call = match kind {
            CallKind::DelegateCall => Call {
                kind,
                caller: frame.caller,
                payer: frame.account,
                address: frame.address,
                account: frame.account,
                target,
                delegate,
                code: None,
                value: frame.value,
                gas,
                input,
                is_static: frame.is_static,
            },
            _ => {
                let works_on_itself = kind == CallKind::CallCode;
                Call {
                    kind,
                    caller: frame.address,
                    payer: frame.account,
                    address: if works_on_itself { frame.address } else { target_address },
                    account: if works_on_itself { frame.account } else { target },
                    target,
                    delegate,
                    code: None,
                    value,
                    gas,
                    input,
                    is_static: frame.is_static || kind == CallKind::StaticCall,
                }
            }
        };
        self.begin_call(call, false, tracer)
    }

    /// Opens a frame for a call, or answers it at once: a precompile, no code, or a call that
    /// cannot be made.
    pub(crate) fn begin_call<T: Tracer>(
        &mut self,
        call: Call,
        is_outermost: bool,
        tracer: &mut T,
    ) -> Result<Start, DbError> {
        self.vm.return_data.clear();
        let depth = self.next_depth(is_outermost);
        let code_address = self.vm.journal.entry(call.target).address;
        let code_account = call.delegate.unwrap_or(call.target);
        tracer.enter(&CallStart {
            kind: call.kind,
            depth,
            caller: call.caller,
            address: call.address,
            code_address,
            code_hash: self.vm.journal.entry(code_account).info.code_hash,
            value: call.value,
            gas: call.gas,
            input: call.input.bytes(self.vm.memory),
        });
        if depth > DEPTH_MAX + 1 {
            return Ok(self.refuse(call.gas, Halt::CallDepth, tracer));
        }
        let checkpoint = self.vm.journal.checkpoint();
        let is_paid = match call.kind {
            CallKind::Call => self.vm.journal.transfer(call.payer, call.account, call.value),
            // Pays itself.
            CallKind::CallCode => self.vm.journal.entry(call.payer).info.balance >= call.value,
            // Touches like a call of no value, by the reference.
            CallKind::StaticCall => {
                self.vm.journal.touch(call.account);
                true
            }
            _ => true,
        };
        if !is_paid {
            return Ok(self.refuse(call.gas, Halt::InsufficientBalance, tracer));
        }
        if call.delegate.is_none()
            && call.code.is_none()
            && let Some(precompile) = self.vm.config.precompiles().get(&code_address)
        {
            let result = self.run_precompile(precompile, &call);
            if !matches!(result.outcome, Outcome::Success(_)) {
                self.vm.journal.revert(checkpoint);
            }
            self.trace_exit(&result, call.gas, tracer);
            return Ok(Start::Done(result));
        }
        let code = match call.code {
            Some(code) => Some(code),
            None => self.vm.journal.code(code_account, self.vm.codes, self.vm.db)?.cloned(),
        };
        let Some(code) = code.filter(|code| code.len() > 0) else {
            let outcome = Outcome::Success(SuccessReason::Stop);
            let result = FrameResult { outcome, gas_left: call.gas, created: None };
            self.trace_exit(&result, call.gas, tracer);
            return Ok(Start::Done(result));
        };
        // Decoded from the start, or raw with a chance to be promoted at a jump.
        let is_hot = code.decoded().is_some() || self.decode_if_hot(&code);
        Ok(Start::Frame(Box::new(Frame {
            kind: call.kind,
            is_decoded: !T::STEPS && is_hot,
            code,
            pc: 0,
            gas: call.gas,
            gas_start: call.gas,
            stack_base: 0,
            stack_len: 0,
            parent_memory: self.vm.memory.enter(),
            output_to: 0..0,
            input: call.input,
            caller: call.caller,
            address: call.address,
            code_address,
            account: call.account,
            value: call.value,
            is_static: call.is_static,
            checkpoint,
        })))
    }

    /// Jumps that `code` has to take before decoding it pays.
    fn jumps_to_decode(&self, code: &Code) -> u64 {
        let enough = (code.len() as u64).saturating_mul(self.decode_jumps_per_kib) >> 10;
        enough.saturating_sub(code.raw_jumps())
    }

    fn decode_if_hot(&mut self, code: &Code) -> bool {
        let is_hot = self.jumps_to_decode(code) == 0;
        if is_hot {
            let decoded = code.decode(self.vm.spec);
            self.vm.codes.note_decoded(decoded);
        }
        is_hot
    }

    fn run_precompile(&mut self, precompile: &Precompile, call: &Call) -> FrameResult {
        let input = call.input.bytes(self.vm.memory);
        let (outcome, gas_left) = match (precompile.run)(input, call.gas, self.vm.return_data) {
            Ok(used) if used <= call.gas => {
                (Outcome::Success(SuccessReason::Return), call.gas - used)
            }
            Ok(_) | Err(PrecompileError::OutOfGas) => (Outcome::Halt(Halt::OutOfGas), 0),
            Err(PrecompileError::InvalidInput(what)) => (Outcome::Halt(Halt::Precompile(what)), 0),
        };
        if gas_left == 0 && !matches!(outcome, Outcome::Success(_)) {
            self.vm.return_data.clear();
        }
        FrameResult { outcome, gas_left, created: None }
    }

    fn begin_nested_create<T: Tracer>(
        &mut self,
        frame: &Frame,
        request: CreateRequest,
        tracer: &mut T,
    ) -> Result<Start, DbError> {
        let CreateRequest { salt, value, gas, initcode } = request;
        self.vm.return_data.clear();
        let initcode = &self.vm.memory.bytes()[initcode];
        let caller = self.vm.journal.load(frame.account, self.vm.db)?;
        let (nonce, balance) = (caller.info.nonce, caller.info.balance);
        let kind = if salt.is_some() { CallKind::Create2 } else { CallKind::Create };
        let address = match salt {
            None => frame.address.create(nonce),
            Some(salt) => frame.address.create2(B256::from(salt), keccak256(initcode)),
        };
        let refusal = if self.next_depth(false) > DEPTH_MAX + 1 {
            Some(Halt::CallDepth)
        } else if balance < value {
            Some(Halt::InsufficientBalance)
        } else if nonce == u64::MAX {
            Some(Halt::NonceOverflow)
        } else {
            None
        };
        if let Some(halt) = refusal {
            let start = CallStart {
                kind,
                depth: self.next_depth(false),
                caller: frame.address,
                address,
                code_address: address,
                code_hash: B256::ZERO,
                value,
                gas,
                input: initcode,
            };
            tracer.enter(&start);
            return Ok(self.refuse(gas, halt, tracer));
        }
        let initcode = Arc::new(Code::new(initcode));
        // Spent even if the creation fails (EIP-684).
        self.vm.journal.set_nonce(frame.account, nonce + 1);
        let payer = frame.account;
        let create = Create { kind, caller: frame.address, payer, address, value, gas, initcode };
        self.begin_create(create, false, tracer)
    }

    /// Opens a frame for initcode, or refuses where the address is taken.
    pub(crate) fn begin_create<T: Tracer>(
        &mut self,
        create: Create,
        is_outermost: bool,
        tracer: &mut T,
    ) -> Result<Start, DbError> {
        let Create { kind, caller, payer, address, value, gas, initcode } = create;
        self.vm.return_data.clear();
        tracer.enter(&CallStart {
            kind,
            depth: self.next_depth(is_outermost),
            caller,
            address,
            code_address: address,
            code_hash: B256::ZERO,
            value,
            gas,
            input: initcode.bytes(),
        });
        let journal = &mut *self.vm.journal;
        let account = journal.id_of(address);
        // Stays warm even if the creation fails (EIP-2929).
        journal.warm_account(account);
        tracer.account_access(address);
        journal.load(account, self.vm.db)?;
        if journal.collides(account) {
            return Ok(self.refuse_with(gas, 0, Halt::CreateCollision, tracer));
        }
        let checkpoint = journal.checkpoint();
        journal.mark_created(account);
        if self.vm.spec.has(SpecId::SPURIOUS_DRAGON) {
            journal.set_nonce(account, 1);
        }
        if !journal.transfer(payer, account, value) {
            journal.revert(checkpoint);
            return Ok(self.refuse(gas, Halt::InsufficientBalance, tracer));
        }
        Ok(Start::Frame(Box::new(Frame {
            kind,
            code: initcode,
            pc: 0,
            is_decoded: false,
            gas,
            gas_start: gas,
            stack_base: 0,
            stack_len: 0,
            parent_memory: self.vm.memory.enter(),
            output_to: 0..0,
            input: Input::EMPTY,
            caller,
            address,
            code_address: address,
            account,
            value,
            is_static: false,
            checkpoint,
        })))
    }

    /// A call or creation that opens no frame and gives its gas back.
    fn refuse<T: Tracer>(&mut self, gas: u64, halt: Halt, tracer: &mut T) -> Start {
        self.refuse_with(gas, gas, halt, tracer)
    }

    fn refuse_with<T: Tracer>(
        &mut self,
        gas: u64,
        gas_left: u64,
        halt: Halt,
        tracer: &mut T,
    ) -> Start {
        let result = FrameResult { outcome: Outcome::Halt(halt), gas_left, created: None };
        self.trace_exit(&result, gas, tracer);
        Start::Done(result)
    }

    fn trace_exit<T: Tracer>(&self, result: &FrameResult, gas: u64, tracer: &mut T) {
        tracer.exit(&CallEnd {
            outcome: result.outcome,
            gas_used: gas - result.gas_left,
            output: self.vm.return_data,
        });
    }

    /// Closes a frame: undoes what failed, deposits code, returns to the parent's memory.
    fn end<T: Tracer>(&mut self, frame: &Frame, outcome: Outcome, tracer: &mut T) -> FrameResult {
        self.vm.memory.leave(frame.parent_memory);
        let mut result = FrameResult { outcome, gas_left: frame.gas, created: None };
        let is_create = matches!(frame.kind, CallKind::Create | CallKind::Create2);
        if is_create && matches!(outcome, Outcome::Success(_)) {
            match self.deposit(frame) {
                Ok(gas_left) => {
                    result.gas_left = gas_left;
                    result.created = Some(frame.address);
                }
                Err(halt) => result.outcome = Outcome::Halt(halt),
            }
        }
        if let Outcome::Halt(_) = result.outcome {
            result.gas_left = 0;
            self.vm.return_data.clear();
        }
        if !matches!(result.outcome, Outcome::Success(_)) {
            self.vm.journal.revert(frame.checkpoint);
        }
        self.trace_exit(&result, frame.gas_start, tracer);
        if result.created.is_some() && !self.callers.is_empty() {
            // A creation returns its code to the state only (EIP-211).
            self.vm.return_data.clear();
        }
        result
    }

    /// Makes what initcode returned the code of the new account; the gas left.
    fn deposit(&mut self, frame: &Frame) -> Result<u64, Halt> {
        let spec = self.vm.spec;
        let code = &*self.vm.return_data;
        if spec.has(SpecId::LONDON) && code.first() == Some(&0xef) {
            return Err(Halt::CodeStartsWithEf);
        }
        if spec.has(SpecId::SPURIOUS_DRAGON) && code.len() > CODE_MAX {
            return Err(Halt::CodeSizeLimit);
        }
        let Some(gas_left) = frame.gas.checked_sub(gas::CODE_DEPOSIT * code.len() as u64) else {
            if spec.has(SpecId::HOMESTEAD) {
                return Err(Halt::OutOfGas);
            }
            // Frontier: the account stays, without code (EIP-2).
            self.vm.return_data.clear();
            return Ok(frame.gas);
        };
        if !code.is_empty() {
            let hash = keccak256(code);
            let code = Arc::new(Code::new(code));
            self.vm.journal.set_code(frame.account, Some(code), hash);
        }
        Ok(gas_left)
    }
}
