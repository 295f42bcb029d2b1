//! Any text as a database configuration, also as a table in JSON: what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_state::DatabaseConfig;

fuzz_target!(|text: &str| {
    let of_table = serde_json::from_str::<DatabaseConfig>(text).ok();
    for config in text.parse::<DatabaseConfig>().into_iter().chain(of_table) {
        assert_eq!(config.text().parse::<DatabaseConfig>().expect("as written"), config);
    }
});
