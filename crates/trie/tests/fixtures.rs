//! The official trie tests: `trie-tests` of the conformance fixtures.

use std::{collections::BTreeMap, env, fs, io::Read, path::PathBuf};

use serde_json::Value;
use zvm_core::{B256, hex, keccak256};
use zvm_trie::trie_root;

#[test]
fn official_root_tests_pass() {
    let Some(files) = read_archive("trie-tests.tar.zst") else { return };
    let mut cases = 0;
    for (file, json) in files {
        // Look-ups of neighbours in a stored trie, not roots.
        if file.contains("nextprev") {
            continue;
        }
        let is_secure = file.to_lowercase().contains("secure");
        for (name, case) in json.as_object().expect("an object of cases") {
            let expected: B256 = case["root"].as_str().expect("a root").parse().expect("a hash");
            let mut entries = BTreeMap::new();
            for (key, value) in operations(&case["in"]) {
                let key = if is_secure { keccak256(&key).to_vec() } else { key };
                match value {
                    Some(value) => entries.insert(key, value),
                    None => entries.remove(&key),
                };
            }
            assert_eq!(trie_root(&entries), expected, "{file}: {name}");
            cases += 1;
        }
    }
    assert_eq!(cases, 25, "all root cases of the archive were run");
}

/// The puts and deletes of a case, in order. The fixtures list them as pairs or as an object.
fn operations(input: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let text = |value: &Value| bytes(value.as_str().expect("a string"));
    match input {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (bytes(key), Some(text(value)))).collect()
        }
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| (text(&pair[0]), (!pair[1].is_null()).then(|| text(&pair[1]))))
            .collect(),
        other => panic!("operations are a list or an object, found {other}"),
    }
}

/// A string of the fixtures: hex behind `0x`, otherwise the bytes of the text.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).expect("hex digits"),
        None => text.as_bytes().to_vec(),
    }
}

/// All JSON files of an archive by path; `None`, said aloud, where there are no fixtures.
fn read_archive(name: &str) -> Option<Vec<(String, Value)>> {
    let root = env::var_os("ZVM_FIXTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures")),
        PathBuf::from,
    );
    let path = root.join(name);
    let Ok(packed) = fs::read(&path) else {
        eprintln!("SKIPPED: no {} (set ZVM_FIXTURES to the fixtures folder)", path.display());
        return None;
    };
    let plain = zstd::decode_all(packed.as_slice()).expect("a zstd archive");
    let mut files = Vec::new();
    for entry in tar::Archive::new(plain.as_slice()).entries().expect("a tar archive") {
        let mut entry = entry.expect("a tar entry");
        let path = entry.path().expect("a path").display().to_string();
        if path.ends_with(".json") {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            files.push((path, serde_json::from_str(&text).expect("JSON")));
        }
    }
    Some(files)
}
