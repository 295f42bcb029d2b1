//! `zvm run`: bytecode, once, without a transaction around it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use zvm::{Address, Bytes, U256, Zvm, address};

use crate::{
    engine::{RequestArgs, SpecArgs},
    prestate,
    report::Report,
    source::Code,
    value,
    watch::WatchArgs,
};

/// Where the code runs unless told otherwise.
const CODE_ADDRESS: Address = address!("5a564d0000000000000000000000000000c0de00");

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Bytecode: hex digits, a file of them, an artifact (its deployed code), or - for standard input
    code: String,
    /// Input of the code
    #[arg(long, value_name = "HEX", default_value = "", value_parser = value::hex)]
    calldata: Bytes,
    /// State to start from: a JSON object of accounts by address, as in genesis files
    #[arg(long, value_name = "FILE")]
    prestate: Option<PathBuf>,
    /// Address the code runs at
    #[arg(long, value_name = "ADDRESS", default_value_t = CODE_ADDRESS, value_parser = value::address)]
    address: Address,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let code = Code::read("CODE", &args.code)?.into_runtime()?;
    let mut zvm = Zvm::builder().spec(args.spec.spec).build()?;
    match &args.prestate {
        Some(path) => prestate::load(path, &mut zvm)?,
        // On an empty state nobody could pay, and paying is not what is tried out here.
        None if args.request.value > U256::ZERO => {
            zvm.set_balance(args.request.from, args.request.value)?;
        }
        None => {}
    }
    zvm.set_code(args.address, code)?;
    let mut watch = args.watch.start(args.spec.spec)?;
    let executed =
        args.request.call(&mut zvm, args.address, args.calldata, None, watch.as_mut())?;
    let calls = args.watch.finish(watch, &executed)?;
    Report { calls: calls.as_ref(), with_storage: true, ..Report::new(&executed) }.print(args.json)
}
