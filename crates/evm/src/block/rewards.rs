//! What a block of proof of work pays (Yellow Paper, 11.3).

use zvm_core::{Address, SpecId, U256};

/// Wei in a gwei.
pub(super) const GWEI: u64 = 1_000_000_000;

/// Ether for a block: five, three from Byzantium on (EIP-649), two from Constantinople on
/// (EIP-1234). In wei.
#[must_use]
pub fn block_reward(spec: SpecId) -> U256 {
    let ether = match spec {
        _ if spec.has(SpecId::CONSTANTINOPLE) => 2_u64,
        _ if spec.has(SpecId::BYZANTIUM) => 3,
        _ => 5,
    };
    U256::from(ether * GWEI) * U256::from(GWEI)
}

/// Whom block `number` pays how many wei, if it alone were worth `reward`: its ommers, given as
/// number and beneficiary, less for each generation they are behind; and its own beneficiary, a
/// 32nd more for each ommer.
pub(super) fn of(
    reward: U256,
    number: u64,
    beneficiary: Address,
    ommers: impl Iterator<Item = (u64, Address)>,
) -> Vec<(Address, U256)> {
    let mut own = reward;
    let mut paid = Vec::new();
    for (ommer, address) in ommers {
        own += reward / U256::from(32);
        let eighths = 8_u64.saturating_sub(number.saturating_sub(ommer));
        paid.push((address, reward * U256::from(eighths) / U256::from(8)));
    }
    paid.push((beneficiary, own));
    paid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ommer_gets_an_eighth_less_for_each_generation_and_the_nephew_a_32nd_more() {
        let [a, b, miner] = [1, 2, 3].map(Address::repeat_byte);
        let paid = of(block_reward(SpecId::HOMESTEAD), 10, miner, [(9, a), (4, b)].into_iter());
        let finney = |count: u64| U256::from(count) * U256::from(1_000_000 * GWEI);
        let expected =
            [(a, finney(4375)), (b, finney(1250)), (miner, finney(5000 + 2 * 5000 / 32))];
        assert_eq!(paid[..2], expected[..2]);
        assert_eq!(paid[2], (miner, finney(5000) + finney(5000) / U256::from(16)));
    }

    #[test]
    fn the_reward_falls_twice() {
        let ether = |spec| block_reward(spec) / U256::from(GWEI) / U256::from(GWEI);
        assert_eq!(ether(SpecId::FRONTIER), U256::from(5));
        assert_eq!(ether(SpecId::BYZANTIUM), U256::from(3));
        assert_eq!(ether(SpecId::PETERSBURG), U256::from(2));
    }
}
