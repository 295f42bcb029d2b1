//! What tests do that no user can: other senders, money out of nothing, other times.

use zvm_core::{Address, Bytes, U256};
use zvm_evm::{Executed, tracers::AccessCollector};

use crate::{Error, Raw, Request, RevertReason, Zvm};

/// `balanceOf(address)` (EIP-20).
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

impl Zvm {
    /// A request in the name of any account, contracts included. No key is needed, and gas is free.
    /// The same as [`from`](Self::from), by the name that testers look for.
    pub fn impersonate(&mut self, account: Address) -> Request<'_> {
        self.from(account)
    }

    /// Gives an account so many wei, whatever it had.
    pub fn deal(&mut self, account: Address, wei: U256) -> Result<(), Error> {
        self.set_balance(account, wei)
    }

    /// Makes `amount` the balance of `account` in a token (EIP-20), in its smallest unit, and leaves
    /// the total supply as it is.
    ///
    /// The slot is found by watching `balanceOf` read, and by trying: whichever word it is that makes
    /// `balanceOf` answer `amount`, alone or in the lower half of what else its slot has.
    ///
    /// # Errors
    ///
    /// [`Error::NoBalanceSlot`] where no single word does, as in tokens that rebase or lend. Nothing
    /// has changed then.
    pub fn deal_token(
        &mut self,
        token: Address,
        account: Address,
        amount: U256,
    ) -> Result<(), Error> {
        let mut touched = AccessCollector::new();
        let balance = self.token_balance_with(token, account, &mut touched)?;
        if balance == Some(amount) {
            return Ok(());
        }
        let slots: Vec<(Address, U256)> = touched
            .accounts()
            .flat_map(|(owner, slots)| slots.map(move |slot| (owner, slot.into())))
            .collect();
        let lower_half: U256 = U256::MAX >> 128;
        for (owner, slot) in slots {
            let word = self.storage(owner, slot)?;
            // What else is in the slot stays, if that will do.
            let beside = (word & !lower_half) | amount;
            let words = [Some(beside).filter(|_| amount <= lower_half), Some(amount)];
            for word in words.into_iter().flatten() {
                let before = self.snapshot()?;
                self.set_storage(owner, slot, word)?;
                let mut nobody = AccessCollector::new();
                match self.token_balance_with(token, account, &mut nobody)? {
                    Some(found) if found == amount => return Ok(self.db.release(before)?),
                    _ => self.revert(before)?,
                }
            }
        }
        Err(Error::NoBalanceSlot { token, account })
    }

    /// The balance of `account` in a token (EIP-20), in its smallest unit.
    pub fn token_balance(&mut self, token: Address, account: Address) -> Result<U256, Error> {
        let answer = self.call(token, Raw(balance_of(account)))?;
        U256::try_from_be_slice(&answer).filter(|_| answer.len() == 32).ok_or_else(|| {
            let what = format!("result of balanceOf: {} bytes, expected 32", answer.len());
            Error::Answer { to: token, what, output: answer }
        })
    }

    /// Moves the time of the block, in seconds since 1970, forward or back.
    pub fn warp(&mut self, timestamp: u64) {
        self.block.timestamp = timestamp;
    }

    /// Moves the number of the block, forward or back. State and time stay.
    pub fn roll(&mut self, number: u64) {
        self.block.number = number;
    }

    /// The balance that a token answers, if it does; `touched` sees what it reads.
    fn token_balance_with(
        &mut self,
        token: Address,
        account: Address,
        touched: &mut AccessCollector,
    ) -> Result<Option<U256>, Error> {
        let request = self.from(crate::DEFAULT_SENDER).tracer(touched);
        let Executed { outcome, output, .. } = request.call_message(token, balance_of(account))?;
        let is_answer = matches!(outcome, zvm_evm::Outcome::Success(_)) && output.len() == 32;
        Ok(U256::try_from_be_slice(&output).filter(|_| is_answer))
    }
}

/// The reason for which something reverted that was expected to.
///
/// ```
/// use zvm::{Address, Raw, RevertReason, Zvm, expect_revert, hex};
///
/// let mut zvm = Zvm::memory();
/// let contract = Address::repeat_byte(1);
/// zvm.set_code(contract, hex!("5f5ffd"))?; // reverts, with nothing to say
/// let reason = expect_revert(zvm.transact(contract, Raw(b"")));
/// assert_eq!(reason, RevertReason::Empty);
/// # Ok::<(), zvm::Error>(())
/// ```
///
/// # Panics
///
/// If it did anything else.
#[track_caller]
pub fn expect_revert<T>(outcome: Result<T, Error>) -> RevertReason {
    match outcome {
        Err(Error::Revert { reason, .. }) => reason,
        Err(error) => panic!("expected a revert, found: {error}"),
        Ok(_) => panic!("expected a revert, found success"),
    }
}

/// Calldata of `balanceOf(account)`.
fn balance_of(account: Address) -> Bytes {
    [&BALANCE_OF[..], account.into_word().as_slice()].concat().into()
}
