//! A transaction with its particulars: who signs, how much wei, how much gas, what for.

use zvm_core::{
    Address, B256, SignedTransaction, SigningKey, SpecId, TxKind, TxType, U256, UnsignedTransaction,
};

use crate::{Calldata, ChainZvm, Error};

/// What [`ChainZvm::from`] leads to: set what differs from the default, then send.
#[derive(Debug)]
#[must_use = "nothing happens until `send` or `sign`"]
pub struct ChainRequest<'a> {
    chain: &'a mut ChainZvm,
    key: &'a SigningKey,
    value: U256,
    gas: Option<u64>,
    nonce: Option<u64>,
    fees: Option<(U256, U256)>,
}

impl<'a> ChainRequest<'a> {
    pub(super) fn new(chain: &'a mut ChainZvm, key: &'a SigningKey) -> Self {
        Self { chain, key, value: U256::ZERO, gas: None, nonce: None, fees: None }
    }

    /// Wei to send along; default none.
    pub fn value(mut self, wei: U256) -> Self {
        self.value = wei;
        self
    }

    /// Gas limit; default as much as a transaction may have. What is not used is not paid, but the
    /// sender must have it.
    pub fn gas(mut self, gas: u64) -> Self {
        self.gas = Some(gas);
        self
    }

    /// Nonce; default the next one of the sender, what waits counted.
    pub fn nonce(mut self, nonce: u64) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Most wei per gas, and how much of it at most for the maker of the block; default 1 gwei above
    /// twice the base fee. Before London there is one price, the first.
    pub fn fees(mut self, cap: U256, tip: U256) -> Self {
        self.fees = Some((cap, tip));
        self
    }

    /// Signs the transaction and has it wait for the next block; its hash.
    pub fn send<C: Calldata>(self, to: impl Into<TxKind>, data: C) -> Result<B256, Error> {
        let transaction = self.unsigned(to.into(), &data)?.sign(self.key);
        self.chain.submit(transaction)
    }

    /// The signed transaction, to look at or to send elsewhere.
    pub fn sign<C: Calldata>(
        self,
        to: impl Into<TxKind>,
        data: C,
    ) -> Result<SignedTransaction, Error> {
        Ok(self.unsigned(to.into(), &data)?.sign(self.key))
    }

    /// Has a contract created by the next block; the hash of the transaction, and the address that
    /// the contract will have.
    pub fn deploy(self, initcode: impl AsRef<[u8]>) -> Result<(B256, Address), Error> {
        let body = self.unsigned(TxKind::Create, &crate::Raw(initcode))?;
        let contract = self.key.address().create(body.nonce);
        Ok((self.chain.submit(body.sign(self.key))?, contract))
    }

    fn unsigned(&self, to: TxKind, data: &impl Calldata) -> Result<UnsignedTransaction, Error> {
        let next = self.chain.next_block()?;
        let spec = next.config.spec();
        let (cap, tip) = self.fees.unwrap_or_else(|| next.usual_fees());
        let nonce = match self.nonce {
            Some(nonce) => nonce,
            None => self.chain.next_nonce(self.key.address())?,
        };
        let is_legacy = !spec.has(SpecId::LONDON);
        Ok(UnsignedTransaction {
            tx_type: if is_legacy { TxType::Legacy } else { TxType::DynamicFee },
            chain_id: spec.has(SpecId::SPURIOUS_DRAGON).then_some(next.config.chain_id),
            nonce,
            gas_price: cap,
            max_priority_fee: if is_legacy { U256::ZERO } else { tip },
            gas_limit: self.gas.unwrap_or_else(|| next.gas_max()),
            to,
            value: self.value,
            data: data.encode(),
            ..UnsignedTransaction::default()
        })
    }
}
