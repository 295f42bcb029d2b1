//! `zvm deploy`, `zvm send` and `zvm call`: contracts that stay in a database.

use std::{path::PathBuf, process::ExitCode};

use alloy_json_abi::{Function, JsonAbi};
use clap::Args;
use zvm::{Address, Bytes, DbError, Error, TxKind, Zvm};

use crate::{
    abi,
    artifact::Artifact,
    engine::{AtArgs, DbArgs, DbSpecArgs, RequestArgs},
    failure::usage,
    report::Report,
    source::{Code, Source},
    value,
    watch::WatchArgs,
};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Artifact of a compiler, or initcode: hex digits, a file of them, or - for standard input
    code: String,
    /// Arguments of the constructor; an artifact gives their types
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    callee: Callee,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    #[command(flatten)]
    callee: Callee,
    #[command(flatten)]
    at: AtArgs,
    #[command(flatten)]
    common: Common,
}

/// Whom to call and with what.
#[derive(Debug, Args)]
struct Callee {
    /// The contract, or any account
    #[arg(value_parser = value::address)]
    to: Address,
    /// Signature such as 'balanceOf(address)(uint256)', or a name with --abi; none sends no data
    function: Option<String>,
    /// Arguments of the function
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Calldata, in place of function and arguments
    #[arg(long, value_name = "HEX", value_parser = value::hex, conflicts_with = "function")]
    data: Option<Bytes>,
    /// Artifact or ABI that names functions, events and errors
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    db: DbArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    spec: DbSpecArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A callee with everything read.
struct Prepared {
    to: Address,
    abi: Option<JsonAbi>,
    function: Option<Function>,
    data: Bytes,
}

impl Callee {
    fn prepare(self) -> anyhow::Result<Prepared> {
        let Self { to, function, arguments, data, abi } = self;
        let abi = match abi {
            Some(path) => Some(Artifact::parse(&Source::file(&path)?)?.abi),
            None => None,
        };
        let Some(text) = function else {
            return Ok(Prepared { to, abi, function: None, data: data.unwrap_or_default() });
        };
        let function = abi::function(&text, abi.as_ref())?;
        let encoded = abi::encode_arguments(&function.name, &function.inputs, &arguments)?;
        let data = [function.selector().as_slice(), &encoded].concat().into();
        Ok(Prepared { to, abi, function: Some(function), data })
    }
}

pub(crate) fn deploy(args: DeployArgs) -> anyhow::Result<ExitCode> {
    let DeployArgs { code, arguments, common } = args;
    let (initcode, abi) = match Code::read("CODE", &code)? {
        Code::Hex(_) if !arguments.is_empty() => {
            return Err(usage("ARG: hex code says no types; append encoded arguments to it"));
        }
        Code::Hex(code) => (code, None),
        Code::Artifact(artifact) => {
            let params = artifact.abi.constructor.as_ref().map_or(&[][..], |c| &c.inputs);
            let what = format!("constructor of {}", artifact.name);
            let arguments = abi::encode_arguments(&what, params, &arguments)?;
            ([artifact.initcode()?.as_ref(), &arguments].concat().into(), Some(artifact.abi))
        }
    };
    let mut zvm = common.db.open(common.spec.spec)?;
    let mut watch = common.watch.start(zvm.spec())?;
    let executed = common.request.transact(&mut zvm, TxKind::Create, initcode, watch.as_mut())?;
    let calls = common.watch.finish(watch, &executed)?;
    let mut extra = Vec::new();
    if let Some(address) = executed.created {
        extra.push(("address", address.to_string()));
        extra.push(("code size", executed.output.len().to_string()));
    }
    extra.extend(committed(&zvm)?);
    Report { abi: abi.as_ref(), calls: calls.as_ref(), extra, ..Report::new(&executed) }
        .print(common.json)
}

pub(crate) fn send(args: SendArgs) -> anyhow::Result<ExitCode> {
    let SendArgs { callee, common } = args;
    let Prepared { to, abi, function, data } = callee.prepare()?;
    let mut zvm = common.db.open(common.spec.spec)?;
    let mut watch = common.watch.start(zvm.spec())?;
    let executed = common.request.transact(&mut zvm, to.into(), data, watch.as_mut())?;
    let calls = common.watch.finish(watch, &executed)?;
    Report {
        abi: abi.as_ref(),
        function: function.as_ref(),
        calls: calls.as_ref(),
        extra: committed(&zvm)?,
        ..Report::new(&executed)
    }
    .print(common.json)
}

pub(crate) fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let CallArgs { callee, at, common } = args;
    let Prepared { to, abi, function, data } = callee.prepare()?;
    let mut zvm = common.db.open_existing(common.spec.spec)?;
    let mut watch = common.watch.start(zvm.spec())?;
    let executed = common.request.call(&mut zvm, to, data, at.block, watch.as_mut())?;
    let calls = common.watch.finish(watch, &executed)?;
    Report {
        abi: abi.as_ref(),
        function: function.as_ref(),
        calls: calls.as_ref(),
        ..Report::new(&executed)
    }
    .print(common.json)
}

/// The block that a transaction made, and the state after it, as far as anybody knows.
fn committed(zvm: &Zvm) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut facts = vec![("block", zvm.head()?.number.to_string())];
    match zvm.state_root() {
        Ok(root) => facts.push(("state root", root.to_string())),
        Err(Error::Database(DbError::Unsupported { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(facts)
}
