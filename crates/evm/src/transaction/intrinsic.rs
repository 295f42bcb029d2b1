//! Gas a transaction pays before its first opcode.

use zvm_core::{SpecId, Transaction, TxKind};

use crate::gas;

/// What a transaction must buy at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gas {
    /// Paid before the first opcode (Yellow Paper, `g_0` in section 6.2).
    pub(crate) intrinsic: u64,
    /// What the transaction pays at least in the end (EIP-7623); zero before Prague.
    pub(crate) floor: u64,
}

impl Gas {
    /// The gas of `tx` under `spec`.
    pub(crate) fn of(tx: &Transaction, spec: SpecId) -> Self {
        let zeros = tx.data.iter().filter(|byte| **byte == 0).count() as u64;
        let others = tx.data.len() as u64 - zeros;
        let per_other = if spec.has(SpecId::ISTANBUL) {
            gas::CALLDATA_NONZERO
        } else {
            gas::CALLDATA_NONZERO_FRONTIER
        };
        let mut intrinsic = gas::TRANSACTION + zeros * gas::CALLDATA_ZERO + others * per_other;
        if tx.to == TxKind::Create {
            if spec.has(SpecId::HOMESTEAD) {
                intrinsic += gas::TRANSACTION_CREATE;
            }
            if spec.has(SpecId::SHANGHAI) {
                intrinsic += gas::per_word(tx.data.len() as u64, gas::INITCODE_WORD);
            }
        }
        for item in &tx.access_list {
            intrinsic +=
                gas::ACCESS_LIST_ADDRESS + item.storage_keys.len() as u64 * gas::ACCESS_LIST_SLOT;
        }
        intrinsic += tx.authorizations.len() as u64 * gas::NEW_AUTHORIZATION;
        let floor = if spec.has(SpecId::PRAGUE) {
            gas::TRANSACTION + (zeros + 4 * others) * gas::FLOOR_PER_TOKEN
        } else {
            0
        };
        Self { intrinsic, floor }
    }
}

#[cfg(test)]
mod tests {
    use zvm_core::{AccessListItem, B256};

    use super::*;

    #[test]
    fn calldata_is_priced_by_byte_and_fork() {
        let tx = Transaction { data: [0, 0, 1].into(), ..Transaction::default() };
        assert_eq!(Gas::of(&tx, SpecId::FRONTIER).intrinsic, 21_000 + 2 * 4 + 68);
        let prague = Gas::of(&tx, SpecId::PRAGUE);
        assert_eq!(prague, Gas { intrinsic: 21_000 + 2 * 4 + 16, floor: 21_000 + 6 * 10 });
    }

    #[test]
    fn a_creation_pays_for_itself_and_its_initcode() {
        let tx =
            Transaction { to: TxKind::Create, data: vec![1; 33].into(), ..Transaction::default() };
        assert_eq!(Gas::of(&tx, SpecId::FRONTIER).intrinsic, 21_000 + 33 * 68);
        assert_eq!(Gas::of(&tx, SpecId::LONDON).intrinsic, 53_000 + 33 * 16);
        assert_eq!(Gas::of(&tx, SpecId::SHANGHAI).intrinsic, 53_000 + 33 * 16 + 2 * 2);
    }

    #[test]
    fn an_access_list_pays_by_address_and_slot() {
        let item = AccessListItem { storage_keys: vec![B256::ZERO; 2], ..Default::default() };
        let tx = Transaction { access_list: vec![item], ..Transaction::default() };
        assert_eq!(Gas::of(&tx, SpecId::BERLIN).intrinsic, 21_000 + 2400 + 2 * 1900);
    }
}
