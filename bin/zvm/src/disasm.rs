//! `zvm disasm`: bytecode as instructions.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use zvm::{SpecId, U256, hex};
use zvm_evm::{Instruction, disassemble, opcode};

use crate::{engine::SpecArgs, output::Output, source::Code};

#[derive(Debug, Args)]
pub(crate) struct DisasmArgs {
    /// Bytecode: hex digits, a file of them, an artifact (its deployed code), or - for standard input
    code: String,
    #[command(flatten)]
    spec: SpecArgs,
    /// Print one JSON object per instruction
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DisasmArgs) -> anyhow::Result<ExitCode> {
    let code = Code::read("CODE", &args.code)?.into_runtime()?;
    let spec = args.spec.spec;
    let destinations: Vec<usize> =
        disassemble(&code).filter(|i| i.opcode == opcode::JUMPDEST).map(|i| i.pc).collect();
    let mut out = Output::stdout();
    let mut instructions = disassemble(&code).peekable();
    while let Some(instruction) = instructions.next() {
        let next = instructions.peek().map(|next| next.opcode);
        let jump = jump(&instruction, next).map(|to| Jump { to, destinations: &destinations });
        if args.json {
            out.json(&json!({
                "pc": instruction.pc,
                "opcode": instruction.opcode,
                "name": opcode::name(instruction.opcode, spec),
                "immediate": (opcode::immediate_len(instruction.opcode) > 0)
                    .then(|| hex::encode_prefixed(instruction.immediate)),
                "truncated": instruction.is_truncated(),
                "jumps_to": jump.as_ref().map(|jump| format!("{:#x}", jump.to)),
                "is_valid_jump": jump.as_ref().map(Jump::is_valid),
            }))?;
        } else {
            let text = text(&instruction, spec);
            let arrow = match jump {
                Some(jump) if jump.is_valid() => format!("-> {:#06x}", jump.to),
                Some(jump) => format!("-> {:#06x}, which is no JUMPDEST", jump.to),
                None => String::new(),
            };
            let line = format!("{:#06x}  {text:<24}  {arrow}", instruction.pc);
            out.line(line.trim_end())?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Where a static jump leads.
struct Jump<'a> {
    to: U256,
    destinations: &'a [usize],
}

impl Jump<'_> {
    fn is_valid(&self) -> bool {
        let to = usize::try_from(self.to);
        to.is_ok_and(|to| self.destinations.binary_search(&to).is_ok())
    }
}

/// The target if a push is followed by a jump.
fn jump(instruction: &Instruction<'_>, next: Option<u8>) -> Option<U256> {
    let is_jump = matches!(next, Some(opcode::JUMP | opcode::JUMPI));
    let is_push = (opcode::PUSH0..=opcode::PUSH32).contains(&instruction.opcode);
    (is_jump && is_push).then(|| U256::try_from_be_slice(instruction.immediate)).flatten()
}

/// The instruction by the names of `spec`; an opcode that `spec` lacks is not given a name.
fn text(instruction: &Instruction<'_>, spec: SpecId) -> String {
    let mut text = opcode::name(instruction.opcode, spec)
        .map_or_else(|| format!("UNDEFINED({:#04x})", instruction.opcode), ToOwned::to_owned);
    if !instruction.immediate.is_empty() {
        text.push(' ');
        text.push_str(&hex::encode_prefixed(instruction.immediate));
    }
    if instruction.is_truncated() {
        text.push_str(" (truncated)");
    }
    text
}
