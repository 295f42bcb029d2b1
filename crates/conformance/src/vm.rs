//! Cases of shape `vm`, the VMTests of old: one frame without a transaction, by Frontier rules.

use serde::{Deserialize, de::IgnoredAny};
use zvm_core::{Address, B256, BlockEnv, Bytes, SpecId, StateDiff};
use zvm_evm::{Config, Evm, Executed, Message, Outcome, Tracer};

use crate::{
    FixtureError, difference, logs,
    values::{Data, Short, Word},
    world::{Alloc, World},
};

/// A case as the file has it.
#[derive(Debug, Deserialize)]
struct Raw {
    env: Env,
    pre: Alloc,
    exec: Exec,
    gas: Option<Short>,
    post: Option<Alloc>,
    out: Option<Data>,
    logs: Option<B256>,
    #[serde(default)]
    callcreates: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_difficulty: Word,
    current_gas_limit: Short,
    current_number: Short,
    current_timestamp: Short,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    address: Address,
    caller: Address,
    code: Data,
    data: Data,
    gas: Short,
    gas_price: Word,
    origin: Address,
    value: Word,
}

/// A case ready to run.
#[derive(Debug)]
pub(crate) struct Case {
    block: BlockEnv,
    world: World,
    message: Message,
    /// `None`: the run must end in an exceptional halt.
    expected: Option<Expected>,
    has_callcreates: bool,
}

#[derive(Debug)]
struct Expected {
    gas: u64,
    post: Alloc,
    out: Bytes,
    logs: B256,
}

/// The hard fork whose rules VMTests follow.
pub(crate) const SPEC: SpecId = SpecId::FRONTIER;

impl Case {
    /// Reads a case from its JSON.
    pub(crate) fn parse(text: &str, whole: &str) -> Result<Self, FixtureError> {
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| FixtureError::json(&error, text, whole))?;
        let expected = match (raw.gas, raw.post, raw.out, raw.logs) {
            (Some(gas), Some(post), Some(out), Some(logs)) => {
                Some(Expected { gas: gas.0, post, out: out.0, logs })
            }
            (None, None, None, None) => None,
            _ => {
                return Err(FixtureError::Missing {
                    field: "gas, post, out or logs",
                    expected: "all four, or none for a run that halts",
                });
            }
        };
        let Exec { address, caller, code, data, gas, gas_price, origin, value } = raw.exec;
        let mut world = World::new(raw.pre);
        if caller != address {
            // A VMTest starts inside the frame: its value is already there. `Evm::call` moves it
            // first, so the state it reads is that of one step before.
            let balance =
                |address| world.info(address).map_or_else(Default::default, |i| i.balance);
            let before = (balance(address).wrapping_sub(value.0), balance(caller));
            world.set_balance(address, before.0);
            world.set_balance(caller, before.1.saturating_add(value.0));
        }
        Ok(Self {
            block: BlockEnv {
                number: raw.env.current_number.0,
                timestamp: raw.env.current_timestamp.0,
                beneficiary: raw.env.current_coinbase,
                gas_limit: raw.env.current_gas_limit.0,
                difficulty: raw.env.current_difficulty.0,
                ..BlockEnv::default()
            },
            world,
            message: Message {
                caller,
                address,
                origin,
                gas_price: gas_price.0,
                code: Some(code.0),
                data: data.0,
                value: value.0,
                gas: gas.0,
            },
            expected,
            has_callcreates: !raw.callcreates.is_empty(),
        })
    }

    /// Runs the case: what happened, and one line per thing that is not as expected, none if it
    /// passed.
    pub(crate) fn run<T: Tracer>(
        &self,
        evm: &mut Evm,
        tracer: &mut T,
    ) -> Result<(Executed, Vec<String>), String> {
        if self.has_callcreates {
            // No published case has any: calls would have to be recorded and not executed.
            return Err("callcreates is not empty, expected a run of one frame".to_owned());
        }
        let config = Config::new(SPEC).map_err(|error| error.to_string())?;
        let executed = evm
            .call(&self.message, &self.block, &config, &self.world, tracer)
            .map_err(|error| error.to_string())?;
        let faults = self.check(&executed);
        Ok((executed, faults))
    }

    /// Root of the state after a run that changed `diff`.
    pub(crate) fn root_after(&self, diff: &StateDiff) -> B256 {
        self.world.root_after(diff)
    }

    fn check(&self, executed: &Executed) -> Vec<String> {
        let Some(expected) = &self.expected else {
            return match executed.outcome {
                Outcome::Halt(_) => Vec::new(),
                outcome => vec![format!("ended with {outcome:?}, expected an exceptional halt")],
            };
        };
        if !executed.is_success() {
            return vec![format!("ended with {:?}, expected success", executed.outcome)];
        }
        let mut faults = Vec::new();
        let left = self.message.gas - executed.gas_used;
        if left != expected.gas {
            faults.push(format!("{left} gas left, expected {}", expected.gas));
        }
        if executed.output != expected.out {
            faults.push(format!("returned {}, expected {}", executed.output, expected.out));
        }
        let logs_hash = logs::hash(&executed.logs);
        if logs_hash != expected.logs {
            let count = executed.logs.len();
            faults.push(format!(
                "logs hash {logs_hash} of {count} events, expected {}",
                expected.logs
            ));
        }
        let mut post = expected.post.clone();
        // The caller is there only to hand over the value; most cases do not list it.
        let caller = self.message.caller;
        if !post.0.iter().any(|(address, _)| *address == caller)
            && let Some(after) = self.world.after(&executed.diff, caller)
            && after.info.is_empty()
        {
            post.0.push((caller, Default::default()));
        }
        faults.extend(difference::between(&self.world, &executed.diff, post));
        faults
    }
}
