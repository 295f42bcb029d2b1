//! State cases in small, through the types that read and judge them.

use zvm_evm::NoTracer;

use super::*;

/// A transfer of 5 wei that costs 21,000 gas at 10 wei, on Cancun with a base fee of 7.
fn transfer(transaction: &str, post: &str) -> String {
    format!(
        r#"{{
    "env": {{
        "currentCoinbase": "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
        "currentGasLimit": "0x7270e00", "currentNumber": "0x01", "currentTimestamp": "0x03e8",
        "currentRandom": "0x00", "currentDifficulty": "0x00", "currentBaseFee": "0x07",
        "currentExcessBlobGas": "0x00"
    }},
    "pre": {{
        "0x1ad9bc24818784172ff393bb6f89f094d4d2ca29":
            {{ "nonce": "0x0", "balance": "0xffffffff", "code": "0x", "storage": {{}} }}
    }},
    "transaction": {{
        "nonce": "0x00", "gasPrice": "0x0a", "gasLimit": ["0x5208", "0x01"], "data": ["0x"],
        "to": "0x00000000000000000000000000000000000000aa",
        "sender": "0x1ad9bc24818784172ff393bb6f89f094d4d2ca29" {transaction}
    }},
    "post": {{ "Cancun": [{{
        "hash": "0x0000000000000000000000000000000000000000000000000000000000000001",
        "logs": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "indexes": {{ "data": 0, "gas": 0, "value": 0 }} {post}
    }}] }}
}}"#
    )
}

const FIVE: &str = r#", "value": ["0x05"]"#;

fn verdict(json: &str) -> Result<(), String> {
    let case = Case::parse(json, json).map_err(|error| error.to_string())?;
    case.run(0, &mut Evm::new(), &mut NoTracer)?.verdict
}

#[test]
fn an_oversized_value_is_a_rejection() {
    let value = format!(r#", "value": ["0x:bigint 0x1{}"]"#, "0".repeat(64));
    let expected = r#", "expectException": "TR_RLP_WRONGVALUE""#;
    let error = verdict(&transfer(&value, expected)).unwrap_err();
    assert!(error.starts_with("state root"), "the exception is right, only the root not: {error}");

    let expected = r#", "expectException": "TR_NoFunds""#;
    let error = verdict(&transfer(&value, expected)).unwrap_err();
    assert_eq!(error, "rejected (value does not fit its type), expected TR_NoFunds");
}

#[test]
fn an_index_beyond_the_list_is_named() {
    let json = transfer(FIVE, "").replace(r#""gas": 0"#, r#""gas": 2"#);
    let error = verdict(&json).unwrap_err();
    assert_eq!(error, "indexes.gas is 2, but the transaction has 2");
}

#[test]
fn a_wrong_type_is_named_with_its_line() {
    let json = transfer(FIVE, "").replace(r#""nonce": "0x0""#, r#""nonce": 0"#);
    let error = verdict(&json).unwrap_err();
    assert!(error.starts_with("line 10, column"), "{error}");
    assert!(error.ends_with("expected a number of at most 64 bits as 0x string"), "{error}");
}

#[test]
fn an_unknown_fork_fails_and_amsterdam_is_skipped() {
    let json = transfer(FIVE, "").replace("Cancun", "Atlantis");
    assert_eq!(verdict(&json).unwrap_err(), "unknown hard fork \"Atlantis\"");

    let json = transfer(FIVE, "").replace("Cancun", "Amsterdam");
    let case = Case::parse(&json, &json).unwrap();
    assert_eq!(case.skip_reason(0), Some(AMSTERDAM));
}
