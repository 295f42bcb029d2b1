//! A program: a transaction on a world of contracts, still in pieces that can be taken away.

use std::{collections::BTreeMap, fmt};

use zvm_benches::{Case, WorldAccount};
use zvm_core::{Address, BlockEnv, SpecId, Transaction, TxKind, U256};

use crate::Code;

/// What [`generate`](crate::generate) makes and [`shrink`](crate::shrink) cuts.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The hard fork.
    pub spec: SpecId,
    /// The block around it.
    pub block: BlockEnv,
    /// The transaction. Its data is that of a call; a creation runs `initcode`.
    pub tx: Transaction,
    /// What a creation runs.
    pub initcode: Code,
    /// The accounts.
    pub actors: BTreeMap<Address, Actor>,
}

/// An account of a program.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// Its nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
    /// Its code.
    pub code: Code,
    /// Its slots; no word is zero.
    pub storage: BTreeMap<U256, U256>,
}

impl Program {
    /// The program in bytes, ready to run.
    #[must_use]
    pub fn assemble(&self) -> Case {
        let mut tx = self.tx.clone();
        if tx.to == TxKind::Create {
            tx.data = self.initcode.assemble().into();
        }
        let account = |actor: &Actor| WorldAccount {
            nonce: actor.nonce,
            balance: actor.balance,
            code: actor.code.assemble().into(),
            storage: actor.storage.clone(),
        };
        let pre = self.actors.iter().map(|(&at, actor)| (at, account(actor))).collect();
        Case { spec: self.spec, block: self.block.clone(), tx, pre }
    }
}

impl Program {
    /// The transaction but for its data, without what it does not use.
    fn list_transaction(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tx = &self.tx;
        let (sender, nonce, gas, price) = (tx.sender, tx.nonce, tx.gas_limit, tx.gas_price);
        writeln!(f, "transaction: {:?} from {sender} to {:?}", tx.tx_type, tx.to)?;
        writeln!(f, "    nonce {nonce}, value {}, gas {gas} at {price} wei", tx.value)?;
        if tx.chain_id.is_some_and(|id| id != 1) || !tx.max_priority_fee.is_zero() {
            writeln!(f, "    chain id {:?}, tip {} wei", tx.chain_id, tx.max_priority_fee)?;
        }
        for item in &tx.access_list {
            writeln!(f, "    warm {} {:?}", item.address, item.storage_keys)?;
        }
        for signed in &tx.authorizations {
            writeln!(f, "    {signed:?}")?;
        }
        for hash in &tx.blob_hashes {
            writeln!(f, "    blob {hash} at {} wei", tx.max_fee_per_blob_gas)?;
        }
        Ok(())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = self.assemble();
        writeln!(f, "hard fork: {}", self.spec)?;
        writeln!(f, "block: {:?}", self.block)?;
        self.list_transaction(f)?;
        writeln!(f, "    data {}", case.tx.data)?;
        if self.tx.to == TxKind::Create {
            write!(f, "{}", self.initcode)?;
        }
        for (address, actor) in &self.actors {
            writeln!(f, "account {address}: nonce {}, {} wei", actor.nonce, actor.balance)?;
            for (slot, word) in &actor.storage {
                writeln!(f, "    slot {slot:#x} = {word:#x}")?;
            }
            if !actor.code.is_empty() {
                writeln!(f, "    code {}", case.pre[address].code)?;
            }
            write!(f, "{}", actor.code)?;
        }
        Ok(())
    }
}
