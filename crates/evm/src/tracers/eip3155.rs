//! One line of JSON per opcode: EIP-3155, as go-ethereum and evmone print it.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use zvm_core::{B256, SpecId, hex};

use crate::{Executed, Outcome, Step, StepEnd, Tracer, opcode};

/// Writes an EIP-3155 trace to `W`.
///
/// Field order and formats are go-ethereum's, which differential fuzzers compare by: `refund` is
/// a plain number as in the EIP's examples, the summary's `output` has no `0x`. Memory and return
/// data are left out unless asked for. For calls, `gasCost` includes the gas handed to the callee;
/// for creations it does not. For an opcode that halts, `gasCost` is its static gas.
///
/// An execution cannot stop for a full disk, so a failed write is kept, silences the rest of the
/// trace, and comes out of [`finish`](Self::finish).
///
/// ```
/// use zvm_core::SpecId;
/// use zvm_evm::tracers::{Eip3155, Summary};
///
/// let mut trace = Eip3155::new(Vec::new(), SpecId::CANCUN);
/// // … execute with `&mut trace` …
/// trace.summary(&Summary { gas_used: 21_000, ..Summary::default() });
/// assert_eq!(trace.finish()?, b"{\"output\":\"\",\"gasUsed\":\"0x5208\"}\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Eip3155<W> {
    out: W,
    spec: SpecId,
    memory: bool,
    stack: bool,
    return_data: bool,
    pending: Option<Pending>,
    /// The line under way, up to the gas cost, which is known only after the opcode.
    head: String,
    /// What follows the gas cost.
    tail: String,
    failed: Option<io::Error>,
}

/// What the gas cost of the line under way is computed from.
#[derive(Clone, Copy, Debug)]
struct Pending {
    opcode: u8,
    gas: u64,
}

/// The last line of a trace. A field that is `None` is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary<'a> {
    /// Root of the state after the transaction.
    pub state_root: Option<B256>,
    /// What the outermost frame returned.
    pub output: &'a [u8],
    /// Gas paid for.
    pub gas_used: u64,
    /// Whether the transaction did what was expected of it.
    pub pass: Option<bool>,
    /// Rules used.
    pub fork: Option<SpecId>,
    /// How it ended, if not with success.
    pub failure: Option<Outcome>,
}

impl<'a> Summary<'a> {
    /// Output, gas and failure of an execution, the way `evm run` of go-ethereum ends.
    #[must_use]
    pub fn of(executed: &'a Executed) -> Self {
        Self {
            output: &executed.output,
            gas_used: executed.gas_used,
            failure: (!executed.is_success()).then_some(executed.outcome),
            ..Self::default()
        }
    }
}

impl<W: Write> Eip3155<W> {
    /// A trace to `out`, with mnemonics of `spec`. Many small writes are made: buffer files.
    pub fn new(out: W, spec: SpecId) -> Self {
        Self {
            out,
            spec,
            memory: false,
            stack: true,
            return_data: false,
            pending: None,
            head: String::new(),
            tail: String::new(),
            failed: None,
        }
    }

    /// Prints the whole memory in each line.
    #[must_use]
    pub fn with_memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Prints no stack: the field is `null`.
    #[must_use]
    pub fn without_stack(mut self) -> Self {
        self.stack = false;
        self
    }

    /// Prints what the last call returned in each line.
    #[must_use]
    pub fn with_return_data(mut self) -> Self {
        self.return_data = true;
        self
    }

    /// Writes the closing line.
    pub fn summary(&mut self, summary: &Summary<'_>) {
        self.head.clear();
        self.tail.clear();
        let line = &mut self.head;
        line.push('{');
        if let Some(root) = summary.state_root {
            put(line, format_args!("\"stateRoot\":\"{root}\","));
        }
        let output = hex::encode(summary.output);
        let gas_used = summary.gas_used;
        put(line, format_args!("\"output\":\"{output}\",\"gasUsed\":\"{gas_used:#x}\""));
        if let Some(pass) = summary.pass {
            put(line, format_args!(",\"pass\":{pass}"));
        }
        if let Some(fork) = summary.fork {
            put(line, format_args!(",\"fork\":\"{fork}\""));
        }
        match summary.failure {
            Some(Outcome::Revert) => put_error(line, "execution reverted"),
            Some(Outcome::Halt(halt)) => put_error(line, &halt.to_string()),
            Some(Outcome::Success(_)) | None => {}
        }
        line.push_str("}\n");
        self.write_line();
    }

    /// Flushes and gives the writer back, or the first error any write met.
    pub fn finish(mut self) -> io::Result<W> {
        match self.failed {
            Some(error) => Err(error),
            None => {
                self.out.flush()?;
                Ok(self.out)
            }
        }
    }

    fn write_line(&mut self) {
        if self.failed.is_none() {
            let Self { out, head, tail, .. } = self;
            let written =
                out.write_all(head.as_bytes()).and_then(|()| out.write_all(tail.as_bytes()));
            self.failed = written.err();
        }
    }
}

impl<W: Write> Tracer for Eip3155<W> {
    const STEPS: bool = true;

    fn step(&mut self, step: &Step<'_>) {
        if self.failed.is_some() {
            return;
        }
        let Step { pc, opcode, gas, .. } = *step;
        self.pending = Some(Pending { opcode, gas });

        self.head.clear();
        put(&mut self.head, format_args!("{{\"pc\":{pc},\"op\":{opcode},\"gas\":\"{gas:#x}\""));

        let line = &mut self.tail;
        line.clear();
        if self.memory {
            put(line, format_args!(",\"memory\":\"{}\"", hex::encode_prefixed(step.memory)));
        }
        put(line, format_args!(",\"memSize\":{},\"stack\":", step.memory.len()));
        if self.stack {
            line.push('[');
            for (i, word) in step.stack.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                put(line, format_args!("{comma}\"{word:#x}\""));
            }
            line.push(']');
        } else {
            line.push_str("null");
        }
        if self.return_data {
            let return_data = hex::encode_prefixed(step.return_data);
            put(line, format_args!(",\"returnData\":\"{return_data}\""));
        }
        let Step { depth, refund, .. } = *step;
        put(line, format_args!(",\"depth\":{depth},\"refund\":{refund},\"opName\":"));
        match opcode::name(opcode, self.spec) {
            Some(name) => put(line, format_args!("\"{name}\"")),
            None => put(line, format_args!("\"opcode {opcode:#x} not defined\"")),
        }
    }

    fn step_end(&mut self, end: &StepEnd<'_>) {
        let Some(Pending { opcode, gas }) = self.pending.take() else { return };
        let mut gas_cost = gas.saturating_sub(end.gas);
        if matches!(opcode, opcode::CREATE | opcode::CREATE2) {
            gas_cost = gas_cost.saturating_sub(end.child_gas);
        }
        if let Some(halt) = end.halt {
            gas_cost = opcode::static_gas(opcode, self.spec).into();
            put_error(&mut self.tail, &halt.to_string());
        }
        put(&mut self.head, format_args!(",\"gasCost\":\"{gas_cost:#x}\""));
        self.tail.push_str("}\n");
        self.write_line();
    }
}

fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = line.write_fmt(text);
}

fn put_error(line: &mut String, message: &str) {
    put(line, format_args!(",\"error\":{}", serde_json::Value::from(message)));
}

#[cfg(test)]
mod tests {
    use zvm_core::U256;

    use super::*;
    use crate::{Halt, SuccessReason, tracers::script};

    fn text(trace: Eip3155<Vec<u8>>) -> String {
        String::from_utf8(trace.finish().unwrap()).unwrap()
    }

    #[test]
    fn lines_are_those_of_go_ethereum() {
        // `evm --code 6040 --json run`
        let mut trace = Eip3155::new(Vec::new(), SpecId::LONDON);
        let start = Step { gas: 0x2540be400, opcode: opcode::PUSH1, ..script::STEP };
        trace.step(&start);
        trace.step_end(&StepEnd { gas: 0x2540be3fd, ..script::END });
        let stack = [U256::from(0x40)];
        trace.step(&Step { pc: 2, gas: 0x2540be3fd, opcode: 0, stack: &stack, ..script::STEP });
        trace.step_end(&StepEnd { gas: 0x2540be3fd, ..script::END });
        trace.summary(&Summary { gas_used: 3, ..Summary::default() });
        assert_eq!(
            text(trace),
            concat!(
                r#"{"pc":0,"op":96,"gas":"0x2540be400","gasCost":"0x3","memSize":0,"stack":[],"depth":1,"refund":0,"opName":"PUSH1"}"#,
                "\n",
                r#"{"pc":2,"op":0,"gas":"0x2540be3fd","gasCost":"0x0","memSize":0,"stack":["0x40"],"depth":1,"refund":0,"opName":"STOP"}"#,
                "\n",
                r#"{"output":"","gasUsed":"0x3"}"#,
                "\n",
            )
        );
    }

    #[test]
    fn memory_and_return_data_are_printed_on_demand() {
        let mut trace = Eip3155::new(Vec::new(), SpecId::LONDON).with_memory().with_return_data();
        let step = Step { opcode: 0x0c, memory: &[0xab; 32], return_data: &[1], ..script::STEP };
        trace.step(&step);
        let halt = Some(Halt::UndefinedOpcode(0x0c));
        trace.step_end(&StepEnd { halt, ..script::END });
        let line: serde_json::Value = serde_json::from_str(&text(trace)).unwrap();
        assert_eq!(line["memory"], format!("0x{}", "ab".repeat(32)));
        assert_eq!((&line["memSize"], &line["returnData"]), (&32.into(), &"0x01".into()));
        assert_eq!(
            (&line["opName"], &line["gasCost"]),
            (&"opcode 0xc not defined".into(), &"0x0".into())
        );
        assert_eq!(line["error"], "undefined opcode 0x0c");
    }

    #[test]
    fn gas_of_the_child_counts_for_calls_and_not_for_creations() {
        let cost = |opcode| {
            let mut trace = Eip3155::new(Vec::new(), SpecId::LONDON);
            trace.step(&Step { gas: 100_000, opcode, ..script::STEP });
            trace.step_end(&StepEnd { gas: 10_000, child_gas: 58_000, ..script::END });
            let line: serde_json::Value = serde_json::from_str(&text(trace)).unwrap();
            line["gasCost"].as_str().map(str::to_owned)
        };
        assert_eq!(cost(opcode::CALL), Some(format!("{:#x}", 90_000)));
        assert_eq!(cost(opcode::CREATE), Some(format!("{:#x}", 32_000)));
    }

    #[test]
    fn state_test_summary_has_the_fields_of_the_eip() {
        let mut trace = Eip3155::new(Vec::new(), SpecId::LONDON);
        trace.summary(&Summary {
            state_root: Some(B256::repeat_byte(0x11)),
            output: &[0x40],
            gas_used: 0x515c,
            pass: Some(true),
            fork: Some(SpecId::LONDON),
            failure: None,
        });
        let root = "11".repeat(32);
        assert_eq!(
            text(trace),
            format!(
                "{{\"stateRoot\":\"0x{root}\",\"output\":\"40\",\"gasUsed\":\"0x515c\",\"pass\":true,\"fork\":\"London\"}}\n"
            )
        );
    }

    #[test]
    fn failure_is_named_in_the_summary() {
        for (outcome, message) in [
            (Outcome::Revert, Some("execution reverted")),
            (Outcome::Halt(Halt::OutOfGas), Some("out of gas")),
            (Outcome::Success(SuccessReason::Stop), None),
        ] {
            let mut trace = Eip3155::new(Vec::new(), SpecId::LONDON);
            trace.summary(&Summary { failure: Some(outcome), ..Summary::default() });
            let line: serde_json::Value = serde_json::from_str(&text(trace)).unwrap();
            assert_eq!(line["error"].as_str(), message);
        }
    }

    #[test]
    fn failed_write_comes_out_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut trace = Eip3155::new(Full, SpecId::LONDON);
        for _ in 0..2 {
            trace.step(&script::STEP);
            trace.step_end(&script::END);
        }
        let error = trace.finish().map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
