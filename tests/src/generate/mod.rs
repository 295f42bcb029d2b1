//! Random programs with a shape: plausible operands, jumps that land, contracts that know each
//! other. Uniform bytes die in the first few opcodes and find nothing.

mod body;
mod calls;
mod flow;
mod transaction;
mod words;
mod world;

use zvm_core::SpecId;

use crate::{Program, Rng};

/// The hard forks that programs are made for: all but Constantinople, which the peer lacks.
pub const SPECS: [SpecId; 14] = [
    SpecId::FRONTIER,
    SpecId::HOMESTEAD,
    SpecId::TANGERINE,
    SpecId::SPURIOUS_DRAGON,
    SpecId::BYZANTIUM,
    SpecId::PETERSBURG,
    SpecId::ISTANBUL,
    SpecId::BERLIN,
    SpecId::LONDON,
    SpecId::PARIS,
    SpecId::SHANGHAI,
    SpecId::CANCUN,
    SpecId::PRAGUE,
    SpecId::OSAKA,
];

/// Program `index` of `seed`. Every hard fork gets its turn, the two newest more often.
#[must_use]
pub fn generate(seed: u64, index: u64) -> Program {
    let mut rng = Rng::new(seed, index);
    let spec =
        if rng.chance(20) { rng.pick(&[SpecId::PRAGUE, SpecId::OSAKA]) } else { rng.pick(&SPECS) };
    let mut program = Program { spec, ..Program::default() };
    let places = world::furnish(&mut rng, &mut program);
    transaction::send(&mut rng, &mut program, &places);
    program
}
