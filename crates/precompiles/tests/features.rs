//! Asking for a hard fork that needs more than was compiled in.
//!
//! Which tests are here depends on the Cargo features; `--no-default-features` shows the refusal.

use zvm_core::{Address, SpecId};
use zvm_precompiles::Precompiles;

/// The address with this number.
fn numbered(number: u16) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

#[test]
fn frontier_needs_no_feature() {
    let precompiles = Precompiles::of(SpecId::FRONTIER).unwrap();
    let expected: Vec<Address> = (1..=4).map(numbered).collect();
    assert_eq!(precompiles.addresses().collect::<Vec<_>>(), expected);
}

#[cfg(not(any(feature = "bn254", feature = "bls12-381", feature = "p256")))]
#[test]
fn hard_forks_with_missing_precompiles_are_refused_by_name() {
    for spec in SpecId::ALL {
        assert_eq!(Precompiles::of(spec).is_ok(), !spec.has(SpecId::BYZANTIUM), "{spec}");
    }
    assert_eq!(
        Precompiles::of(SpecId::ISTANBUL).unwrap_err().to_string(),
        "hard fork Istanbul needs precompiles that are not compiled in: \
         BN254_ADD (feature `bn254`), BN254_MUL (feature `bn254`), BN254_PAIRING (feature `bn254`)"
    );
    let missing = Precompiles::of(SpecId::OSAKA).unwrap_err().missing;
    assert_eq!(missing.len(), 3 + 1 + 7 + 1);
    assert!(missing.contains(&"KZG_POINT_EVALUATION (feature `bls12-381`)".to_owned()));
    assert!(missing.contains(&"P256VERIFY (feature `p256`)".to_owned()));
}

#[cfg(all(feature = "bn254", feature = "bls12-381", feature = "p256"))]
#[test]
fn every_hard_fork_has_the_precompiles_of_its_time() {
    for (spec, count) in [
        (SpecId::SPURIOUS_DRAGON, 4),
        (SpecId::BYZANTIUM, 8),
        (SpecId::PETERSBURG, 8),
        (SpecId::ISTANBUL, 9),
        (SpecId::SHANGHAI, 9),
        (SpecId::CANCUN, 10),
        (SpecId::PRAGUE, 17),
        (SpecId::OSAKA, 18),
    ] {
        let precompiles = Precompiles::of(spec).unwrap();
        assert_eq!(precompiles.addresses().count(), count, "{spec}");
        assert!(precompiles.addresses().is_sorted());
        assert!(precompiles.addresses().all(|address| precompiles.get(&address).is_some()));
    }
}

#[cfg(all(feature = "bn254", feature = "bls12-381", feature = "p256"))]
#[test]
fn only_small_numbers_have_a_precompile() {
    let precompiles = Precompiles::of(SpecId::OSAKA).unwrap();
    for number in 0..=u16::MAX {
        let found = precompiles.get(&numbered(number)).is_some();
        assert_eq!(found, matches!(number, 1..=0x11 | 0x100), "{number:#x}");
    }
    assert_eq!(precompiles.get(&numbered(0x100)).unwrap().name, "P256VERIFY");
    for at in 0..18 {
        let mut address = numbered(1);
        address[at] = 1;
        assert!(precompiles.get(&address).is_none(), "{address}");
    }
    assert!(precompiles.get(&Address::repeat_byte(0xff)).is_none());
}
