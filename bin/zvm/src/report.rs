//! What an execution did, for people and for machines.

use std::process::ExitCode;

use alloy_json_abi::{Function, JsonAbi};
use serde_json::{Map, Value, json};
use zvm::{Executed, Outcome, SuccessReason, tracers::CallTracer};

use crate::{
    abi::{self, Decoded},
    failure::FAILED,
    output::Output,
};

/// An execution with what helps to explain it.
pub(crate) struct Report<'a> {
    pub(crate) executed: &'a Executed,
    /// Explains events and errors.
    pub(crate) abi: Option<&'a JsonAbi>,
    /// Explains the output.
    pub(crate) function: Option<&'a Function>,
    pub(crate) calls: Option<&'a CallTracer>,
    /// Lines of the command itself: name, text for people.
    pub(crate) extra: Vec<(&'static str, String)>,
    /// Whether the changes of storage are shown.
    pub(crate) with_storage: bool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(executed: &'a Executed) -> Self {
        Self {
            executed,
            abi: None,
            function: None,
            calls: None,
            extra: Vec::new(),
            with_storage: false,
        }
    }

    /// Prints the report. The exit code says whether the execution succeeded and answered as
    /// declared.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<ExitCode> {
        let mut out = Output::stdout();
        if as_json {
            out.json(&self.to_json())?;
        } else {
            self.print_text(&mut out)?;
        }
        out.finish()?;
        let is_good = self.executed.is_success() && !matches!(self.values(), Some(Err(_)));
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    /// `None` where the output is empty or nobody knows its types; else the values or what is wrong.
    fn values(&self) -> Option<Result<Vec<alloy_dyn_abi::DynSolValue>, String>> {
        let outputs = &self.function?.outputs;
        (self.executed.is_success() && !outputs.is_empty())
            .then(|| abi::decode(outputs, &self.executed.output))
    }

    fn reason(&self) -> Option<String> {
        match self.executed.outcome {
            Outcome::Success(_) => None,
            Outcome::Revert => Some(abi::revert_reason(&self.executed.output, self.abi)),
            Outcome::Halt(halt) => Some(halt.to_string()),
        }
    }

    fn print_text(&self, out: &mut Output) -> std::io::Result<()> {
        let executed = self.executed;
        out.field(
            "status",
            match (executed.outcome, self.reason()) {
                (Outcome::Success(SuccessReason::Stop), _) => "success (stop)".to_owned(),
                (Outcome::Success(SuccessReason::Return), _) => "success (return)".to_owned(),
                (Outcome::Success(SuccessReason::SelfDestruct), _) => {
                    "success (selfdestruct)".to_owned()
                }
                (Outcome::Revert, reason) => format!("reverted: {}", reason.unwrap_or_default()),
                (Outcome::Halt(_), reason) => format!("halted: {}", reason.unwrap_or_default()),
            },
        )?;
        let refund = match executed.gas_refunded {
            0 => String::new(),
            gas => format!(" (after {gas} refunded)"),
        };
        out.field("gas used", format!("{}{refund}", executed.gas_used))?;
        match self.values() {
            Some(Ok(values)) => {
                for value in &values {
                    out.field("result", abi::show(value))?;
                }
            }
            Some(Err(error)) => {
                out.field("output", executed.output.to_string())?;
                let hint = if executed.output.is_empty() { "; is there a contract?" } else { "" };
                out.field("", format!("(not as declared: {error}{hint})"))?;
            }
            None if executed.created.is_some() => {}
            None => out.field("output", executed.output.to_string())?,
        }
        for (name, text) in &self.extra {
            out.field(name, text)?;
        }
        for log in &executed.logs {
            match Decoded::of(log, self.abi) {
                Some(event) => out.field("event", event.show())?,
                None => {
                    out.field("log", format!("{} {}", log.address, log.data.data))?;
                    for topic in log.data.topics() {
                        out.field("  topic", topic.to_string())?;
                    }
                }
            }
        }
        if self.with_storage {
            for (address, account) in &executed.diff.accounts {
                for (slot, word) in &account.storage {
                    let change =
                        format!("{address} [{slot:#x}] {:#x} -> {:#x}", word.old, word.new);
                    out.field("storage", change)?;
                }
            }
        }
        if let Some(calls) = self.calls {
            out.line(format!("\n{}", calls.to_string().trim_end()))?;
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Value {
        let executed = self.executed;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put(
            "status",
            json!(match executed.outcome {
                Outcome::Success(_) => "success",
                Outcome::Revert => "revert",
                Outcome::Halt(_) => "halt",
            }),
        );
        if let Some(reason) = self.reason() {
            put("reason", json!(reason));
        }
        put("gas_used", json!(executed.gas_used));
        put("gas_refunded", json!(executed.gas_refunded));
        put("output", json!(executed.output));
        match self.values() {
            Some(Ok(values)) => {
                put("result", values.iter().map(abi::to_json).collect());
            }
            Some(Err(error)) => {
                put("result_error", json!(error));
            }
            None => {}
        }
        for (name, text) in &self.extra {
            put(&name.replace(' ', "_"), json!(text));
        }
        let logs = executed.logs.iter().map(|log| {
            let mut fields = json!({
                "address": log.address,
                "topics": log.data.topics(),
                "data": log.data.data,
            });
            if let Some(event) = Decoded::of(log, self.abi) {
                fields["event"] = event.to_json();
            }
            fields
        });
        put("logs", logs.collect());
        put("diff", json!(executed.diff));
        if let Some(calls) = self.calls {
            put("calls", calls.roots().map(|call| json!(call)).collect());
        }
        Value::Object(fields)
    }
}
