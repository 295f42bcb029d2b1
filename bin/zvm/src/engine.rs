//! Opening the engine that a command asks for, and one execution on it.

use std::{
    fs,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use clap::Args;
use zvm::{
    Address, Bytes, DEFAULT_SENDER, DatabaseConfig, DbError, Error, Executed, OpenedDatabase, Raw,
    SpecId, Traffic, TxKind, U256, Zvm,
};

use zvm_fork::Recorder;

use crate::{progress, value, watch::Watch};

#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    /// Where the state lives: `file:FOLDER`, with options such as `file:FOLDER?history=all`;
    /// `fork:URL@BLOCK` for that of a remote node, where changes are then forgotten; `net:HOST:PORT` for
    /// what `zvm db serve` serves there; `memory:` for an empty one
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
pub(crate) struct DbSpecArgs {
    /// Hard fork, such as Cancun or EIP158; default that of the forked block, or the latest
    #[arg(long, value_name = "NAME")]
    pub(crate) spec: Option<SpecId>,
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
    pub(crate) fn open(&self, spec: Option<SpecId>) -> anyhow::Result<Zvm> {
        open(&self.db, spec)
    }

    /// Opens the database to read it, beside others who do.
    pub(crate) fn open_existing(&self, spec: Option<SpecId>) -> anyhow::Result<Zvm> {
        open(&existing(&self.db)?, spec)
    }
}

/// What reading remote states has cost, for the end of the command.
static TRAFFIC: Mutex<Vec<Arc<Traffic>>> = Mutex::new(Vec::new());

/// What is read of forks, from [`start_recording`] on.
static RECORDERS: Mutex<Option<Vec<Arc<Recorder>>>> = Mutex::new(None);

/// Has all forks that are opened from now on recorded.
pub(crate) fn start_recording() {
    *RECORDERS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
}

/// What was recorded since then, by fork.
pub(crate) fn take_recorders() -> Vec<Arc<Recorder>> {
    RECORDERS.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Opens any database.
pub(crate) fn open_database(config: &DatabaseConfig) -> Result<OpenedDatabase, DbError> {
    let mut recorders = RECORDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = match &mut *recorders {
        Some(recorders) => {
            let opened = OpenedDatabase::open_recorded(config)?;
            recorders.extend(opened.fork.as_ref().and_then(|fork| fork.recorder.clone()));
            opened
        }
        None => OpenedDatabase::open(config)?,
    };
    drop(recorders);
    follow(&opened);
    Ok(opened)
}

/// Opens a database to look something up that is no part of a recording.
pub(crate) fn open_unrecorded(config: &DatabaseConfig) -> Result<OpenedDatabase, DbError> {
    let opened = OpenedDatabase::open(config)?;
    follow(&opened);
    Ok(opened)
}

/// Counts what reading this database costs.
fn follow(opened: &OpenedDatabase) {
    let Some(traffic) = opened.fork.as_ref().and_then(|fork| fork.traffic.clone()) else { return };
    progress::follow(&traffic);
    TRAFFIC.lock().unwrap_or_else(PoisonError::into_inner).push(traffic);
}

/// Says on standard error what reading remote states has cost, if any was read.
pub(crate) fn report_traffic() {
    let all = TRAFFIC.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((first, others)) = all.split_first() else { return };
    others.iter().for_each(|other| first.add(other));
    progress::end();
    // Not `eprintln!`: it panics where standard error is closed.
    let _ = writeln!(io::stderr(), "upstream: {first}");
}

fn open(config: &DatabaseConfig, spec: Option<SpecId>) -> anyhow::Result<Zvm> {
    let builder = Zvm::builder().opened(open_database(config)?);
    let builder = match spec {
        Some(spec) => builder.spec(spec),
        None => builder,
    };
    let mut zvm = builder.build()?;
    // What is sent now makes the next block.
    zvm.block_mut().number = zvm.head()?.number.saturating_add(1);
    Ok(zvm)
}

/// A mistyped path shall not make a new database.
pub(crate) fn check_exists(config: &DatabaseConfig) -> anyhow::Result<()> {
    let Some(folder) = config.folder() else { return Ok(()) };
    let exists = fs::exists(folder).with_context(|| format!("{config}: cannot open"))?;
    ensure!(exists, "{config}: no database here; `zvm deploy` and `zvm db load` make one");
    Ok(())
}

/// The database to be read only, if it is there.
pub(crate) fn existing(config: &DatabaseConfig) -> anyhow::Result<DatabaseConfig> {
    check_exists(config)?;
    let mut config = config.clone();
    let mut inner = &mut config;
    while let DatabaseConfig::Cached { inner: next, .. } = inner {
        inner = next;
    }
    match inner {
        DatabaseConfig::File(store) | DatabaseConfig::RocksDb(store) => store.is_read_only = true,
        DatabaseConfig::Net(net) => net.is_read_only = true,
        _ => {}
    }
    Ok(config)
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
