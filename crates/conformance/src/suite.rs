//! The suites: which files a run takes up.

use crate::Shape;

/// A family of official tests with a judgement of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suite {
    /// State tests and VMTests. A unit is a post entry, or a VMTest.
    #[default]
    State,
    /// Transaction tests, and the smaller families of encodings, keys and difficulties. A unit is a
    /// hard fork of a case, or a case.
    Transaction,
    /// Blockchain tests. A unit is a chain.
    Block,
}

impl Suite {
    /// As the last line of a report has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Transaction => "transaction",
            Self::Block => "block",
        }
    }

    /// Whether files of `shape` belong to the suite.
    pub(crate) fn has(self, shape: Shape) -> bool {
        match self {
            Self::State => matches!(shape, Shape::State | Shape::Vm),
            Self::Transaction => matches!(shape, Shape::Transaction | Shape::Basic(_)),
            Self::Block => shape == Shape::Blockchain,
        }
    }

    /// The subcommand that runs the suite.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::State => "statetest",
            Self::Transaction => "txtest",
            Self::Block => "blocktest",
        }
    }
}
