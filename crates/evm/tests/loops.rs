//! The raw and the decoded loop run the same programs to the same end.

use zvm_core::{Account, Address, B256, BlockEnv, Bytes, Database, DbError, SpecId, U256, hex};
use zvm_evm::{Config, Evm, Executed, Halt, Message, NoTracer, Outcome, SuccessReason};

/// A world without accounts.
struct Empty;

impl Database for Empty {
    fn account(&self, _: Address) -> Result<Option<Account>, DbError> {
        Ok(None)
    }
    fn storage(&self, _: Address, _: U256) -> Result<U256, DbError> {
        Ok(U256::ZERO)
    }
    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        Err(DbError::MissingCode { code_hash })
    }
    fn block_hash(&self, number: u64) -> Result<B256, DbError> {
        Err(DbError::MissingBlockHash { number })
    }
}

fn run_with(evm: &mut Evm, code: &str, gas: u64, spec: SpecId) -> Executed {
    let message = Message {
        caller: Address::repeat_byte(1),
        address: Address::repeat_byte(2),
        origin: Address::repeat_byte(1),
        gas_price: U256::ZERO,
        code: Some(hex::decode(code).unwrap().into()),
        data: Bytes::new(),
        value: U256::ZERO,
        gas,
    };
    let config = Config::new(spec).unwrap();
    evm.call(&message, &BlockEnv::default(), &config, &Empty, &mut NoTracer).unwrap()
}

/// Runs in both loops, which must agree.
fn run(code: &str, gas: u64) -> Executed {
    let raw =
        run_with(&mut Evm::new().with_decode_jumps_per_kib(u64::MAX), code, gas, SpecId::OSAKA);
    let decoded = run_with(&mut Evm::new().with_decode_jumps_per_kib(0), code, gas, SpecId::OSAKA);
    assert_eq!(raw, decoded, "{code} with {gas} gas");
    raw
}

fn output(code: &str) -> U256 {
    let executed = run(code, 1_000_000);
    assert_eq!(executed.outcome, Outcome::Success(SuccessReason::Return), "{code}");
    U256::from_be_slice(&executed.output)
}

/// Stores the top of the stack and returns it.
const RETURN_TOP: &str = "5f5260205ff3";

#[test]
fn arithmetic_returns_its_result() {
    assert_eq!(output(&format!("6003600401{RETURN_TOP}")), U256::from(7));
    assert_eq!(output(&format!("6003600a03{RETURN_TOP}")), U256::from(7));
    assert_eq!(output(&format!("600160a01b{RETURN_TOP}")), U256::from(1) << 160);
}

#[test]
fn a_loop_counts_down() {
    // i = 100; do { i -= 1; sum += 2 } while (i != 0)
    let code =
        format!("5f6064 5b 6001 90 03 90 6002 01 90 80 6003 57 50 {RETURN_TOP}").replace(' ', "");
    assert_eq!(output(&code), U256::from(200));
}

#[test]
fn every_gas_limit_gives_the_same_end_in_both_loops() {
    let code =
        "6005 5b 80 6000 52 6001 90 03 80 6002 57 6040 6000 20 5a 55 60 20 59 f3".replace(' ', "");
    for gas in 0..6000 {
        run(&code, gas);
    }
}

#[test]
fn halts_say_why() {
    let halt = |code: &str, gas| match run(code, gas).outcome {
        Outcome::Halt(halt) => halt,
        other => panic!("{code}: {other:?}"),
    };
    assert_eq!(halt("01", 100), Halt::StackUnderflow);
    assert_eq!(halt("0c", 100), Halt::UndefinedOpcode(0x0c));
    assert_eq!(halt("fe", 100), Halt::InvalidOpcode);
    assert_eq!(halt("600456", 100), Halt::InvalidJump);
    assert_eq!(halt("6001", 2), Halt::OutOfGas);
    assert_eq!(halt("5b5f600056", 1_000_000), Halt::StackOverflow);
    assert_eq!(halt("60015f5f3e", 1000), Halt::ReturnDataOutOfBounds);
    // The first fault counts, though the block cannot be paid for as a whole.
    assert_eq!(halt("60015f5f3e20202020202020", 20), Halt::ReturnDataOutOfBounds);
}

#[test]
fn a_jump_into_a_run_of_jumpdests_pays_for_the_rest_of_the_run() {
    for (target, used) in [(4, 3 + 8 + 4), (5, 3 + 8 + 3), (6, 3 + 8 + 2), (7, 3 + 8 + 1)] {
        let executed = run(&format!("60{target:02x}56fe5b5b5b5b"), 100);
        assert_eq!(executed.gas_used, used, "to {target}");
    }
}

#[test]
fn words_are_where_they_belong_behind_a_block() {
    // ADDRESS CALLER NUMBER TIMESTAMP GASLIMIT, moved about, then a new block that returns them all.
    let words = "3033434245";
    let mstores = "5f52602052604052606052608052";
    for moves in [
        "",
        "90",               // an exchange
        "9190",             // a cycle of three
        "93919392",         // cycles of more
        "8193805093",       // copies that displace
        "805080508350",     // copies that nobody wants
        "6001906002905001", // a constant below the top, and a sum
    ] {
        let code = format!("{words}{moves}5b{mstores}60a05ff3");
        assert!(run(&code, 100_000).is_success(), "{code}");
        for gas in 0..200 {
            run(&code, gas);
        }
    }
}

#[test]
fn a_fault_amid_displaced_words_says_why() {
    // CALLER ADDRESS SWAP1 DUP2 ADD, then a load far away, a jump to nowhere, a copy of too much.
    let displaced = "3330908101";
    for (fault, halt) in [
        ("51", Halt::OutOfGas),
        ("56", Halt::InvalidJump),
        ("600190905f5f3e", Halt::ReturnDataOutOfBounds),
        ("0c", Halt::UndefinedOpcode(0x0c)),
    ] {
        assert_eq!(run(&format!("{displaced}{fault}"), 100_000).outcome, Outcome::Halt(halt));
    }
}

/// The matches of the loops have no default: an opcode without an arm would be undefined behaviour,
/// which builds with debug assertions catch.
#[test]
fn every_defined_opcode_runs_in_both_loops() {
    for byte in 0..=u8::MAX {
        if zvm_evm::opcode::info(byte, SpecId::OSAKA).is_some() {
            // Seventeen words, the opcode, and the end of a push.
            let code = format!("{}{byte:02x}{}", "6001".repeat(17), "00".repeat(33));
            run(&code, 1_000_000);
        }
    }
}
