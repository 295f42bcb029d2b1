//! Running ahead gives what running gives, with fewer requests.

use std::sync::atomic::Ordering;

use proptest::{collection, prelude::*};
use zvm_core::Address;

use super::*;
use crate::{
    Kept, Recorder,
    testing::{StoreNode, account},
};

/// A program that reads, and whose reads depend on what it has read.
#[derive(Clone, Debug)]
enum Step {
    /// Of the account that the register selects.
    Account(u8),
    /// At the slot that the register selects, of an account that is given.
    Slot(u8),
    /// Of the account that the register selects.
    SlotOfSelected(u8),
    /// Code of an account, if it has any.
    Code(u8),
    /// Of a block before this one.
    BlockHash(u8),
    /// All slots up to the register, as a loop over an array reads them.
    Loop(u8),
    /// Nothing more, if the register is odd: a condition that does not hold.
    EndIfOdd,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u8>().prop_map(Step::Account),
        any::<u8>().prop_map(Step::Slot),
        any::<u8>().prop_map(Step::SlotOfSelected),
        any::<u8>().prop_map(Step::Code),
        any::<u8>().prop_map(Step::BlockHash),
        any::<u8>().prop_map(Step::Loop),
        Just(Step::EndIfOdd),
    ]
}

/// Runs a program. Answers the register after each read, or the error that ended it.
fn run(source: &dyn Source, steps: &[Step]) -> Result<Vec<U256>, String> {
    let read = |read: Read| {
        let found = source.fetch(&[read]).map_err(|error| error.to_string())?;
        Ok::<_, String>(found[0].clone())
    };
    let chosen = |by: u8| account(u64::from(by) % 42);
    let selected = |register: &U256, by: u8| -> Address {
        account((register.as_limbs()[0] ^ u64::from(by)) % 42)
    };
    let (mut register, mut trace) = (U256::from(1), Vec::new());
    let mut word = |register: &mut U256, address, slot| {
        if let Found::Word(word) = read(Read::Slot(address, slot))? {
            *register = register.wrapping_mul(U256::from(31)).wrapping_add(word);
            trace.push(*register);
        }
        Ok::<_, String>(())
    };
    for step in steps {
        let small = U256::from(register.as_limbs()[0] % 45);
        match *step {
            Step::Account(by) => {
                if let Found::Account(Some(account)) = read(Read::Account(selected(&register, by)))?
                {
                    register = register.wrapping_add(account.info.balance);
                }
            }
            Step::Slot(by) => word(&mut register, chosen(by), small)?,
            Step::SlotOfSelected(by) => {
                let address = selected(&register, by);
                word(&mut register, address, U256::from(by % 45))?;
            }
            Step::Code(by) => {
                let address = chosen(by);
                if let Found::Account(Some(account)) = read(Read::Account(address))?
                    && account.info.has_code()
                    && let Found::Code(code) = read(Read::Code(account.info.code_hash, address))?
                {
                    register = register.wrapping_add(U256::from(code[0]));
                }
            }
            Step::BlockHash(by) => {
                if let Found::BlockHash(hash) = read(Read::BlockHash(298 - u64::from(by)))? {
                    register ^= U256::from_be_bytes(hash.0);
                }
            }
            Step::Loop(by) => {
                for slot in 0..small.as_limbs()[0] {
                    word(&mut register, chosen(by), U256::from(slot))?;
                }
            }
            Step::EndIfOdd if register.bit(0) => break,
            Step::EndIfOdd => {}
        }
    }
    trace.push(register);
    Ok(trace)
}

fn kept(node: &Arc<StoreNode>) -> Arc<dyn Source> {
    Arc::new(Kept::new(node.clone(), Kept::MEMORY_BYTES))
}

#[test]
fn the_result_is_that_of_a_run_read_by_read() {
    let node = Arc::new(StoreNode::new());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    runner
        .run(&collection::vec(step(), 1..20), |steps| {
            let requests = || node.requests.load(Ordering::Relaxed);
            let before = requests();
            let expected = run(&*kept(&node), &steps);
            let between = requests();
            let source = kept(&node);
            let found = run_ahead(&source, |source| run(&*source, &steps));
            prop_assert_eq!(found.unwrap(), expected);
            let (plain, ahead) = (between - before, requests() - between);
            // Code comes on its own, once for each batch.
            prop_assert!(ahead <= 2 * plain, "{} requests ahead, {} without", ahead, plain);
            prop_assert!(run_ahead(&source, |source| run(&*source, &steps)).is_ok());
            prop_assert_eq!(requests() - between, ahead);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_loop_over_an_array_is_one_batch() {
    let node = Arc::new(StoreNode::new());
    let source = kept(&node);
    let sum = run_ahead(&source, |source| {
        let mut sum = U256::ZERO;
        for slot in 0..500 {
            let read = Read::Slot(account(38), U256::from(slot));
            if let Found::Word(word) = source.fetch(&[read]).unwrap().remove(0) {
                sum = sum.wrapping_add(word);
            }
        }
        sum
    });
    assert_ne!(sum.unwrap(), U256::ZERO);
    assert_eq!(node.requests.load(Ordering::Relaxed), 1);
}

#[test]
fn what_was_only_guessed_is_not_recorded() {
    let node = Arc::new(StoreNode::new());
    let right = |source: &dyn Source| {
        // With a zero in slot 1 it would go on to slot 2.
        let read = |slot| match source.fetch(&[Read::Slot(account(38), U256::from(slot))]) {
            Ok(found) => found[0].clone(),
            Err(error) => panic!("{error}"),
        };
        match read(1) {
            Found::Word(word) if word.is_zero() => read(2),
            found => found,
        }
    };
    let plain = Recorder::new(node.clone());
    right(&plain);
    let ahead = Arc::new(Recorder::new(kept(&node)));
    let source: Arc<dyn Source> = ahead.clone();
    run_ahead(&source, |source| right(&*source)).unwrap();
    assert_eq!(ahead.recording().encode(), plain.recording().encode());
    assert_eq!(ahead.size().slots, 1);
}

#[test]
fn code_that_a_machine_remembers_is_recorded_all_the_same() {
    let node = Arc::new(StoreNode::new());
    let ahead = Arc::new(Recorder::new(kept(&node)));
    let source: Arc<dyn Source> = ahead.clone();
    let mut remembered = None;
    let read = Read::Account(account(38));
    run_ahead(&source, |source| {
        let Ok(Found::Account(Some(found))) = source.fetch(&[read]).map(|found| found[0].clone())
        else {
            return;
        };
        if found.info.has_code() && remembered.is_none() {
            let code = Read::Code(found.info.code_hash, account(38));
            remembered = source.fetch(&[code]).ok().map(|_| code);
        }
    })
    .unwrap();
    run_ahead(&source, |source| source.fetch(&[read])).unwrap().unwrap();
    let recording = ahead.recording();
    assert!(recording.get(&remembered.expect("it has code")).is_some());
}

#[test]
fn a_source_that_keeps_nothing_is_read_one_by_one() {
    let node = Arc::new(StoreNode::new());
    let source: Arc<dyn Source> = node.clone();
    let steps = [Step::Slot(4), Step::SlotOfSelected(9), Step::Loop(6)];
    let found = run_ahead(&source, |source| run(&*source, &steps)).unwrap();
    assert_eq!(found, run(&*source, &steps));
}
