//! Transactions that wait for a block.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use zvm_core::{Address, B256, SignedTransaction, TxType, U256};
use zvm_evm::InvalidTransaction;
use zvm_txlog::{NextBlock, Rejected};

use crate::Error;

/// Who pays for a block, and which of his transactions.
type Place = (Address, u64);

/// Transactions by sender and nonce.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: BTreeMap<Place, Waiting>,
    /// How many have come.
    arrivals: u64,
}

/// A transaction that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) hash: B256,
    pub(super) transaction: SignedTransaction,
    sender: Address,
    arrival: u64,
}

impl Waiting {
    fn place(&self) -> Place {
        (self.sender, self.transaction.body.nonce)
    }

    /// Wei per gas for the maker of a block with that base fee; `None` if not even that is paid.
    fn tip(&self, base_fee: U256) -> Option<U256> {
        let above = self.transaction.body.gas_price.checked_sub(base_fee)?;
        Some(above.min(tip_cap(&self.transaction)))
    }
}

/// The most wei per gas that the maker of a block gets.
fn tip_cap(transaction: &SignedTransaction) -> U256 {
    let body = &transaction.body;
    if body.tx_type >= TxType::DynamicFee { body.max_priority_fee } else { body.gas_price }
}

impl Pending {
    /// Takes a transaction in; its hash.
    pub(super) fn insert(
        &mut self,
        sender: Address,
        transaction: SignedTransaction,
    ) -> Result<B256, Error> {
        let hash = transaction.hash();
        let place = (sender, transaction.body.nonce);
        if let Some(old) = self.waiting.get(&place) {
            if old.hash == hash {
                return Ok(hash);
            }
            let fees = |tx: &SignedTransaction| [tx.body.gas_price, tip_cap(tx)];
            let needed = fees(&old.transaction).map(|fee| fee.saturating_add(fee.div_ceil(TENTH)));
            let offered = fees(&transaction);
            if offered.iter().zip(&needed).any(|(offered, needed)| offered < needed) {
                let [needed, needed_tip] = needed;
                return Err(Error::Underpriced { pending: old.hash, needed, needed_tip });
            }
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiting.insert(place, Waiting { hash, transaction, sender, arrival });
        Ok(hash)
    }

    pub(super) fn remove(&mut self, waiting: &Waiting) {
        self.waiting.remove(&waiting.place());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SignedTransaction> {
        self.waiting.values().map(|waiting| &waiting.transaction)
    }

    /// The first nonce from `nonce` on that `sender` has nothing waiting for.
    pub(super) fn next_nonce(&self, sender: Address, nonce: u64) -> u64 {
        let taken = self.waiting.range((sender, nonce)..=(sender, u64::MAX));
        taken.zip(nonce..).take_while(|(((_, taken), _), nonce)| taken == nonce).count() as u64
            + nonce
    }

    /// What can be tried in a block with that base fee, in the order to try it in. What has a nonce
    /// below the sender's is first, to be refused.
    pub(super) fn turn(
        &self,
        base_fee: U256,
        mut nonce_of: impl FnMut(Address) -> Result<u64, Error>,
    ) -> Result<Vec<Waiting>, Error> {
        let mut order = Vec::new();
        let mut next = BinaryHeap::new();
        let offer = |place: Place| {
            let waiting = self.waiting.get(&place)?;
            Some((waiting.tip(base_fee)?, Reverse(waiting.arrival), place))
        };
        let mut place = self.waiting.keys().next().copied();
        while let Some((sender, _)) = place {
            let nonce = nonce_of(sender)?;
            let late = self.waiting.range((sender, 0)..(sender, nonce));
            order.extend(late.map(|(_, waiting)| waiting.clone()));
            next.extend(offer((sender, nonce)));
            let after = self.waiting.range((sender, u64::MAX)..);
            place = after.map(|(place, _)| *place).find(|place| place.0 != sender);
        }
        while let Some((_, _, place)) = next.pop() {
            order.extend(self.waiting.get(&place).cloned());
            let (sender, nonce) = place;
            next.extend(nonce.checked_add(1).and_then(|nonce| offer((sender, nonce))));
        }
        Ok(order)
    }
}

/// Fees of a transaction that takes the place of another are higher by one part in so many.
const TENTH: U256 = U256::from_limbs([10, 0, 0, 0]);

/// Whether a transaction that is not in `block` can be in a later one.
pub(super) fn can_wait(why: &Rejected, transaction: &SignedTransaction, block: &NextBlock) -> bool {
    let Rejected::Invalid(why) = why else { return false };
    match why {
        // One before it is missing now, or what it pays is too little now.
        InvalidTransaction::NonceTooHigh { .. }
        | InvalidTransaction::FeeCapBelowBaseFee { .. }
        | InvalidTransaction::BlobFeeCap { .. } => true,
        // Others were first.
        InvalidTransaction::BlockGasLimit { .. } => {
            transaction.body.gas_limit <= block.header.gas_limit
        }
        InvalidTransaction::TooManyBlobs { .. } => {
            transaction.body.blob_hashes.len() as u64 <= block.config.blob.max
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{SigningKey, UnsignedTransaction};

    use super::*;

    fn transaction(key: u8, nonce: u64, cap: u64, tip: u64) -> (Address, SignedTransaction) {
        let key = SigningKey::new(&[key; 32]).unwrap();
        let body = UnsignedTransaction {
            tx_type: TxType::DynamicFee,
            chain_id: Some(1),
            nonce,
            gas_price: U256::from(cap),
            max_priority_fee: U256::from(tip),
            ..UnsignedTransaction::default()
        };
        (key.address(), body.sign(&key))
    }

    fn insert(pending: &mut Pending, (sender, tx): (Address, SignedTransaction)) -> B256 {
        pending.insert(sender, tx).unwrap()
    }

    fn turn(pending: &Pending, base_fee: u64, nonce: u64) -> Vec<B256> {
        let turn = pending.turn(U256::from(base_fee), |_| Ok(nonce)).unwrap();
        turn.iter().map(|waiting| waiting.hash).collect()
    }

    #[test]
    fn nonces_go_before_fees_and_fees_before_arrival() {
        let mut pending = Pending::default();
        let high = insert(&mut pending, transaction(1, 1, 100, 90));
        let low = insert(&mut pending, transaction(1, 0, 100, 1));
        let middle = insert(&mut pending, transaction(2, 0, 100, 5));
        let later = insert(&mut pending, transaction(3, 0, 100, 5));
        assert_eq!(turn(&pending, 0, 0), [middle, later, low, high]);
        // With little above the base fee the tip is what is left.
        let rich = insert(&mut pending, transaction(4, 0, 200, 50));
        assert_eq!(turn(&pending, 98, 0), [rich, middle, later, low, high]);
    }

    #[test]
    fn gaps_and_low_caps_wait_and_used_nonces_are_shown() {
        let mut pending = Pending::default();
        let first = insert(&mut pending, transaction(1, 0, 100, 1));
        insert(&mut pending, transaction(1, 2, 100, 1));
        insert(&mut pending, transaction(2, 0, 9, 1));
        insert(&mut pending, transaction(2, 1, 100, 1));
        assert_eq!(turn(&pending, 10, 0), [first]);
        let (sender, _) = transaction(1, 0, 0, 0);
        assert_eq!(pending.next_nonce(sender, 0), 1);
        let used = pending.waiting[&(sender, 0)].hash;
        assert_eq!(turn(&pending, 1000, 1)[0], used);
        let gap = insert(&mut pending, transaction(1, 1, 100, 1));
        assert_eq!(pending.next_nonce(sender, 0), 3);
        assert_eq!(turn(&pending, 10, 0)[..2], [first, gap]);
    }

    #[test]
    fn a_replacement_pays_a_tenth_more() {
        let mut pending = Pending::default();
        let old = insert(&mut pending, transaction(1, 0, 100, 10));
        assert_eq!(insert(&mut pending, transaction(1, 0, 100, 10)), old);
        for (cap, tip) in [(109, 11), (110, 10)] {
            let (sender, tx) = transaction(1, 0, cap, tip);
            let refused = pending.insert(sender, tx).unwrap_err();
            assert!(
                matches!(refused, Error::Underpriced { pending, .. } if pending == old),
                "{refused}"
            );
        }
        let new = insert(&mut pending, transaction(1, 0, 110, 11));
        assert_eq!(turn(&pending, 0, 0), [new]);
    }
}
