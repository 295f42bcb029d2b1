//! `cargo xtask …`: set-up and routine commands, with nothing to install by hand.
//!
//! Every command is a row of [`COMMANDS`]: its words, its help and the function that does it. All
//! work is done by `cargo` and by the binaries it builds; this program only knows which to call.
//! Exit codes are those of the program that failed, and 2 for wrong use.

mod commands;
#[cfg(test)]
mod house;
mod peers;
mod rocksdb;
mod step;
mod t8n;

use std::process::ExitCode;

use step::Failure;

/// One row of the help.
struct Command {
    name: &'static str,
    /// Arguments as the help shows them.
    usage: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

/// Every command, in the order a newcomer needs them.
const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        usage: "[ARG…]",
        about: "Build zvm and run `zvm demo`: deploy a token on a database file, use it, read it back",
        run: commands::demo,
    },
    Command {
        name: "test",
        usage: "[--rocksdb]",
        about: "Run every test, doc test and bounded fuzz run, and the official fixtures if present; \
            --rocksdb tests state on RocksDB too, whose C++ takes minutes to compile",
        run: commands::test,
    },
    Command {
        name: "check",
        usage: "",
        about: "Everything a change must pass: format, lints, tests, documentation",
        run: commands::check,
    },
    Command {
        name: "conformance",
        usage: "[PATH…]",
        about: "Run official state tests; without a path all official tests of $ZVM_FIXTURES or ../shared/fixtures",
        run: commands::conformance,
    },
    Command {
        name: "bench",
        usage: "[ARG…]",
        about: "Compare with other engines; arguments go to the benches",
        run: commands::bench,
    },
    Command {
        name: "state-bench",
        usage: "[--rocksdb] [ARG…]",
        about: "Compare stores of a large state: what a block costs in each, and reading; arguments go to \
            the bench",
        run: commands::state_bench,
    },
    Command {
        name: "fuzz",
        usage: "diff --cases N --seed S | TARGET [ARG…]",
        about: "Compare random programs with revm, or fuzz a decoder with cargo-fuzz",
        run: commands::fuzz,
    },
    Command {
        name: "peers",
        usage: "",
        about: "Fetch the node that tests of forks talk to (anvil, from npm) and print where it is; \
            they do it themselves where it is missing",
        run: peers::install,
    },
    Command {
        name: "fork-bench",
        usage: "",
        about: "Measure forks beside anvil on the same upstream node: requests and time, with 0 and 20 ms of \
            latency",
        run: commands::fork_bench,
    },
    Command {
        name: "compliance",
        usage: "[--blocks N] [--seed S] [--rocksdb]",
        about: "Run one random workload of 10,000 blocks on all state backends and compare them after \
            every block; --rocksdb puts RocksDB among them, whose C++ takes minutes to compile",
        run: commands::compliance,
    },
    Command {
        name: "crash",
        usage: "[--rounds N] [--seed S] [--engine redb|rocksdb|both]",
        about: "Kill a process that commits to a store, 500 times at random moments, and check after \
            each that nothing it acknowledged is lost",
        run: commands::crash,
    },
    Command {
        name: "log-crash",
        usage: "[--rounds N] [--seed S] [--engine redb|rocksdb]",
        about: "The same with whole blocks: a head never lacks its receipts, logs or index entries",
        run: commands::log_crash,
    },
    Command {
        name: "log-bench",
        usage: "[--blocks N] [--events N] [--engine redb|rocksdb]",
        about: "Commit 1,000,000 events in 10,000 blocks, and print the size of their index and how long \
            three kinds of filter take",
        run: commands::log_bench,
    },
    Command {
        name: "retention",
        usage: "[--commits N] [--history BYTES] [--engine redb|rocksdb]",
        about: "Make 100,000 small commits with a history of 512MiB and see that it stays within that on \
            disk",
        run: commands::retention,
    },
    Command {
        name: "t8n-diff",
        usage: "[COUNT [SEED]]",
        about: "Compare `zvm t8n` with the executable specification (Python, installed under target) on \
            500 generated blocks of all hard forks",
        run: t8n::diff,
    },
    Command {
        name: "contracts",
        usage: "[--check]",
        about: "Compile contracts/src again with the pinned solc (needs Node.js); --check only compares",
        run: commands::contracts,
    },
    Command { name: "help", usage: "", about: "Print this", run: help },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Err(failure) = dispatch(&args) else { return ExitCode::SUCCESS };
    eprintln!("xtask: {failure}");
    if let Failure::Usage(_) = failure {
        eprintln!("`cargo xtask help` lists the commands");
    }
    failure.exit_code()
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::Usage("no command".to_owned()));
    };
    let name = if matches!(name.as_str(), "-h" | "--help") { "help" } else { name };
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) if command.usage.is_empty() && !rest.is_empty() => {
            Err(Failure::Usage(format!("`{name}` takes no arguments, found {:?}", rest[0])))
        }
        Some(command) => (command.run)(rest),
        None => Err(Failure::Usage(format!("unknown command {name:?}"))),
    }
}

fn help(_: &[String]) -> Result<(), Failure> {
    println!("Usage: cargo xtask COMMAND\n");
    for Command { name, usage, about, .. } in COMMANDS {
        println!("  {}\n      {about}", format!("{name} {usage}").trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_error(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        match dispatch(&args) {
            Err(Failure::Usage(message)) => message,
            other => panic!("expected wrong use, found {other:?}"),
        }
    }

    #[test]
    fn wrong_use_names_the_faulty_word() {
        assert!(usage_error(&[]).contains("no command"));
        assert!(usage_error(&["tset"]).contains("\"tset\""));
        assert!(usage_error(&["test", "--release"]).contains("\"--release\""));
        assert!(usage_error(&["contracts", "--chekc"]).contains("\"--chekc\""));
        assert!(usage_error(&["fuzz"]).contains("diff"));
        assert!(usage_error(&["fuzz", "no_such_target"]).contains("no_such_target"));
    }

    #[test]
    fn help_asked_for_is_no_error() {
        for word in ["help", "--help", "-h"] {
            dispatch(&[word.to_owned()]).unwrap();
        }
    }
}
