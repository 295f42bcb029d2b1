//! Functions by signature, arguments from text, and the answers, reasons and events in words.

use alloy_dyn_abi::{DynSolType, DynSolValue, EventExt, Specifier};
use alloy_json_abi::{Event, Function, JsonAbi, Param};
use serde_json::{Map, Value, json};
use zvm::{Bytes, Log, RevertReason};

use crate::failure::usage;

/// Longest signature to read.
const SIGNATURE_LEN_MAX: usize = 4096;
/// Deepest nesting of tuples and arrays in a type.
const TYPE_DEPTH_MAX: usize = 16;
/// Most elements of a fixed array, all its levels multiplied.
const FIXED_ELEMENTS_MAX: usize = 1 << 16;

/// Finds the function that `text` means: a signature such as `balanceOf(address)(uint256)`, or only
/// a name where there is an ABI. What a signature leaves out is taken from the ABI.
pub(crate) fn function(text: &str, abi: Option<&JsonAbi>) -> anyhow::Result<Function> {
    let shown: String = text.chars().take(60).collect();
    let fault = |what: &str| usage(format!("function {shown:?}: {what}"));
    if text.len() > SIGNATURE_LEN_MAX {
        return Err(fault(&format!("longer than {SIGNATURE_LEN_MAX} characters")));
    }
    let text = text.trim();
    if !text.contains('(') {
        let Some(abi) = abi else {
            return Err(fault("expected a signature such as 'balanceOf(address)(uint256)'"));
        };
        return match abi.function(text).map(Vec::as_slice) {
            Some([function]) => Ok(function.clone()),
            Some(several) => {
                let signatures: Vec<_> = several.iter().map(Function::signature).collect();
                Err(fault(&format!("ambiguous, expected one of {}", signatures.join(", "))))
            }
            None => {
                let names: Vec<_> = abi.functions().map(|f| f.name.as_str()).collect();
                Err(fault(&format!("not in the ABI, expected one of {}", names.join(", "))))
            }
        };
    }
    // The parser would keep `payable` in the type and so in the selector.
    let text = text.replace("address payable", "address");
    let function = Function::parse(&with_returns(&text)).map_err(|_| {
        fault("no signature; expected a form such as 'balanceOf(address)(uint256)'")
    })?;
    for param in function.inputs.iter().chain(&function.outputs) {
        resolve(param).map_err(|what| fault(&what))?;
    }
    if function.outputs.is_empty()
        && let Some(known) = abi.and_then(|abi| abi.function_by_selector(function.selector()))
    {
        return Ok(known.clone());
    }
    Ok(function)
}

/// Puts the word `returns` between the two lists of the short form `f(…)(…)`.
fn with_returns(text: &str) -> String {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character == ')' && depth == 0 {
            let (call, rest) = text.split_at(at + 1);
            let rest = rest.trim_start();
            let word = if rest.starts_with('(') { " returns " } else { " " };
            return format!("{call}{word}{rest}").trim_end().to_owned();
        }
    }
    text.to_owned()
}

/// Encodes arguments given as text, without a selector.
pub(crate) fn encode_arguments(
    what: &str,
    params: &[Param],
    arguments: &[String],
) -> anyhow::Result<Vec<u8>> {
    if params.len() != arguments.len() {
        let types: Vec<_> = params.iter().map(|param| param.selector_type()).collect();
        let (expected, found) = (params.len(), arguments.len());
        let types = types.join(", ");
        return Err(usage(format!(
            "{what}: expected {expected} arguments ({types}), found {found}"
        )));
    }
    let mut values = Vec::with_capacity(params.len());
    for (index, (param, text)) in params.iter().zip(arguments).enumerate() {
        let value = resolve(param).and_then(|ty| ty.coerce_str(text).map_err(|e| last_line(&e)));
        values.push(value.map_err(|error| {
            let name = if param.name.is_empty() { "" } else { " " };
            let (place, ty) = (index + 1, param.selector_type());
            let shown: String = text.chars().take(80).collect();
            usage(format!(
                "{what}: argument {place} ({ty}{name}{}): {shown:?}: {error}",
                param.name
            ))
        })?);
    }
    Ok(DynSolValue::Tuple(values).abi_encode_params())
}

/// The library draws a picture of the place over several lines; what is wrong comes last.
fn last_line(error: &impl ToString) -> String {
    error.to_string().lines().last().unwrap_or_default().trim().to_owned()
}

/// Reads a list of values, as a function returns it.
pub(crate) fn decode(params: &[Param], data: &[u8]) -> Result<Vec<DynSolValue>, String> {
    let types = params.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
    match DynSolType::Tuple(types).abi_decode_params(data).map_err(|error| error.to_string())? {
        DynSolValue::Tuple(values) => Ok(values),
        single => Ok(vec![single]),
    }
}

/// The type of a parameter.
fn resolve(param: &Param) -> Result<DynSolType, String> {
    limited(&param.selector_type(), param)
}

/// The type called `name`, within limits: the decoder makes room for fixed arrays beforehand.
fn limited(name: &str, item: &impl Specifier<DynSolType>) -> Result<DynSolType, String> {
    fn elements(ty: &DynSolType, depth: usize) -> Option<usize> {
        if depth > TYPE_DEPTH_MAX {
            return None;
        }
        let count = match ty {
            DynSolType::Array(inner) => elements(inner, depth + 1)?,
            DynSolType::FixedArray(inner, len) => elements(inner, depth + 1)?.checked_mul(*len)?,
            DynSolType::Tuple(inner) => {
                let counts = inner.iter().map(|ty| elements(ty, depth + 1));
                counts.sum::<Option<usize>>()?
            }
            _ => 1,
        };
        (1..=FIXED_ELEMENTS_MAX).contains(&count).then_some(count)
    }

    let shown: String = name.chars().take(60).collect();
    // Depth is checked on the text, before anything recurses into the type.
    let depth = |part: &str| part.bytes().filter(|&byte| byte == b'[').count();
    if name.split([',', '(', ')']).any(|part| depth(part) > TYPE_DEPTH_MAX) {
        return Err(format!("type {shown:?}: arrays nested more than {TYPE_DEPTH_MAX} deep"));
    }
    let ty = item.resolve().map_err(|error| format!("type {shown:?}: {error}"))?;
    match elements(&ty, 0) {
        Some(_) => Ok(ty),
        None => Err(format!(
            "type {shown:?}: expected 1 to {FIXED_ELEMENTS_MAX} elements, nested up to {TYPE_DEPTH_MAX} deep"
        )),
    }
}

/// A value as Solidity would write it. Control characters are escaped: contracts choose them.
pub(crate) fn show(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue]| values.iter().map(show).collect::<Vec<_>>().join(", ");
    match value {
        DynSolValue::Bool(flag) => flag.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::FixedBytes(word, size) => {
            zvm::hex::encode_prefixed(word.get(..*size).unwrap_or_default())
        }
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Function(function) => function.to_string(),
        DynSolValue::Bytes(bytes) => zvm::hex::encode_prefixed(bytes),
        DynSolValue::String(text) => format!("{text:?}"),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => {
            format!("[{}]", list(values))
        }
        DynSolValue::Tuple(values) => format!("({})", list(values)),
    }
}

/// A value for machines. Numbers are decimal strings: JSON readers lose digits beyond 2^53.
pub(crate) fn to_json(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(flag) => json!(flag),
        DynSolValue::String(text) => json!(text),
        DynSolValue::Array(values)
        | DynSolValue::FixedArray(values)
        | DynSolValue::Tuple(values) => values.iter().map(to_json).collect(),
        plain => json!(show(plain)),
    }
}

/// Why a call reverted, with the names of the ABI.
pub(crate) fn revert_reason(output: &Bytes, abi: Option<&JsonAbi>) -> String {
    let reason = RevertReason::decode(output);
    if let RevertReason::Message(message) = &reason {
        return message.escape_debug().to_string();
    }
    let declared = match (&reason, abi) {
        (RevertReason::Custom(data), Some(abi)) => {
            data.split_first_chunk::<4>().and_then(|(selector, data)| {
                let error = abi.errors().find(|error| error.selector() == selector)?;
                let values = decode(&error.inputs, data).ok()?;
                let names = error.inputs.iter().map(|param| param.name.as_str());
                Some(format!("{}({})", error.name, show_named(names.zip(&values))))
            })
        }
        _ => None,
    };
    declared.unwrap_or_else(|| reason.to_string())
}

/// A log that an ABI explains.
pub(crate) struct Decoded {
    name: String,
    fields: Vec<(String, DynSolValue)>,
}

impl Decoded {
    /// The log as an event of `abi`, `None` if it is none of them.
    pub(crate) fn of(log: &Log, abi: Option<&JsonAbi>) -> Option<Self> {
        let event = abi?.events().find(|event| is_event(event, log))?;
        // Checked beforehand, because the decoder resolves types by itself.
        event
            .inputs
            .iter()
            .try_for_each(|input| limited(&input.selector_type(), input).map(drop))
            .ok()?;
        let decoded = event.decode_log(&log.data).ok()?;
        let (mut indexed, mut body) = (decoded.indexed.into_iter(), decoded.body.into_iter());
        let mut fields = Vec::with_capacity(event.inputs.len());
        for input in &event.inputs {
            let value = if input.indexed { indexed.next() } else { body.next() };
            fields.push((input.name.clone(), value?));
        }
        Some(Self { name: event.name.clone(), fields })
    }

    /// As in `Transfer(from: 0x…, value: 3)`.
    pub(crate) fn show(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value));
        format!("{}({})", self.name, show_named(fields))
    }

    /// Name and arguments.
    pub(crate) fn to_json(&self) -> Value {
        let fields: Map<_, _> =
            self.fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
        json!({ "name": self.name, "args": fields })
    }
}

fn is_event(event: &Event, log: &Log) -> bool {
    let topics = log.data.topics();
    let indexed = event.inputs.iter().filter(|input| input.indexed).count();
    !event.anonymous && topics.first() == Some(&event.selector()) && topics.len() == indexed + 1
}

fn show_named<'a>(fields: impl Iterator<Item = (&'a str, &'a DynSolValue)>) -> String {
    let named = fields.map(|(name, value)| match name {
        "" => show(value),
        name => format!("{name}: {}", show(value)),
    });
    named.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        function(text, None).unwrap_err().to_string()
    }

    #[test]
    fn signatures_of_both_forms_are_read() {
        for text in [
            "balanceOf(address)(uint256)",
            "balanceOf(address) (uint256)",
            "balanceOf(address) returns (uint256)",
            "function balanceOf(address owner) external view returns (uint256)",
        ] {
            let function = function(text, None).unwrap();
            assert_eq!(function.selector(), [0x70, 0xa0, 0x82, 0x31], "{text}");
            assert_eq!(function.outputs.len(), 1, "{text}");
        }
        assert_eq!(function("f((uint256,bool)[2])", None).unwrap().inputs.len(), 1);
        // Aliases count by their full names.
        assert_eq!(
            function("f(uint)", None).unwrap().selector(),
            function("f(uint256)", None).unwrap().selector()
        );
        assert_eq!(
            function("f(address payable)", None).unwrap().selector(),
            function("f(address)", None).unwrap().selector()
        );
    }

    #[test]
    fn bad_signatures_are_one_line() {
        for text in ["f", "f(", "f(uint257)", "f(uint256", "f)(", "()", "f(wat)", "f(uint256[0])"] {
            let message = fault(text);
            assert!(message.starts_with("function "), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn deep_and_huge_types_are_refused() {
        let deep =
            |open: &str, close: &str, n| format!("f({}uint256{})", open.repeat(n), close.repeat(n));
        for text in [
            deep("(", ")", 1000),
            deep("", "[]", 1000),
            deep("", "[2]", 17),
            deep("", "[]", 20_000),
            "f()(uint256[4294967295])".to_owned(),
            "f()(uint256[18446744073709551615][2])".to_owned(),
        ] {
            let message = fault(&text);
            assert!(message.len() < 400, "{message}");
        }
    }

    #[test]
    fn arguments_are_counted_and_named() {
        let f = function("transfer(address to,uint256)", None).unwrap();
        let encode = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|&text| text.to_owned()).collect();
            encode_arguments("transfer", &f.inputs, &arguments)
        };
        let to = "0x00000000000000000000000000000000000000b0";
        assert_eq!(encode(&[to, "3"]).unwrap().len(), 64);
        let message = encode(&[to]).unwrap_err().to_string();
        assert_eq!(message, "transfer: expected 2 arguments (address, uint256), found 1");
        let message = encode(&["0xb0", "3"]).unwrap_err().to_string();
        assert!(message.starts_with("transfer: argument 1 (address to): \"0xb0\": "), "{message}");
        let message = encode(&[to, "-3"]).unwrap_err().to_string();
        assert!(message.starts_with("transfer: argument 2 (uint256): \"-3\": "), "{message}");
    }

    #[test]
    fn strings_of_contracts_cannot_move_the_cursor() {
        let value = DynSolValue::String("\u{1b}[2J".to_owned());
        assert_eq!(show(&value), "\"\\u{1b}[2J\"");
    }
}
