//! Who called whom: the tree of frames.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use zvm_core::{Address, Bytes, Log, U256, hex};

use crate::{CallEnd, CallKind, CallStart, Outcome, SuccessReason, Tracer};

/// Records the tree of frames of an execution.
///
/// Shown, it is one line per frame, indented by depth; serialised, it has the shape of
/// go-ethereum's `callTracer`.
#[derive(Clone, Debug, Default)]
pub struct CallTracer {
    /// In order of entry, so that a frame's descendants directly follow it.
    frames: Vec<CallFrame>,
    /// Frames not yet left, outermost first.
    open: Vec<OpenFrame>,
}

#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    index: usize,
    /// Calls made so far.
    calls: u64,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFrame {
    /// How it was opened; `None` for the transfer a `SELFDESTRUCT` makes, which is listed like a
    /// call.
    pub kind: Option<CallKind>,
    /// Depth; the transaction's own frame is 1.
    pub depth: usize,
    /// Account that made the call. For `DELEGATECALL`, the one whose storage is worked on.
    pub from: Address,
    /// Account called, created or, for `SELFDESTRUCT`, given the balance.
    pub to: Address,
    /// Wei.
    pub value: U256,
    /// Gas of the frame.
    pub gas: u64,
    /// Gas it used, with all its descendants.
    pub gas_used: u64,
    /// Calldata or initcode.
    pub input: Bytes,
    /// What it returned; for a creation, the deployed code.
    pub output: Bytes,
    /// How it ended.
    pub outcome: Outcome,
    /// Events it emitted itself; none if it or a frame around it was undone.
    pub logs: Vec<CallLog>,
    /// Frames below it, direct or not: so many entries after it belong to it.
    descendants: usize,
}

/// An event with its place among the calls of its frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallLog {
    /// The event.
    #[serde(flatten)]
    pub log: Log,
    /// How many calls of the frame came before.
    #[serde(serialize_with = "hex_number")]
    pub position: u64,
}

/// A frame with what is below it.
#[derive(Clone, Copy, Debug)]
pub struct CallNode<'a> {
    /// The frame, then its descendants in order of entry. Never empty.
    frames: &'a [CallFrame],
}

impl CallTracer {
    /// Nothing called yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All frames in order of entry; [`CallFrame::depth`] says where one belongs.
    #[must_use]
    pub fn frames(&self) -> &[CallFrame] {
        &self.frames
    }

    /// The outermost frames: one per execution the tracer has watched.
    pub fn roots(&self) -> impl Iterator<Item = CallNode<'_>> {
        siblings(&self.frames)
    }

    fn open(&mut self, frame: CallFrame) {
        if let Some(parent) = self.open.last_mut() {
            parent.calls += 1;
        }
        self.open.push(OpenFrame { index: self.frames.len(), calls: 0 });
        self.frames.push(frame);
    }

    fn close(&mut self) -> Option<&mut CallFrame> {
        let OpenFrame { index, .. } = self.open.pop()?;
        self.frames[index].descendants = self.frames.len() - index - 1;
        Some(&mut self.frames[index])
    }
}

impl Tracer for CallTracer {
    fn enter(&mut self, call: &CallStart<'_>) {
        let (from, to) = match call.kind {
            // The caller shown to the callee is the caller's caller.
            CallKind::DelegateCall => (call.address, call.code_address),
            CallKind::CallCode => (call.caller, call.code_address),
            _ => (call.caller, call.address),
        };
        self.open(CallFrame {
            kind: Some(call.kind),
            depth: call.depth,
            from,
            to,
            value: call.value,
            gas: call.gas,
            gas_used: 0,
            input: Bytes::copy_from_slice(call.input),
            output: Bytes::new(),
            outcome: Outcome::Success(SuccessReason::Stop),
            logs: Vec::new(),
            descendants: 0,
        });
    }

    fn exit(&mut self, end: &CallEnd<'_>) {
        let Some(&OpenFrame { index, .. }) = self.open.last() else { return };
        if !matches!(end.outcome, Outcome::Success(_)) {
            self.frames[index..].iter_mut().for_each(|frame| frame.logs.clear());
        }
        let Some(frame) = self.close() else { return };
        frame.gas_used = end.gas_used;
        frame.output = Bytes::copy_from_slice(end.output);
        frame.outcome = end.outcome;
    }

    fn log(&mut self, log: &Log) {
        let Some(&OpenFrame { index, calls: position }) = self.open.last() else { return };
        self.frames[index].logs.push(CallLog { log: log.clone(), position });
    }

    fn self_destruct(&mut self, address: Address, beneficiary: Address, value: U256) {
        let depth = self.open.last().map_or(1, |parent| self.frames[parent.index].depth + 1);
        self.open(CallFrame {
            kind: None,
            depth,
            from: address,
            to: beneficiary,
            value,
            gas: 0,
            gas_used: 0,
            input: Bytes::new(),
            output: Bytes::new(),
            outcome: Outcome::Success(SuccessReason::Stop),
            logs: Vec::new(),
            descendants: 0,
        });
        self.close();
    }
}

impl fmt::Display for CallTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frames.iter().try_for_each(|frame| writeln!(f, "{frame}"))
    }
}

impl CallFrame {
    /// The mnemonic that opened it.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind.map_or("SELFDESTRUCT", CallKind::name)
    }

    /// Why it failed: the halt, or `execution reverted`.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match self.outcome {
            Outcome::Success(_) => None,
            Outcome::Revert => Some("execution reverted".to_owned()),
            Outcome::Halt(halt) => Some(halt.to_string()),
        }
    }

    /// The message of a revert by `Error(string)`, as Solidity's `require` makes it.
    #[must_use]
    pub fn revert_reason(&self) -> Option<&str> {
        (self.outcome == Outcome::Revert).then(|| error_string(&self.output)).flatten()
    }
}

impl fmt::Display for CallFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, value, gas, gas_used, .. } = self;
        let indent = 2 * self.depth.saturating_sub(1);
        write!(f, "{:indent$}{} {from} → {to}", "", self.kind_name())?;
        if !value.is_zero() {
            write!(f, " {value} wei")?;
        }
        if self.kind.is_none() {
            return Ok(());
        }
        write!(f, " [{gas_used} of {gas} gas]")?;
        if !self.input.is_empty() {
            write!(f, " {}", Excerpt(&self.input))?;
        }
        match (self.error(), self.revert_reason()) {
            (Some(error), Some(reason)) => write!(f, " ✗ {error}: {reason:?}"),
            (Some(error), None) => write!(f, " ✗ {error}"),
            (None, _) if !self.output.is_empty() => write!(f, " ⇒ {}", Excerpt(&self.output)),
            (None, _) => Ok(()),
        }
    }
}

/// Bytes as hex, cut after the first 36: a selector and one word.
struct Excerpt<'a>(&'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..36) {
            Some(start) if self.0.len() > 36 => {
                write!(f, "{}… ({} bytes)", hex::encode_prefixed(start), self.0.len())
            }
            _ => f.write_str(&hex::encode_prefixed(self.0)),
        }
    }
}

impl<'a> CallNode<'a> {
    /// The frame itself.
    #[must_use]
    pub fn frame(&self) -> &'a CallFrame {
        &self.frames[0]
    }

    /// The calls it made, in order.
    pub fn calls(&self) -> impl Iterator<Item = CallNode<'a>> + use<'a> {
        siblings(&self.frames[1..])
    }
}

/// Cuts frames in order of entry into subtrees.
fn siblings(mut frames: &[CallFrame]) -> impl Iterator<Item = CallNode<'_>> {
    std::iter::from_fn(move || {
        let size = 1 + frames.first()?.descendants;
        let (subtree, rest) = frames.split_at_checked(size)?;
        frames = rest;
        Some(CallNode { frames: subtree })
    })
}

impl Serialize for CallNode<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let frame = self.frame();
        let mut fields = serializer.serialize_struct("CallFrame", 13)?;
        fields.serialize_field("type", frame.kind_name())?;
        fields.serialize_field("from", &frame.from)?;
        fields.serialize_field("to", &frame.to)?;
        if frame.kind != Some(CallKind::StaticCall) {
            fields.serialize_field("value", &frame.value)?;
        }
        fields.serialize_field("gas", &format_args!("{:#x}", frame.gas))?;
        fields.serialize_field("gasUsed", &format_args!("{:#x}", frame.gas_used))?;
        fields.serialize_field("input", &frame.input)?;
        if !frame.output.is_empty() {
            fields.serialize_field("output", &frame.output)?;
        }
        if let Some(error) = frame.error() {
            fields.serialize_field("error", &error)?;
        }
        if let Some(reason) = frame.revert_reason() {
            fields.serialize_field("revertReason", reason)?;
        }
        if self.frames.len() > 1 {
            fields.serialize_field("calls", &Calls(*self))?;
        }
        if !frame.logs.is_empty() {
            fields.serialize_field("logs", &frame.logs)?;
        }
        fields.end()
    }
}

struct Calls<'a>(CallNode<'a>);

impl Serialize for Calls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.calls())
    }
}

fn hex_number<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}

/// Decodes `Error(string)`: selector, offset 32, length, bytes.
fn error_string(output: &[u8]) -> Option<&str> {
    let arguments = output.strip_prefix(&[0x08, 0xc3, 0x79, 0xa0])?;
    let word = |at: usize| -> Option<usize> {
        U256::from_be_slice(arguments.get(at..at.checked_add(32)?)?).try_into().ok()
    };
    let start = word(0)?;
    let text = arguments.get(start.checked_add(32)?..)?.get(..word(start)?)?;
    str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zvm_core::{B256, LogData, bytes};

    use super::*;
    use crate::{Halt, tracers::script};

    const A: Address = Address::repeat_byte(0xa1);
    const B: Address = Address::repeat_byte(0xb2);
    const C: Address = Address::repeat_byte(0xc3);

    fn log_of(address: Address) -> Log {
        Log { address, data: LogData::new_unchecked(vec![B256::ZERO], bytes!("01")) }
    }

    /// A calls B; B calls C, which logs, and delegates to C, which logs and reverts; B logs.
    fn nested() -> CallTracer {
        let mut tracer = CallTracer::new();
        let root = CallStart { caller: A, address: B, code_address: B, ..script::CALL };
        tracer.enter(&CallStart { value: U256::from(5), gas: 100, input: &[1, 2], ..root });
        let call = CallStart { caller: B, address: C, code_address: C, depth: 2, ..root };
        tracer.enter(&CallStart { gas: 60, kind: CallKind::StaticCall, ..call });
        tracer.log(&log_of(C));
        tracer.exit(&CallEnd { gas_used: 20, output: &[7], ..script::EXIT });
        let kind = CallKind::DelegateCall;
        tracer.enter(&CallStart { kind, caller: A, address: B, gas: 50, ..call });
        tracer.log(&log_of(B));
        tracer.exit(&CallEnd { outcome: Outcome::Revert, gas_used: 30, ..script::EXIT });
        tracer.log(&log_of(B));
        tracer.self_destruct(B, A, U256::from(9));
        tracer.exit(&CallEnd { gas_used: 80, ..script::EXIT });
        tracer
    }

    #[test]
    fn json_has_the_shape_of_the_call_tracer_of_go_ethereum() {
        let tracer = nested();
        let roots: Vec<_> = tracer.roots().collect();
        assert_eq!(roots.len(), 1);
        let topics = [B256::ZERO];
        assert_eq!(
            serde_json::to_value(roots[0]).unwrap(),
            json!({
                "type": "CALL", "from": A, "to": B, "value": "0x5",
                "gas": "0x64", "gasUsed": "0x50", "input": "0x0102",
                "calls": [
                    {
                        "type": "STATICCALL", "from": B, "to": C,
                        "gas": "0x3c", "gasUsed": "0x14", "input": "0x", "output": "0x07",
                        "logs": [{"address": C, "topics": topics, "data": "0x01", "position": "0x0"}],
                    },
                    {
                        "type": "DELEGATECALL", "from": B, "to": C, "value": "0x0",
                        "gas": "0x32", "gasUsed": "0x1e", "input": "0x",
                        "error": "execution reverted",
                    },
                    {
                        "type": "SELFDESTRUCT", "from": B, "to": A, "value": "0x9",
                        "gas": "0x0", "gasUsed": "0x0", "input": "0x",
                    },
                ],
                "logs": [{"address": B, "topics": topics, "data": "0x01", "position": "0x2"}],
            })
        );
    }

    #[test]
    fn display_indents_by_depth() {
        let tree = nested().to_string().replace(&A.to_string(), "A");
        let tree = tree.replace(&B.to_string(), "B").replace(&C.to_string(), "C");
        assert_eq!(
            tree.lines().collect::<Vec<_>>(),
            [
                "CALL A → B 5 wei [80 of 100 gas] 0x0102",
                "  STATICCALL B → C [20 of 60 gas] ⇒ 0x07",
                "  DELEGATECALL B → C [30 of 50 gas] ✗ execution reverted",
                "  SELFDESTRUCT B → A 9 wei",
            ]
        );
    }

    #[test]
    fn logs_below_a_failed_frame_are_dropped() {
        let mut tracer = CallTracer::new();
        tracer.enter(&script::CALL);
        tracer.enter(&CallStart { depth: 2, ..script::CALL });
        tracer.log(&log_of(A));
        tracer.exit(&script::EXIT);
        tracer.exit(&CallEnd { outcome: Outcome::Halt(Halt::OutOfGas), ..script::EXIT });
        assert!(tracer.frames().iter().all(|frame| frame.logs.is_empty()));
        assert_eq!(tracer.frames()[0].error().as_deref(), Some("out of gas"));
    }

    #[test]
    fn revert_reason_is_decoded() {
        let mut output = vec![0x08, 0xc3, 0x79, 0xa0];
        output.extend(U256::from(32).to_be_bytes::<32>());
        output.extend(U256::from(8).to_be_bytes::<32>());
        output.extend(b"too poor");
        let reason = |output: &[u8]| {
            let mut tracer = CallTracer::new();
            tracer.enter(&script::CALL);
            tracer.exit(&CallEnd { outcome: Outcome::Revert, output, ..script::EXIT });
            tracer.frames()[0].revert_reason().map(str::to_owned)
        };
        assert_eq!(reason(&output).as_deref(), Some("too poor"));
        // Truncated or absurd data gives none.
        for len in 0..output.len() {
            assert_eq!(reason(&output[..len]), None);
        }
        output[4..36].fill(0xff);
        assert_eq!(reason(&output), None);
    }

    #[test]
    fn deepest_tree_serialises() {
        let mut tracer = CallTracer::new();
        for depth in 1..=1025 {
            tracer.enter(&CallStart { depth, ..script::CALL });
        }
        for _ in 1..=1025 {
            tracer.exit(&script::EXIT);
        }
        let root = tracer.roots().next().unwrap();
        let json = serde_json::to_string(&root).unwrap();
        assert_eq!(json.matches("\"CALL\"").count(), 1025);
    }
}
