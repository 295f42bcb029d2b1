//! One execution with its particulars: who sends, how much wei, how much gas, who watches.

use zvm_core::{
    Address, BlockEnv, Bytes, Database, SpecId, StateBackend, Transaction, TxKind, U256,
};
use zvm_evm::{Checks, Executed, Message, NoTracer, TRANSACTION_GAS_CAP, Tracer};

use crate::{Calldata, Error, Raw, Receipt, Zvm};

/// What [`Zvm::from`] leads to: set what differs from the default, then act.
///
/// ```
/// use zvm::{Address, Raw, U256, Zvm};
///
/// let mut zvm = Zvm::memory();
/// let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
/// zvm.set_balance(alice, U256::from(10))?;
///
/// let receipt = zvm.from(alice).value(U256::from(3)).gas(21_000).transact(bob, Raw(b""))?;
/// assert_eq!((receipt.gas_used, zvm.balance(bob)?), (21_000, U256::from(3)));
/// # Ok::<(), zvm::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until `call`, `transact`, `simulate` or `deploy`"]
pub struct Request<'a, T = NoTracer> {
    zvm: &'a mut Zvm,
    from: Address,
    value: U256,
    gas: Option<u64>,
    at: Option<u64>,
    tracer: T,
}

impl<'a> Request<'a> {
    pub(crate) fn new(zvm: &'a mut Zvm, from: Address) -> Self {
        Self { zvm, from, value: U256::ZERO, gas: None, at: None, tracer: NoTracer }
    }
}

impl<'a, T: Tracer> Request<'a, T> {
    /// Wei to send along; default none. The sender must have them.
    pub fn value(mut self, wei: U256) -> Self {
        self.value = wei;
        self
    }

    /// Gas limit; default as much as a transaction may have.
    pub fn gas(mut self, gas: u64) -> Self {
        self.gas = Some(gas);
        self
    }

    /// Looks at the state after block `number`, and runs in a block of that number; default the
    /// present state and [`Zvm::block`]. The past answers and does not change: `transact` and
    /// `deploy` are [`Error::Past`].
    ///
    /// ```
    /// # use zvm::{Address, U256, Zvm};
    /// let mut zvm = Zvm::memory();
    /// let alice = Address::repeat_byte(0xa1);
    /// // PUSH0 SLOAD PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
    /// zvm.set_code(alice, [0x5f, 0x54, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3])?;
    /// zvm.set_storage(alice, U256::ZERO, U256::from(1))?;
    /// let before = zvm.head()?.number;
    /// zvm.set_storage(alice, U256::ZERO, U256::from(2))?;
    ///
    /// let answer = zvm.from(alice).at(before).call(alice, zvm::Raw(b""))?;
    /// assert_eq!(answer.last(), Some(&1));
    /// # Ok::<(), zvm::Error>(())
    /// ```
    pub fn at(mut self, number: u64) -> Self {
        self.at = Some(number);
        self
    }

    /// Has `tracer` watch; a `&mut` reference does, too.
    pub fn tracer<U: Tracer>(self, tracer: U) -> Request<'a, U> {
        let Self { zvm, from, value, gas, at, .. } = self;
        Request { zvm, from, value, gas, at, tracer }
    }

    /// See [`Zvm::call`].
    pub fn call<C: Calldata>(self, to: Address, data: C) -> Result<C::Return, Error> {
        let executed = self.call_message(to, data.encode())?;
        answer::<C>(to, &Error::unless_success(executed)?)
    }

    /// As [`call`](Self::call), with gas, logs and the changes that were not made, and with a
    /// failure as one of the outcomes.
    pub fn call_message(mut self, to: Address, data: Bytes) -> Result<Executed, Error> {
        let message = self.message(to, data);
        let Zvm { evm, config, block, db, .. } = self.zvm;
        let Some(number) = self.at else {
            db.read_ahead(&mut |db| {
                let _ = evm.call(&message, block, config, db, &mut NoTracer);
            })?;
            return Ok(evm.call(&message, block, config, &**db, &mut self.tracer)?);
        };
        let block = BlockEnv { number, ..block.clone() };
        let past = db.at(number)?;
        Ok(evm.call(&message, &block, config, &*past, &mut self.tracer)?)
    }

    /// See [`Zvm::call_all`].
    pub fn call_all<C: Calldata>(
        mut self,
        calls: impl IntoIterator<Item = (Address, C)>,
    ) -> Result<Vec<Result<C::Return, Error>>, Error> {
        let messages: Vec<_> =
            calls.into_iter().map(|(to, data)| self.message(to, data.encode())).collect();
        let Zvm { evm, config, block, db, .. } = self.zvm;
        let backend: &dyn StateBackend = &**db;
        let mut block = block.clone();
        let past;
        let db: &dyn Database = match self.at {
            None => {
                backend.read_ahead(&mut |db| {
                    for message in &messages {
                        let _ = evm.call(message, &block, config, db, &mut NoTracer);
                    }
                })?;
                backend
            }
            Some(number) => {
                block.number = number;
                past = backend.at(number)?;
                &*past
            }
        };
        let mut answers = Vec::with_capacity(messages.len());
        for message in &messages {
            let executed = evm.call(message, &block, config, db, &mut self.tracer)?;
            let succeeded = Error::unless_success(executed);
            answers.push(succeeded.and_then(|executed| answer::<C>(message.address, &executed)));
        }
        Ok(answers)
    }

    /// See [`Zvm::transact`].
    pub fn transact<C: Calldata>(
        mut self,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<Receipt<C::Return>, Error> {
        if let Some(number) = self.at {
            return Err(Error::Past { number });
        }
        let to = to.into();
        let executed = self.execute(to, data.encode())?;
        self.zvm.db.commit(&executed.diff)?;
        let executed = Error::unless_success(executed)?;
        let callee = to.into_to().or(executed.created).unwrap_or_default();
        Ok(Receipt { value: answer::<C>(callee, &executed)?, executed })
    }

    /// See [`Zvm::simulate`].
    pub fn simulate<C: Calldata>(
        mut self,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<Executed, Error> {
        self.execute(to.into(), data.encode())
    }

    /// See [`Zvm::deploy`].
    pub fn deploy(self, initcode: impl AsRef<[u8]>) -> Result<Address, Error> {
        let receipt = self.transact(TxKind::Create, Raw(initcode))?;
        Ok(receipt.executed.created.expect("a creation that succeeds makes a contract"))
    }

    /// See [`Zvm::deploy_with`].
    #[cfg(feature = "sol")]
    pub fn deploy_with<C: alloy_sol_types::SolConstructor>(
        self,
        bytecode: impl AsRef<[u8]>,
        constructor: C,
    ) -> Result<Address, Error> {
        self.deploy([bytecode.as_ref(), &constructor.abi_encode()].concat())
    }

    fn message(&self, to: Address, data: Bytes) -> Message {
        Message {
            caller: self.from,
            address: to,
            origin: self.from,
            gas_price: U256::ZERO,
            code: None,
            data,
            value: self.value,
            gas: self.gas.unwrap_or(self.zvm.block.gas_limit),
        }
    }

    /// Runs the transaction; commits nothing.
    fn execute(&mut self, to: TxKind, data: Bytes) -> Result<Executed, Error> {
        let Zvm { evm, config, block, db, .. } = &mut *self.zvm;
        let backend: &dyn StateBackend = &**db;
        let mut block = block.clone();
        let past;
        let db: &dyn Database = match self.at {
            None => backend,
            Some(number) => {
                block.number = number;
                past = backend.at(number)?;
                &*past
            }
        };
        let gas_cap = if config.spec().has(SpecId::OSAKA) { TRANSACTION_GAS_CAP } else { u64::MAX };
        let tx = Transaction {
            sender: self.from,
            nonce: db.account(self.from)?.map_or(0, |account| account.nonce),
            to,
            value: self.value,
            data,
            gas_limit: self.gas.unwrap_or(block.gas_limit.min(gas_cap)),
            ..Transaction::default()
        };
        // Gas is free whatever the block asks for, and contracts may send.
        let checks = Checks { base_fee: false, sender_code: false, ..Checks::ALL };
        let mut config = config.clone();
        config.checks = checks;
        if self.at.is_none() {
            backend.read_ahead(&mut |db| {
                let _ = evm.execute(&tx, &block, &config, db, &mut NoTracer);
            })?;
        }
        Ok(evm.execute(&tx, &block, &config, db, &mut self.tracer)?)
    }
}

/// Reads what a call returned.
pub(crate) fn answer<C: Calldata>(to: Address, executed: &Executed) -> Result<C::Return, Error> {
    C::decode(&executed.output).map_err(|what| Error::Answer {
        to,
        what: if executed.output.is_empty() {
            format!("{what} (no data at all: is there a contract?)")
        } else {
            what
        },
        output: executed.output.clone(),
    })
}
