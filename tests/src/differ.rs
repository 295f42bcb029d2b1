//! One program on both engines.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use zvm_benches::{Case, Observation, WorldDb, differences, machine, peer};
use zvm_evm::Evm;

use crate::{Program, shrink};

/// Compares zvm with the peer, program after program on the same machine.
#[derive(Debug, Default)]
pub struct Differ {
    evm: Evm,
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
    /// A machine with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `program` on both engines; a disagreement comes back shrunk.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] where result class, halt, gas, refund, output, logs or state differ, where a
    /// second run differs from the first, or where zvm panics or breaks the promises of its diff.
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
        for run in RUNS {
            let found = self.observe(case, &db);
            let differences = differences(&found, &expected);
            if !differences.is_empty() {
                return Some(format!("{run}:\n{differences}"));
            }
        }
        None
    }

    fn observe(&mut self, case: &Case, db: &WorldDb) -> Observation {
        let evm = &mut self.evm;
        catch_unwind(AssertUnwindSafe(|| machine::observe(evm, case, db))).unwrap_or_else(|panic| {
            self.evm = Evm::new();
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Observation::Broken(format!("panic: {}", text.unwrap_or("without words")))
        })
    }
}

/// The run, and the first word of the first line that differs.
fn kind(differences: &str) -> &str {
    let line = differences.find('\n').map_or(0, |at| at + 1);
    let word = differences[line..].find([' ', ':']).unwrap_or(0);
    &differences[..line + word]
}

const RUNS: [&str; 2] = ["first run", "second run"];
