//! The difficulty that a block of proof of work must have (Yellow Paper, 4.3.4).

use zvm_core::{SpecId, U256};

/// The least difficulty, `D_0` of the Yellow Paper.
const DIFFICULTY_MIN: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// Blocks between two doublings of the difficulty bomb.
const BOMB_PERIOD: u64 = 100_000;

/// What the difficulty of a block is made of, beside its own number and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentDifficulty {
    /// Difficulty of the parent.
    pub difficulty: U256,
    /// Unix time of the parent in seconds.
    pub timestamp: u64,
    /// Whether the parent lists ommers; counts from Byzantium on (EIP-100).
    pub has_ommers: bool,
}

/// The difficulty of block `number` at `timestamp`, by the rules of `spec`.
///
/// `bomb_delay` is how many blocks the difficulty bomb has been put off (EIP-649, 1234, 2384,
/// 3554, 4345, 5133). Saturates at the largest word, which no chain of real work comes near.
#[must_use]
pub fn next_difficulty(
    spec: SpecId,
    bomb_delay: u64,
    number: u64,
    timestamp: u64,
    parent: &ParentDifficulty,
) -> U256 {
    let step = parent.difficulty / U256::from(2048);
    let seconds = timestamp.saturating_sub(parent.timestamp);
    // How many steps up, and how many down.
    let (up, down) = if spec.has(SpecId::BYZANTIUM) {
        (1 + u64::from(parent.has_ommers), seconds / 9)
    } else if spec.has(SpecId::HOMESTEAD) {
        (1, seconds / 10)
    } else if seconds < 13 {
        (1, 0)
    } else {
        (0, 1)
    };
    let moved = match up.checked_sub(down) {
        Some(steps) => parent.difficulty.saturating_add(step * U256::from(steps)),
        None => parent.difficulty - step * U256::from((down - up).min(99)),
    };
    let period = number.saturating_sub(bomb_delay) / BOMB_PERIOD;
    let bomb = match period.checked_sub(2) {
        None => U256::ZERO,
        Some(exponent @ 0..256) => U256::ONE << exponent,
        Some(_) => U256::MAX,
    };
    // The bomb counts towards the minimum, as in the Yellow Paper and in the official tests of
    // difficulties near it.
    moved.saturating_add(bomb).max(DIFFICULTY_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: U256 = U256::from_limbs([2_048_000_000, 0, 0, 0]);
    const STEP: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);

    fn after(spec: SpecId, seconds: u64, has_ommers: bool) -> U256 {
        let parent = ParentDifficulty { difficulty: LARGE, timestamp: 1000, has_ommers };
        next_difficulty(spec, 0, 10, 1000 + seconds, &parent)
    }

    #[test]
    fn frontier_moves_one_step_at_thirteen_seconds() {
        assert_eq!(after(SpecId::FRONTIER, 12, false), LARGE + STEP);
        assert_eq!(after(SpecId::FRONTIER, 13, false), LARGE - STEP);
        assert_eq!(after(SpecId::FRONTIER, 1000, false), LARGE - STEP);
    }

    #[test]
    fn homestead_falls_by_a_step_each_ten_seconds_and_at_most_99() {
        assert_eq!(after(SpecId::HOMESTEAD, 9, false), LARGE + STEP);
        assert_eq!(after(SpecId::HOMESTEAD, 10, true), LARGE);
        assert_eq!(after(SpecId::HOMESTEAD, 35, false), LARGE - STEP * U256::from(2));
        assert_eq!(after(SpecId::HOMESTEAD, 100_000, false), LARGE - STEP * U256::from(99));
    }

    #[test]
    fn byzantium_counts_the_ommers_of_the_parent() {
        assert_eq!(after(SpecId::BYZANTIUM, 8, true), LARGE + STEP * U256::from(2));
        assert_eq!(after(SpecId::BYZANTIUM, 9, true), LARGE + STEP);
        assert_eq!(after(SpecId::BYZANTIUM, 9, false), LARGE);
        assert_eq!(after(SpecId::BYZANTIUM, 100_000, true), LARGE - STEP * U256::from(99));
    }

    #[test]
    fn the_bomb_doubles_each_period_and_can_be_put_off() {
        let parent = ParentDifficulty { difficulty: LARGE, timestamp: 0, has_ommers: false };
        let at = |number, delay| next_difficulty(SpecId::BYZANTIUM, delay, number, 9, &parent);
        assert_eq!(at(199_999, 0), LARGE);
        assert_eq!(at(200_000, 0), LARGE + U256::from(1));
        assert_eq!(at(500_000, 0), LARGE + U256::from(8));
        assert_eq!(at(3_500_000, 3_000_000), LARGE + U256::from(8));
        assert_eq!(at(u64::MAX, 0), U256::MAX);
    }

    #[test]
    fn there_is_a_least_difficulty() {
        let parent =
            ParentDifficulty { difficulty: DIFFICULTY_MIN, timestamp: 0, has_ommers: false };
        let after = |number| next_difficulty(SpecId::HOMESTEAD, 0, number, 1000, &parent);
        assert_eq!(after(10), DIFFICULTY_MIN);
        // 99 steps of 64 down, 128 of the bomb up.
        assert_eq!(after(900_000), DIFFICULTY_MIN);
    }
}
