//! How good the generator is: what its programs come to and which opcodes they reach.

use std::{collections::BTreeMap, fmt};

use zvm_benches::{
    Observation,
    peer::{self, OpcodeCounts, Peer},
};
use zvm_core::SpecId;

use crate::Program;

/// Figures over many programs, measured on the peer.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    specs: BTreeMap<SpecId, SpecStats>,
    endings: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
struct SpecStats {
    programs: u64,
    steps: u64,
    opcodes: [u64; 256],
}

impl Default for SpecStats {
    fn default() -> Self {
        Self { programs: 0, steps: 0, opcodes: [0; 256] }
    }
}

impl Stats {
    /// Runs `program` on the peer and counts.
    pub fn add(&mut self, program: &Program) {
        let case = program.assemble();
        let Some(mut peer) = Peer::watched(&case, OpcodeCounts::default()) else { return };
        let ending = match peer::observation(peer.run_watched(), &case) {
            Observation::Ran(ran) => format!("{} {:?}", ran.ending.class(), ran.ending),
            Observation::Invalid(rule) => format!("invalid {rule:?}"),
            Observation::Broken(why) => format!("broken {why}"),
        };
        *self.endings.entry(ending).or_default() += 1;
        let spec = self.specs.entry(case.spec).or_default();
        spec.programs += 1;
        for (sum, count) in spec.opcodes.iter_mut().zip(peer.inspector().counts()) {
            *sum += count;
            spec.steps += count;
        }
    }

    /// Adds figures of another thread.
    pub fn merge(&mut self, other: &Self) {
        for (ending, count) in &other.endings {
            *self.endings.entry(ending.clone()).or_default() += count;
        }
        for (&spec, figures) in &other.specs {
            let entry = self.specs.entry(spec).or_default();
            entry.programs += figures.programs;
            entry.steps += figures.steps;
            for (sum, count) in entry.opcodes.iter_mut().zip(figures.opcodes) {
                *sum += count;
            }
        }
    }

    /// Opcodes of `spec` in `defined` that no program reached.
    #[must_use]
    pub fn missed(&self, spec: SpecId, defined: impl Fn(u8) -> bool) -> Vec<u8> {
        let reached =
            |opcode| self.specs.get(&spec).is_some_and(|s| s.opcodes[opcode as usize] > 0);
        (0..=255).filter(|&opcode| defined(opcode) && !reached(opcode)).collect()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.endings.values().sum();
        for (ending, count) in &self.endings {
            writeln!(f, "{:6.2} %  {ending}", 100.0 * *count as f64 / total.max(1) as f64)?;
        }
        for (spec, figures) in &self.specs {
            let opcodes = figures.opcodes.iter().filter(|count| **count > 0).count();
            let steps = figures.steps / figures.programs.max(1);
            let programs = figures.programs;
            writeln!(f, "{spec}: {programs} programs, {steps} steps each, {opcodes} opcodes")?;
        }
        Ok(())
    }
}
