//! Any bytes as a state to load: what is taken is dumped and loaded again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_state::{MemoryDb, dump};

fuzz_target!(|text: &[u8]| {
    let mut db = MemoryDb::new();
    if dump::load(text, &mut db).is_err() {
        return;
    }
    let text = |db: &MemoryDb| {
        let mut text = Vec::new();
        dump::dump(db, &mut text, |_| {}).expect("memory can be dumped");
        text
    };
    let dumped = text(&db);
    let mut again = MemoryDb::new();
    dump::load(dumped.as_slice(), &mut again).expect("a dump loads");
    assert_eq!(text(&again), dumped);
});
