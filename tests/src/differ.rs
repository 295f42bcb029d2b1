//! One program on both engines.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use zvm_benches::{Case, Observation, WorldDb, differences, machine, peer};
use zvm_evm::Evm;

use crate::{Program, shrink};

/// Compares zvm with the peer, program after program on the same machines.
#[derive(Debug)]
pub struct Differ {
    machines: [Machine; 3],
}

/// A program on which the engines disagree.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The program, as small as it could be made.
    pub program: Program,
    /// What differs, a line each; see [`differences`].
    pub differences: String,
    /// Whether it takes a machine with memories of earlier programs to show.
    pub needs_history: bool,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.needs_history {
            writeln!(f, "(not shrunk: a fresh machine gets it right)")?;
        }
        write!(f, "{}{}", self.differences, self.program)
    }
}

impl Differ {
    /// Machines with empty buffers: one that never decodes, one that always does, and one that
    /// finds out while it runs.
    #[must_use]
    pub fn new() -> Self {
        let machine = |name, decode| Machine { name, decode, evm: evm(decode) };
        Self {
            machines: [
                machine("raw loop", u64::MAX),
                machine("decoded loop", 0),
                // A jump for 8 bytes, so that small programs get to change loops.
                machine("both loops", 128),
            ],
        }
    }

    /// Runs `program` on both engines; a disagreement comes back shrunk.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] where result class, halt, gas, refund, output, logs or state differ on any of
    /// the machines, or where zvm panics or breaks the promises of its diff.
    pub fn check(&mut self, program: &Program) -> Result<(), Box<Mismatch>> {
        let Some(differences) = self.compare(&program.assemble()) else { return Ok(()) };
        let fresh = |program: &Program| Self::new().compare(&program.assemble());
        let Some(found) = fresh(program) else {
            let program = program.clone();
            return Err(Box::new(Mismatch { program, differences, needs_history: true }));
        };
        // Of the same kind: a cut may well bring out another disagreement, or none that matters.
        let wanted = kind(&found).to_owned();
        let fails = &mut |program: &Program| fresh(program).is_some_and(|d| kind(&d) == wanted);
        let program = shrink(program.clone(), fails);
        let differences = fresh(&program).unwrap_or(found);
        Err(Box::new(Mismatch { program, differences, needs_history: false }))
    }

    /// What differs between zvm's runs of `case` and the peer's.
    fn compare(&mut self, case: &Case) -> Option<String> {
        let expected = peer::observe(case)?;
        let db = WorldDb::new(&case.pre);
        for machine in &mut self.machines {
            let found = machine.observe(case, &db);
            let differences = differences(&found, &expected);
            if !differences.is_empty() {
                return Some(format!("{}:\n{differences}", machine.name));
            }
        }
        None
    }
}

impl Default for Differ {
    fn default() -> Self {
        Self::new()
    }
}

/// A zvm, and when it decodes.
#[derive(Debug)]
struct Machine {
    name: &'static str,
    decode: u64,
    evm: Evm,
}

impl Machine {
    /// What it makes of `case`; a panic is an observation too, and ends this machine's life.
    fn observe(&mut self, case: &Case, db: &WorldDb) -> Observation {
        let evm = &mut self.evm;
        catch_unwind(AssertUnwindSafe(|| machine::observe(evm, case, db))).unwrap_or_else(|panic| {
            self.evm = self::evm(self.decode);
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Observation::Broken(format!("panic: {}", text.unwrap_or("without words")))
        })
    }
}

fn evm(decode: u64) -> Evm {
    Evm::new().with_decode_jumps_per_kib(decode)
}

/// The run, and the first word of the first line that differs.
fn kind(differences: &str) -> &str {
    let line = differences.find('\n').map_or(0, |at| at + 1);
    let word = differences[line..].find([' ', ':']).unwrap_or(0);
    &differences[..line + word]
}
