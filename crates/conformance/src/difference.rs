//! Two states compared: account by account, slot by slot.

use std::collections::{BTreeMap, BTreeSet};

use zvm_core::{Address, Bytes, StateDiff, U256, keccak256};

use crate::world::{After, Alloc, World, words};

/// Lines of difference that are shown; the rest is counted.
const LINES_MAX: usize = 40;

/// What differs between the state that `diff` makes of `world` and the one `expected` lists.
pub(crate) fn between(world: &World, diff: &StateDiff, expected: Alloc) -> Vec<String> {
    let expected: BTreeMap<_, _> = expected.0.into_iter().collect();
    let addresses: BTreeSet<Address> = world
        .addresses()
        .chain(diff.accounts.keys().copied())
        .chain(expected.keys().copied())
        .collect();
    let mut lines = Vec::new();
    for address in addresses {
        match (world.after(diff, address), expected.get(&address)) {
            (None, None) => {}
            (Some(_), None) => lines.push(format!("{address}: exists, expected no account")),
            (None, Some(_)) => lines.push(format!("{address}: no account, expected one")),
            (Some(found), Some(listed)) => {
                let mut line = |what: &str, found: String, expected: String| {
                    if found != expected {
                        lines.push(format!("{address}: {what} {found}, expected {expected}"));
                    }
                };
                let After { info, code, storage } = found;
                line("nonce", info.nonce.to_string(), listed.nonce.0.to_string());
                line("balance", info.balance.to_string(), listed.balance.0.to_string());
                line("code", shown(&code), shown(&listed.code.0));
                let listed: BTreeMap<U256, U256> = words(listed.storage.clone()).collect();
                let slots: BTreeSet<U256> = storage.keys().chain(listed.keys()).copied().collect();
                for slot in slots {
                    let word = |word: Option<&U256>| format!("{:#x}", word.unwrap_or(&U256::ZERO));
                    let what = format!("slot {slot:#x}");
                    line(&what, word(storage.get(&slot)), word(listed.get(&slot)));
                }
            }
        }
    }
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("… and {more} more"));
    }
    lines
}

/// Code is long: its length and hash tell it from other code.
fn shown(code: &Bytes) -> String {
    match code.len() {
        0 => "none".to_owned(),
        bytes => format!("of {bytes} bytes, hash {}", keccak256(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alloc(json: &str) -> Alloc {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn each_field_and_slot_has_its_line() {
        let found = alloc(
            r#"{"0x0000000000000000000000000000000000000001":
                {"balance":"0x1","nonce":"0x0","code":"0x","storage":{"0x1":"0x5","0x2":"0x0"}}}"#,
        );
        let expected = alloc(
            r#"{"0x0000000000000000000000000000000000000001":
                {"balance":"0x2","nonce":"0x0","code":"0x","storage":{"0x01":"0x6"}},
                "0x0000000000000000000000000000000000000002":
                {"balance":"0x2","nonce":"0x0","code":"0x","storage":{}}}"#,
        );
        let lines = between(&World::new(found), &StateDiff::default(), expected);
        assert_eq!(
            lines,
            [
                "0x0000000000000000000000000000000000000001: balance 1, expected 2",
                "0x0000000000000000000000000000000000000001: slot 0x1 0x5, expected 0x6",
                "0x0000000000000000000000000000000000000002: no account, expected one",
            ]
        );
    }
}
