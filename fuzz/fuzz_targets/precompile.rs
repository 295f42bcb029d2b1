//! Any bytes as input of any precompile: nothing panics, and no more gas is used than there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_core::{Address, SpecId};
use zvm_precompiles::Precompiles;

fuzz_target!(|input: &[u8]| {
    let [spec, low, high, data @ ..] = input else { return };
    let spec = SpecId::ALL[usize::from(*spec) % SpecId::ALL.len()];
    let set = Precompiles::of(spec).expect("default features have every precompile");
    let address = Address::left_padding_from(&[high & 1, *low]);
    let Some(precompile) = set.get(&address) else { return };
    // Enough for a pairing, little enough for MODEXP to stay quick.
    let gas = 1_000_000;
    let mut output = Vec::new();
    if let Ok(used) = (precompile.run)(data, gas, &mut output) {
        assert!(used <= gas);
    }
});
