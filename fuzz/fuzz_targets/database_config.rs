//! Any text as a database configuration: what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zvm_state::DatabaseConfig;

fuzz_target!(|text: &str| {
    if let Ok(config) = text.parse::<DatabaseConfig>() {
        assert_eq!(config.text().parse::<DatabaseConfig>().expect("as written"), config);
    }
    let _ = serde_json::from_str::<DatabaseConfig>(text);
});
