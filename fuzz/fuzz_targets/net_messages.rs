//! Any bytes as each message of the wire: nothing panics, and what is understood is written back so
//! that it means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| zvm_net::fuzzing::messages(bytes));
