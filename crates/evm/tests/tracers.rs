//! Tracers watching real executions of small programs.

use std::collections::HashMap;

use zvm_core::{
    AccessListItem, Account, AccountInfo, Address, B256, BlockEnv, Bytes, Database, DbError,
    SpecId, U256, bytes, keccak256,
};
use zvm_evm::{
    CallKind, Config, Evm, Executed, Halt, Message, Outcome, SuccessReason, Tracer,
    opcode::*,
    tracers::{AccessCollector, CallTracer, Eip3155, GasProfile, Summary},
};

const CALLER: Address = Address::repeat_byte(0xca);
const MAIN: Address = Address::repeat_byte(0xa1);
const REVERTS: Address = Address::repeat_byte(0xb2);
const LOOPS: Address = Address::repeat_byte(0xc3);
const NOBODY: Address = Address::repeat_byte(0xd4);
const IDENTITY: Address = Address::with_last_byte(4);

/// Accounts with code and 1000 wei.
#[derive(Debug, Default)]
struct Contracts(HashMap<Address, Bytes>);

impl Database for Contracts {
    fn account(&self, address: Address) -> Result<Option<Account>, DbError> {
        Ok(self.0.get(&address).map(|code| Account {
            info: AccountInfo {
                balance: U256::from(1000),
                code_hash: keccak256(code),
                ..AccountInfo::default()
            },
            has_storage: false,
        }))
    }

    fn storage(&self, _: Address, _: U256) -> Result<U256, DbError> {
        Ok(U256::ZERO)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, DbError> {
        let code = self.0.values().find(|code| keccak256(code) == code_hash);
        code.cloned().ok_or(DbError::MissingCode { code_hash })
    }

    fn block_hash(&self, _: u64) -> Result<B256, DbError> {
        Ok(B256::ZERO)
    }
}

fn call(db: &Contracts, spec: SpecId, gas: u64, tracer: &mut impl Tracer) -> Executed {
    let message = Message {
        caller: CALLER,
        address: MAIN,
        origin: CALLER,
        gas_price: U256::ZERO,
        code: None,
        data: Bytes::new(),
        value: U256::ZERO,
        gas,
    };
    let config = Config::new(spec).unwrap();
    Evm::new().call(&message, &BlockEnv::default(), &config, db, tracer).unwrap()
}

fn call_of(kind: u8, gas: u16, callee: Address) -> Vec<u8> {
    let mut code = [PUSH1, 0].repeat(if kind == STATICCALL { 4 } else { 5 });
    code.push(PUSH20);
    code.extend(callee);
    code.push(PUSH2);
    code.extend(gas.to_be_bytes());
    code.extend([kind, POP]);
    code
}

/// `MAIN` calls a contract that stores and reverts, one that runs out of gas and a precompile,
/// logs and stops.
fn nested() -> Contracts {
    let main = [
        call_of(CALL, 50_000, REVERTS),
        call_of(CALLCODE, 1_000, LOOPS),
        call_of(STATICCALL, 500, IDENTITY),
        vec![PUSH1, 0, PUSH1, 0, LOG0],
    ];
    Contracts(HashMap::from([
        (MAIN, main.concat().into()),
        (REVERTS, vec![PUSH1, 1, PUSH1, 9, SSTORE, PUSH1, 0, PUSH1, 0, REVERT].into()),
        (LOOPS, vec![JUMPDEST, PUSH1, 0, JUMP].into()),
    ]))
}

/// `MAIN` pays an account that is not there, cannot pay a second time, creates a contract of one
/// byte and destroys itself.
fn payments() -> Contracts {
    let pay = |value: [u8; 2]| {
        let mut code = [PUSH1, 0].repeat(4);
        code.push(PUSH2);
        code.extend(value);
        code.push(PUSH20);
        code.extend(NOBODY);
        code.extend([PUSH1, 0, CALL, POP]);
        code
    };
    let main = [
        pay([0, 1]),
        pay([0xff, 0xff]),
        // Initcode that returns one byte of its empty memory.
        vec![PUSH5, PUSH1, 1, PUSH1, 0, RETURN, PUSH1, 0, MSTORE],
        vec![PUSH1, 5, PUSH1, 27, PUSH1, 0, CREATE, POP],
        vec![PUSH20],
        NOBODY.to_vec(),
        vec![SELFDESTRUCT],
    ];
    Contracts(HashMap::from([(MAIN, main.concat().into())]))
}

#[test]
fn example_of_the_eip_is_reproduced() {
    // Gas, stack and summary are the EIP's. It shows memory as it is after the opcode grew it,
    // against its own text; `memSize` here is that before the opcode.
    let code = bytes!("604080536040604055604060006040600060025afa6040f3");
    let db = Contracts(HashMap::from([(MAIN, code)]));
    let mut trace = Eip3155::new(Vec::new(), SpecId::ISTANBUL);
    let executed = call(&db, SpecId::ISTANBUL, 10_000_000_000, &mut trace);
    trace.summary(&Summary::of(&executed));
    let text = String::from_utf8(trace.finish().unwrap()).unwrap();
    let expected = r#"
{"pc":0,"op":96,"gas":"0x2540be400","gasCost":"0x3","memSize":0,"stack":[],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":2,"op":128,"gas":"0x2540be3fd","gasCost":"0x3","memSize":0,"stack":["0x40"],"depth":1,"refund":0,"opName":"DUP1"}
{"pc":3,"op":83,"gas":"0x2540be3fa","gasCost":"0xc","memSize":0,"stack":["0x40","0x40"],"depth":1,"refund":0,"opName":"MSTORE8"}
{"pc":4,"op":96,"gas":"0x2540be3ee","gasCost":"0x3","memSize":96,"stack":[],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":6,"op":96,"gas":"0x2540be3eb","gasCost":"0x3","memSize":96,"stack":["0x40"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":8,"op":85,"gas":"0x2540be3e8","gasCost":"0x4e20","memSize":96,"stack":["0x40","0x40"],"depth":1,"refund":0,"opName":"SSTORE"}
{"pc":9,"op":96,"gas":"0x2540b95c8","gasCost":"0x3","memSize":96,"stack":[],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":11,"op":96,"gas":"0x2540b95c5","gasCost":"0x3","memSize":96,"stack":["0x40"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":13,"op":96,"gas":"0x2540b95c2","gasCost":"0x3","memSize":96,"stack":["0x40","0x0"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":15,"op":96,"gas":"0x2540b95bf","gasCost":"0x3","memSize":96,"stack":["0x40","0x0","0x40"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":17,"op":96,"gas":"0x2540b95bc","gasCost":"0x3","memSize":96,"stack":["0x40","0x0","0x40","0x0"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":19,"op":90,"gas":"0x2540b95b9","gasCost":"0x2","memSize":96,"stack":["0x40","0x0","0x40","0x0","0x2"],"depth":1,"refund":0,"opName":"GAS"}
{"pc":20,"op":250,"gas":"0x2540b95b7","gasCost":"0x24abb676c","memSize":96,"stack":["0x40","0x0","0x40","0x0","0x2","0x2540b95b7"],"depth":1,"refund":0,"opName":"STATICCALL"}
{"pc":21,"op":96,"gas":"0x2540b92a7","gasCost":"0x3","memSize":96,"stack":["0x1"],"depth":1,"refund":0,"opName":"PUSH1"}
{"pc":23,"op":243,"gas":"0x2540b92a4","gasCost":"0x0","memSize":96,"stack":["0x1","0x40"],"depth":1,"refund":0,"opName":"RETURN"}
{"output":"40","gasUsed":"0x515c"}
"#;
    assert_eq!(text.lines().collect::<Vec<_>>(), expected.trim().lines().collect::<Vec<_>>());
}

#[test]
fn every_opcode_of_every_frame_is_one_line() {
    let mut trace = Eip3155::new(Vec::new(), SpecId::CANCUN).with_return_data();
    call(&nested(), SpecId::CANCUN, 100_000, &mut trace);
    let text = String::from_utf8(trace.finish().unwrap()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Gas left is what the line before left, wherever both are in one frame.
    let number = |value: &serde_json::Value| {
        u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    for pair in lines.windows(2).filter(|pair| pair[0]["depth"] == pair[1]["depth"]) {
        if pair[0]["opName"] != "STATICCALL" {
            assert_eq!(
                number(&pair[0]["gas"]) - number(&pair[0]["gasCost"]),
                number(&pair[1]["gas"])
            );
        }
    }
    let deep: Vec<_> = lines.iter().filter(|line| line["depth"] == 2).collect();
    let store = deep.iter().find(|line| line["opName"] == "SSTORE").unwrap();
    assert_eq!(number(&store["gasCost"]), 22_100);
    // 1000 gas are 83 rounds of 12 and, of the next, JUMPDEST and PUSH1.
    assert_eq!(deep.len(), 6 + 83 * 3 + 3);
    let failed: Vec<_> = lines.iter().filter(|line| line.get("error").is_some()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["opName"], &failed[0]["error"]), (&"JUMP".into(), &"out of gas".into()));
    assert_eq!((&failed[0]["gas"], &failed[0]["gasCost"]), (&"0x0".into(), &"0x8".into()));
    assert_eq!(lines.last().unwrap()["opName"], "STOP");
}

#[test]
fn tree_of_calls_tells_how_each_frame_ended() {
    let mut tree = CallTracer::new();
    let executed = call(&nested(), SpecId::CANCUN, 100_000, &mut tree);
    let frames: Vec<_> = tree
        .frames()
        .iter()
        .map(|frame| (frame.kind, frame.depth, frame.from, frame.to, frame.outcome))
        .collect();
    let stop = Outcome::Success(SuccessReason::Stop);
    let out_of_gas = Outcome::Halt(Halt::OutOfGas);
    assert_eq!(frames[0], (Some(CallKind::Call), 1, CALLER, MAIN, stop));
    assert_eq!(frames[1], (Some(CallKind::Call), 2, MAIN, REVERTS, Outcome::Revert));
    assert_eq!(frames[2], (Some(CallKind::CallCode), 2, MAIN, LOOPS, out_of_gas));
    assert_eq!(frames[3].0, Some(CallKind::StaticCall));
    assert_eq!((frames[3].2, frames[3].3), (MAIN, IDENTITY));
    assert!(matches!(frames[3].4, Outcome::Success(_)));
    assert_eq!(frames.len(), 4);

    let gas: Vec<_> = tree.frames().iter().map(|frame| (frame.gas, frame.gas_used)).collect();
    assert_eq!(gas, [(100_000, executed.gas_used), (50_000, 22_112), (1_000, 1_000), (500, 15)]);
    assert_eq!(tree.frames()[0].logs.len(), 1);
    assert_eq!(tree.frames()[0].logs[0].position, 3);
}

#[test]
fn tree_lists_failed_payments_creations_and_destructions() {
    let mut tree = CallTracer::new();
    call(&payments(), SpecId::CANCUN, 200_000, &mut tree);
    let frames: Vec<_> = tree
        .frames()
        .iter()
        .map(|frame| (frame.kind, frame.depth, frame.value, frame.gas_used, frame.outcome))
        .collect();
    let destroyed = Outcome::Success(SuccessReason::SelfDestruct);
    let stop = Outcome::Success(SuccessReason::Stop);
    let broke = Outcome::Halt(Halt::InsufficientBalance);
    let created = Outcome::Success(SuccessReason::Return);
    assert_eq!((frames[0].0, frames[0].4), (Some(CallKind::Call), destroyed));
    assert_eq!(frames[1], (Some(CallKind::Call), 2, U256::from(1), 0, stop));
    assert_eq!(frames[2], (Some(CallKind::Call), 2, U256::from(0xffff), 0, broke));
    // Two pushes, one word of memory, and 200 for the byte.
    assert_eq!(frames[3], (Some(CallKind::Create), 2, U256::ZERO, 9 + 200, created));
    assert_eq!(tree.frames()[3].output, bytes!("00"));
    assert_eq!((frames[4].0, frames[4].2), (None, U256::from(999)));
    assert_eq!(frames.len(), 5);
}

#[test]
fn profile_accounts_for_stipends_and_deployed_code() {
    let mut watch = (GasProfile::new(), CallTracer::new());
    call(&payments(), SpecId::CANCUN, 200_000, &mut watch);
    let (profile, tree) = watch;
    let contracts: u64 = profile.contracts().iter().map(|contract| contract.gas).sum();
    assert_eq!(contracts, tree.frames()[0].gas_used);
    let created = tree.frames()[3].to;
    assert!(profile.folded().contains(&format!("{MAIN};create {created} 200\n")));
}

#[test]
fn profile_accounts_for_all_gas() {
    let mut profile = GasProfile::new();
    let executed = call(&nested(), SpecId::CANCUN, 100_000, &mut profile);
    let contracts: u64 = profile.contracts().iter().map(|contract| contract.gas).sum();
    assert_eq!(contracts, executed.gas_used);
    let line = format!("{MAIN};{REVERTS};SSTORE 22100\n");
    assert!(profile.folded().contains(&line), "{}", profile.folded());
    let identity = format!("{MAIN};{IDENTITY} 15\n");
    assert!(profile.folded().contains(&identity), "{}", profile.folded());
}

#[test]
fn access_list_declares_what_was_touched() {
    let mut touched = AccessCollector::new();
    call(&nested(), SpecId::CANCUN, 100_000, &mut touched);
    let item = |address, slots: &[u64]| AccessListItem {
        address,
        storage_keys: slots.iter().map(|&slot| U256::from(slot).into()).collect(),
    };
    assert_eq!(
        touched.access_list([CALLER, MAIN, IDENTITY]),
        [item(REVERTS, &[9]), item(LOOPS, &[])]
    );
}

#[test]
fn watching_changes_nothing() {
    let mut all = (
        (Eip3155::new(Vec::new(), SpecId::CANCUN), CallTracer::new()),
        (GasProfile::new(), AccessCollector::new()),
    );
    let watched = call(&nested(), SpecId::CANCUN, 100_000, &mut all);
    assert_eq!(watched, call(&nested(), SpecId::CANCUN, 100_000, &mut zvm_evm::NoTracer));
}
