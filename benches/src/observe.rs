//! What can be seen of an execution, in words that every engine can answer in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use zvm_core::{AccountInfo, Address, Bytes, Log, U256};

/// What an engine made of a [`Case`](crate::Case).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The transaction breaks a rule.
    Invalid(Rule),
    /// It ran.
    Ran(Box<Ran>),
    /// The engine broke its own promises; never right.
    Broken(String),
}

/// What came of a transaction that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub ending: Ending,
    /// Gas paid for, after refunds.
    pub gas_used: u64,
    /// Gas refunded, if the engine says so.
    pub refund: Option<u64>,
    /// What it returned; for a creation, the deployed code. Empty for a halt.
    pub output: Bytes,
    /// The address of a contract that was created.
    pub created: Option<Address>,
    /// Events in order.
    pub logs: Vec<Log>,
    /// The world after it.
    pub post: BTreeMap<Address, PostAccount>,
}

/// An account after the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostAccount {
    /// Nonce, balance and code hash.
    pub info: AccountInfo,
    /// Its slots; no word is zero.
    pub storage: BTreeMap<U256, U256>,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of zvm_evm::SuccessReason and zvm_evm::Halt")]
pub enum Ending {
    Stop,
    Return,
    SelfDestruct,
    Revert,
    OutOfGas,
    UndefinedOpcode,
    InvalidOpcode,
    StackUnderflow,
    StackOverflow,
    InvalidJump,
    StaticCallViolation,
    ReturnDataOutOfBounds,
    CreateCollision,
    CodeSizeLimit,
    InitcodeSizeLimit,
    CodeStartsWithEf,
    NonceOverflow,
    Precompile,
    /// An ending that no outermost frame should have.
    Other,
}

impl Ending {
    /// `success`, `revert` or `halt`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Stop | Self::Return | Self::SelfDestruct => "success",
            Self::Revert => "revert",
            _ => "halt",
        }
    }
}

/// The rule that an invalid transaction breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of zvm_evm::InvalidTransaction")]
pub enum Rule {
    TypeNotSupported,
    ChainId,
    Nonce,
    NonceIsMax,
    InsufficientFunds,
    SenderHasCode,
    IntrinsicGas,
    FloorGas,
    BlockGasLimit,
    GasLimitCap,
    FeeCapBelowBaseFee,
    PriorityFeeAboveCap,
    InitcodeSize,
    NoBlobs,
    TooManyBlobs,
    BlobVersion,
    BlobFeeCap,
    NoAuthorizations,
    /// A rule the other engine has no word for.
    Other,
}

/// What differs between two observations, one line each, `left` being the engine under test.
/// Empty where they agree.
#[must_use]
pub fn differences(left: &Observation, right: &Observation) -> String {
    let mut text = String::new();
    match (left, right) {
        (Observation::Ran(left), Observation::Ran(right)) => differ(&mut text, left, right),
        (left, right) if left != right => {
            line(&mut text, "result", &summary(left), &summary(right));
        }
        _ => {}
    }
    text
}

/// One observation in one line.
fn summary(observation: &Observation) -> String {
    match observation {
        Observation::Invalid(rule) => format!("invalid: {rule:?}"),
        Observation::Ran(ran) => format!("{:?}, {} gas", ran.ending, ran.gas_used),
        Observation::Broken(why) => format!("broken: {why}"),
    }
}

fn differ(text: &mut String, left: &Ran, right: &Ran) {
    if !same_ending(left, right) {
        line(text, "ending", &left.ending, &right.ending);
    }
    line(text, "gas used", &left.gas_used, &right.gas_used);
    if left.refund.is_some() && right.refund.is_some() {
        line(text, "refund", &left.refund, &right.refund);
    }
    line(text, "output", &left.output, &right.output);
    line(text, "created", &left.created, &right.created);
    line(text, "logs", &left.logs, &right.logs);
    for address in keys(&left.post, &right.post) {
        let (left, right) = (left.post.get(&address), right.post.get(&address));
        line(text, &format!("account {address}"), &left.map(|a| a.info), &right.map(|a| a.info));
        let empty = BTreeMap::new();
        let (left, right) =
            (left.map_or(&empty, |a| &a.storage), right.map_or(&empty, |a| &a.storage));
        for slot in keys(left, right) {
            let what = format!("account {address} slot {slot:#x}");
            line(text, &what, &left.get(&slot), &right.get(&slot));
        }
    }
}

/// Whether both ended the same way. Where two rules are broken at once, all that counts is that the
/// frame halts: in these cases revm looks at the other one first.
fn same_ending(left: &Ran, right: &Ran) -> bool {
    match (left.ending, right.ending) {
        // `DUP` of a word that is not there is an overflow to revm.
        (Ending::StackUnderflow, Ending::StackOverflow) => true,
        // `LOG` out of reach and short of topics.
        (Ending::StackUnderflow, Ending::OutOfGas) => true,
        // `CREATE2` of too much without salt.
        (Ending::StackUnderflow, Ending::InitcodeSizeLimit) => true,
        // `CREATE` from memory that no gas pays for.
        (Ending::OutOfGas, Ending::InitcodeSizeLimit) => true,
        // `RETURNDATACOPY` of more than can be paid for.
        (Ending::ReturnDataOutOfBounds, Ending::OutOfGas) => true,
        // An opcode of a later hard fork, with too little gas for it.
        (Ending::UndefinedOpcode, Ending::OutOfGas) => true,
        // MODEXP of lengths that no gas pays for. From Osaka on, the bounds of EIP-7823 come first,
        // as in the reference.
        (Ending::OutOfGas, Ending::Precompile) | (Ending::Precompile, Ending::OutOfGas) => true,
        // Too much code that starts with 0xef.
        (Ending::CodeStartsWithEf, Ending::CodeSizeLimit) => true,
        // revm calls the end of every creation `Return`, whatever the initcode ended with.
        (Ending::Stop | Ending::SelfDestruct, Ending::Return) => right.created.is_some(),
        (left, right) => left == right,
    }
}

fn keys<K: Ord + Copy, V>(left: &BTreeMap<K, V>, right: &BTreeMap<K, V>) -> BTreeSet<K> {
    left.keys().chain(right.keys()).copied().collect()
}

fn line<T: std::fmt::Debug + PartialEq>(text: &mut String, what: &str, left: &T, right: &T) {
    if left != right {
        let _ = writeln!(text, "{what}: {left:?}, peer {right:?}");
    }
}
