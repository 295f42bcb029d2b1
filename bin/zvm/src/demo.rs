//! `zvm demo`: the main job in one minute, each step explained.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use zvm::{
    Address, B256, DEFAULT_SENDER, DatabaseConfig, Raw, Receipt, TxKind, U256, Zvm, sol,
    tracers::GasProfile,
};
use zvm_state::{kv::Access, open_store};

use crate::{
    abi::{self, Decoded},
    artifact::Artifact,
    failure::usage,
    output::Output,
    source::Source,
    watch,
};

/// The token of `contracts/`, compiled; the binary needs nothing beside itself.
const TOKEN: &str = include_str!("../../../contracts/artifacts/Token.json");

sol! {
    constructor(string name, string symbol, uint256 supply);
    function transfer(address to, uint256 value) returns (bool);
    function balanceOf(address holder) returns (uint256);
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Database to use; default a new one among the temporary files
    #[arg(long, value_name = "DATABASE")]
    db: Option<DatabaseConfig>,
    /// Where to write the flame graph; default among the temporary files
    #[arg(long, value_name = "FILE.svg")]
    profile: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    if args.db == Some(DatabaseConfig::Memory) {
        return Err(usage(
            "--db: memory: forgets, and the demo reopens its database; name a folder",
        ));
    }
    let folder = if args.db.is_some() && args.profile.is_some() {
        None
    } else {
        let folder = tempfile::Builder::new().prefix("zvm-demo-").tempdir();
        // Kept: the point of the demo is that it can be looked at afterwards.
        Some(folder.context("cannot make a temporary folder")?.keep())
    };
    let within = |name: &str| folder.as_deref().unwrap_or_else(|| ".".as_ref()).join(name);
    let db = match &args.db {
        Some(config) => config.to_string(),
        None => format!("file:{}", within("state").display()),
    };
    let svg = args.profile.clone().unwrap_or_else(|| within("flame.svg"));

    let source = Source { name: "Token.json".to_owned(), text: TOKEN.to_owned() };
    let token = Artifact::parse(&source)?;
    let (alice, bob) = (DEFAULT_SENDER, Address::repeat_byte(0xb0));
    let supply = U256::from(1_000_000);
    let mut out = Output::stdout();

    out.line(format!("1. Open a database ({db}) and deploy an ERC-20 token to it."))?;
    let mut zvm = Zvm::open(&db)?;
    let constructor = constructorCall { name: "Demo".to_owned(), symbol: "DMO".to_owned(), supply };
    let initcode = [
        token.initcode()?.as_ref(),
        &<constructorCall as zvm::alloy_sol_types::SolConstructor>::abi_encode(&constructor),
    ]
    .concat();
    let receipt = zvm.transact(TxKind::Create, Raw(initcode))?;
    let address = receipt.created.context("a creation that succeeds makes a contract")?;
    print_receipt(&mut out, &receipt, &token)?;
    out.field("   token", address.to_string())?;
    out.field("   code", format!("{} bytes", receipt.output.len()))?;

    out.line("\n2. Transfer 250 of its units from Alice, who deployed it, to Bob.")?;
    let mut profile = GasProfile::new();
    profile.set_name(address, "Token");
    let call = transferCall { to: bob, value: U256::from(250) };
    let receipt = zvm.from(alice).tracer(&mut profile).transact(address, call)?;
    print_receipt(&mut out, &receipt, &token)?;

    out.line("\n3. Try to take more than Bob has: the contract refuses, and says why.")?;
    let call = transferCall { to: alice, value: U256::from(1_000) };
    match zvm.from(bob).transact(address, call) {
        Err(zvm::Error::Revert { executed, .. }) => {
            out.field("   gas used", executed.gas_used.to_string())?;
            out.field("   reverted", abi::revert_reason(&executed.output, Some(&token.abi)))?;
        }
        Err(error) => return Err(error.into()),
        Ok(_) => anyhow::bail!("the token let Bob spend what he does not have"),
    }
    let root = zvm.state_root()?;
    let transfer = zvm.head()?.number - 1;
    drop(zvm);

    out.line("\n4. Close the database, open it again, and read back what it kept.")?;
    let mut zvm = Zvm::open(&db)?;
    for (name, holder) in [("   Alice", alice), ("   Bob", bob)] {
        let balance = zvm.call(address, balanceOfCall { holder })?;
        out.field(name, format!("{balance} units ({holder})"))?;
    }
    let reopened = zvm.state_root()?;
    anyhow::ensure!(reopened == root, "state root {reopened} after reopening, was {root}");
    out.field("   state root", root.to_string())?;
    out.line("               One hash over all accounts and storage: equal before and after.")?;

    out.line("\n5. Look into the past: what Bob had before the transfer.")?;
    let before = zvm.from(alice).at(transfer - 1).call(address, balanceOfCall { holder: bob })?;
    out.field("   block", format!("{} of {}", transfer - 1, zvm.head()?.number))?;
    out.field("   Bob", format!("{before} units"))?;
    drop(zvm);

    out.line("\n6. Prove what the database says to somebody who has only the state root.")?;
    prove(&mut out, &db, address, root)?;

    watch::write_profile(&svg, &profile)?;
    out.line("\n7. See where the gas of the transfer went, in a browser:")?;
    out.field("   flame graph", svg.display().to_string())?;

    out.line("\nGo on with this database:")?;
    out.line(format!("  zvm call {address} 'balanceOf(address)(uint256)' {bob} --db {db}"))?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Proves the token and the first word of its storage, and verifies the proof.
fn prove(out: &mut Output, db: &str, token: Address, root: B256) -> anyhow::Result<()> {
    let store = open_store(&db.parse()?, Access::Read)?;
    let proof = store.proof(token, &[U256::ZERO])?;
    let nodes = proof.account_proof.len() + proof.storage_proof[0].proof.len();
    let proven = proof.verify(root).context("the proof of the database's own state")?;
    anyhow::ensure!(proven.is_some(), "the proof says that there is no token");
    out.field("   proof", format!("{nodes} trie nodes, as eth_getProof answers"))?;
    out.field("   verified", format!("the account of the token and its slot 0, against {root}"))?;
    Ok(())
}

fn print_receipt<R>(
    out: &mut Output,
    receipt: &Receipt<R>,
    token: &Artifact,
) -> std::io::Result<()> {
    out.field("   gas used", receipt.gas_used.to_string())?;
    for event in receipt.logs.iter().filter_map(|log| Decoded::of(log, Some(&token.abi))) {
        out.field("   event", event.show())?;
    }
    Ok(())
}
