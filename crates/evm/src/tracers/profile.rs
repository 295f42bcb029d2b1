//! Where the gas goes: by opcode, by contract, and by path of calls.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt::Write as _,
};

use foldhash::fast::FixedState;
use zvm_core::Address;

use crate::{CallEnd, CallKind, CallStart, Step, StepEnd, Tracer, opcode};

/// Adds up gas over one or more executions.
///
/// Every unit a frame uses is counted once: with the opcode that spent it, or with the frame where
/// no opcode did (precompiles, deployed code, gas burnt by a halt). So all of it together is the
/// gas of the outermost frames; the intrinsic gas of transactions is outside.
#[derive(Clone, Debug, Default)]
pub struct GasProfile {
    /// Parents before children.
    pub(super) nodes: Vec<Node>,
    index: HashMap<(Option<usize>, Label), usize, FixedState>,
    open: Vec<OpenFrame>,
    step: Option<(usize, u64)>,
    names: BTreeMap<Address, String>,
}

/// A place in the tree of calls: a frame, or an opcode as a leaf of one.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    pub(super) label: Label,
    /// Gas spent here and not below.
    pub(super) gas: u64,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Label {
    Frame { code_address: Address, is_create: bool },
    Opcode(u8),
}

#[derive(Clone, Copy, Debug)]
struct OpenFrame {
    node: usize,
    /// Gas of its opcodes and of the frames below.
    accounted: u64,
}

/// What one opcode cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpcodeGas {
    /// The opcode.
    pub opcode: u8,
    /// How often it ran.
    pub count: u64,
    /// Gas in sum, without what calls and creations handed on.
    pub gas: u64,
}

/// What the code of one account cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractGas {
    /// Account the code belongs to; for initcode, the account it creates.
    pub address: Address,
    /// How often it was entered.
    pub calls: u64,
    /// Gas in sum, without that of the frames it opened.
    pub gas: u64,
}

impl GasProfile {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `address` as `name` in folded stacks and flame graphs.
    pub fn set_name(&mut self, address: Address, name: impl Into<String>) {
        // A semicolon or a line break would look like a frame of its own.
        self.names.insert(address, name.into().replace([';', '\n', '\r'], "_"));
    }

    /// Gas by opcode, dearest first.
    #[must_use]
    pub fn opcodes(&self) -> Vec<OpcodeGas> {
        let mut sums = BTreeMap::<u8, (u64, u64)>::new();
        for node in &self.nodes {
            if let Label::Opcode(opcode) = node.label {
                let (count, gas) = sums.entry(opcode).or_default();
                *count += node.count;
                *gas += node.gas;
            }
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(opcode, (count, gas))| OpcodeGas { opcode, count, gas })
            .collect();
        sums.sort_by_key(|sum| std::cmp::Reverse(sum.gas));
        sums
    }

    /// Gas by contract, dearest first.
    #[must_use]
    pub fn contracts(&self) -> Vec<ContractGas> {
        let mut sums = BTreeMap::<Address, (u64, u64)>::new();
        for node in &self.nodes {
            let frame = match node.label {
                Label::Frame { .. } => Some(node),
                Label::Opcode(_) => node.parent.map(|parent| &self.nodes[parent]),
            };
            if let Some(Node { label: Label::Frame { code_address, .. }, .. }) = frame {
                let (calls, gas) = sums.entry(*code_address).or_default();
                *gas += node.gas;
                if matches!(node.label, Label::Frame { .. }) {
                    *calls += node.count;
                }
            }
        }
        let mut sums: Vec<_> = sums
            .into_iter()
            .map(|(address, (calls, gas))| ContractGas { address, calls, gas })
            .collect();
        sums.sort_by_key(|sum| std::cmp::Reverse(sum.gas));
        sums
    }

    /// Folded stacks, the input of flame-graph tools: one line `frame;frame;OPCODE gas` per path,
    /// sorted.
    #[must_use]
    pub fn folded(&self) -> String {
        let mut lines: Vec<_> = (0..self.nodes.len())
            .filter(|&node| self.nodes[node].gas != 0)
            .map(|node| (self.path(node), self.nodes[node].gas))
            .collect();
        lines.sort();
        lines.into_iter().fold(String::new(), |mut text, (path, gas)| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{path} {gas}");
            text
        })
    }

    /// What a node is called in outputs.
    pub(super) fn name(&self, label: Label) -> String {
        match label {
            Label::Frame { code_address, is_create } => {
                let name = self
                    .names
                    .get(&code_address)
                    .map_or_else(|| code_address.to_string(), Clone::clone);
                if is_create { format!("create {name}") } else { name }
            }
            Label::Opcode(op) => opcode::OPCODES[usize::from(op)]
                .map_or_else(|| format!("{op:#04x}"), |info| info.name.to_owned()),
        }
    }

    fn path(&self, node: usize) -> String {
        let mut names = Vec::new();
        let mut next = Some(node);
        while let Some(node) = next {
            names.push(self.name(self.nodes[node].label));
            next = self.nodes[node].parent;
        }
        names.reverse();
        names.join(";")
    }

    fn node(&mut self, parent: Option<usize>, label: Label) -> usize {
        match self.index.entry((parent, label)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.nodes.push(Node { parent, label, gas: 0, count: 0 });
                *entry.insert(self.nodes.len() - 1)
            }
        }
    }
}

impl Tracer for GasProfile {
    const STEPS: bool = true;

    fn enter(&mut self, call: &CallStart<'_>) {
        let is_create = matches!(call.kind, CallKind::Create | CallKind::Create2);
        let label = Label::Frame { code_address: call.code_address, is_create };
        let node = self.node(self.open.last().map(|frame| frame.node), label);
        self.nodes[node].count += 1;
        self.open.push(OpenFrame { node, accounted: 0 });
    }

    fn step(&mut self, step: &Step<'_>) {
        let parent = self.open.last().map(|frame| frame.node);
        let node = self.node(parent, Label::Opcode(step.opcode));
        self.nodes[node].count += 1;
        self.step = Some((node, step.gas));
    }

    fn step_end(&mut self, end: &StepEnd<'_>) {
        let Some((node, before)) = self.step.take() else { return };
        // What a halt burns is not the price of its opcode: it goes to the frame.
        if end.halt.is_none() {
            let gas = before.saturating_sub(end.gas).saturating_sub(end.child_gas);
            self.nodes[node].gas += gas;
            if let Some(frame) = self.open.last_mut() {
                frame.accounted += gas;
            }
        }
    }

    fn exit(&mut self, end: &CallEnd<'_>) {
        let Some(frame) = self.open.pop() else { return };
        self.nodes[frame.node].gas += end.gas_used.saturating_sub(frame.accounted);
        if let Some(parent) = self.open.last_mut() {
            parent.accounted += end.gas_used;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Halt, Outcome, tracers::script};

    const ROUTER: Address = Address::repeat_byte(0xa1);
    const TOKEN: Address = Address::repeat_byte(0xb2);

    fn step(profile: &mut GasProfile, opcode: u8, before: u64, end: StepEnd<'_>) {
        profile.step(&Step { opcode, gas: before, ..script::STEP });
        profile.step_end(&end);
    }

    /// The router pushes twice and calls the token, which stores and halts in a second frame.
    pub(in crate::tracers) fn nested() -> GasProfile {
        let mut profile = GasProfile::new();
        profile.set_name(TOKEN, "Token");
        profile.enter(&CallStart { code_address: ROUTER, gas: 100_000, ..script::CALL });
        step(&mut profile, opcode::PUSH1, 100_000, StepEnd { gas: 99_997, ..script::END });
        step(&mut profile, opcode::PUSH1, 99_997, StepEnd { gas: 99_994, ..script::END });
        // 2600 for the cold account, 50,000 handed on.
        let end = StepEnd { gas: 47_394, child_gas: 50_000, ..script::END };
        step(&mut profile, opcode::CALL, 99_994, end);
        profile.enter(&CallStart { code_address: TOKEN, gas: 50_000, depth: 2, ..script::CALL });
        step(&mut profile, opcode::SSTORE, 50_000, StepEnd { gas: 27_900, ..script::END });
        profile.exit(&CallEnd { gas_used: 22_100, ..script::EXIT });
        let end = StepEnd { gas: 70_194, child_gas: 5_000, ..script::END };
        step(&mut profile, opcode::CALL, 75_294, end);
        profile.enter(&CallStart { code_address: TOKEN, gas: 5_000, depth: 2, ..script::CALL });
        let halt = Some(Halt::InvalidOpcode);
        step(&mut profile, opcode::INVALID, 5_000, StepEnd { halt, ..script::END });
        let outcome = Outcome::Halt(Halt::InvalidOpcode);
        profile.exit(&CallEnd { gas_used: 5_000, outcome, ..script::EXIT });
        profile.exit(&CallEnd { gas_used: 29_806, ..script::EXIT });
        profile
    }

    #[test]
    fn folded_stacks_add_up_to_the_gas_of_the_root() {
        let folded = nested().folded();
        let router = ROUTER.to_string();
        assert_eq!(
            folded.lines().collect::<Vec<_>>(),
            [
                format!("{router};CALL 2700"),
                format!("{router};PUSH1 6"),
                format!("{router};Token 5000"),
                format!("{router};Token;SSTORE 22100"),
            ]
        );
        let sum: u64 =
            folded.lines().map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 29_806);
    }

    #[test]
    fn opcodes_are_counted_without_the_gas_handed_on() {
        assert_eq!(
            nested().opcodes(),
            [
                OpcodeGas { opcode: opcode::SSTORE, count: 1, gas: 22_100 },
                OpcodeGas { opcode: opcode::CALL, count: 2, gas: 2_700 },
                OpcodeGas { opcode: opcode::PUSH1, count: 2, gas: 6 },
                OpcodeGas { opcode: opcode::INVALID, count: 1, gas: 0 },
            ]
        );
    }

    #[test]
    fn contracts_are_charged_for_their_own_frames() {
        assert_eq!(
            nested().contracts(),
            [
                ContractGas { address: TOKEN, calls: 2, gas: 27_100 },
                ContractGas { address: ROUTER, calls: 1, gas: 2_706 },
            ]
        );
    }

    #[test]
    fn names_cannot_break_the_format() {
        let mut profile = nested();
        profile.set_name(ROUTER, "a;b\nc");
        assert!(profile.folded().starts_with("a_b_c;CALL 2700\n"));
    }
}
