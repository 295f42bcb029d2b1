//! Opening the engine that a command asks for, and one execution on it.

use anyhow::bail;
use clap::Args;
use zvm::{
    Address, Builder, Bytes, DEFAULT_SENDER, DatabaseConfig, Error, Executed, Raw, SpecId, TxKind,
    U256, Zvm,
};

use crate::{value, watch::Watch};

#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    /// Where the state lives: `file:FOLDER`, with options such as `file:FOLDER?history=all`, or
    /// `memory:` for an empty state that is then forgotten
    #[arg(long, value_name = "DATABASE", default_value = "file:./zvm-state")]
    pub(crate) db: DatabaseConfig,
}

#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// Hard fork, such as Cancun or EIP158
    #[arg(long, value_name = "NAME", default_value_t)]
    pub(crate) spec: SpecId,
}

#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Sender; gas is free, and no key is needed
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_SENDER, value_parser = value::address)]
    pub(crate) from: Address,
    /// Wei to send along, such as 5, 20gwei or 1.5ether; the sender must have it
    #[arg(long, value_name = "WEI", default_value = "0", value_parser = value::wei)]
    pub(crate) value: U256,
    /// Gas limit; default as much as a block or transaction may have
    #[arg(long, value_name = "GAS")]
    pub(crate) gas: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct AtArgs {
    /// Look at the state after this block; default the latest. How far back that goes is up to the
    /// database, see `file:FOLDER?history=all`
    #[arg(long = "at", value_name = "BLOCK")]
    pub(crate) block: Option<u64>,
}

impl AtArgs {
    /// The block to look at.
    pub(crate) fn number(&self, zvm: &Zvm) -> Result<u64, Error> {
        match self.block {
            Some(number) => Ok(number),
            None => Ok(zvm.head()?.number),
        }
    }
}

impl DbArgs {
    /// Opens the database, making one where there is none.
    pub(crate) fn open(&self, spec: SpecId) -> anyhow::Result<Zvm> {
        let mut zvm = self.builder()?.spec(spec).build()?;
        // What is sent now makes the next block.
        zvm.block_mut().number = zvm.head()?.number.saturating_add(1);
        Ok(zvm)
    }

    /// Opens the database to read it: a mistyped path shall not make a new one.
    pub(crate) fn open_existing(&self, spec: SpecId) -> anyhow::Result<Zvm> {
        if self.db.folder().is_some_and(|folder| !folder.exists()) {
            bail!("{}: no database here; `zvm deploy` makes one, --db names another", self.db);
        }
        self.open(spec)
    }

    fn builder(&self) -> anyhow::Result<Builder> {
        Ok(Zvm::builder().database(&self.db.to_string())?)
    }
}

impl RequestArgs {
    /// Calls without a transaction. Failing is one of the outcomes.
    pub(crate) fn call(
        &self,
        zvm: &mut Zvm,
        to: Address,
        data: Bytes,
        at: Option<u64>,
        watch: Option<&mut Watch>,
    ) -> Result<Executed, Error> {
        let mut request = self.request(zvm);
        if let Some(number) = at {
            request = request.at(number);
        }
        match watch {
            Some(watch) => request.tracer(watch).call_message(to, data),
            None => request.call_message(to, data),
        }
    }

    /// Sends a transaction and commits it. Failing is one of the outcomes.
    pub(crate) fn transact(
        &self,
        zvm: &mut Zvm,
        to: TxKind,
        data: Bytes,
        watch: Option<&mut Watch>,
    ) -> Result<Executed, Error> {
        let request = self.request(zvm);
        let receipt = match watch {
            Some(watch) => request.tracer(watch).transact(to, Raw(data)),
            None => request.transact(to, Raw(data)),
        };
        match receipt {
            Ok(receipt) => Ok(receipt.executed),
            Err(Error::Revert { executed, .. } | Error::Halt { executed, .. }) => Ok(*executed),
            Err(error) => Err(error),
        }
    }

    fn request<'a>(&self, zvm: &'a mut Zvm) -> zvm::Request<'a> {
        let request = zvm.from(self.from).value(self.value);
        match self.gas {
            Some(gas) => request.gas(gas),
            None => request,
        }
    }
}
