//! What can go wrong with a request, by what there is to do about it.

use std::time::Duration;

use super::CallError;

/// Why a request has no answer at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A dropped connection, a body cut short, garbage, an overloaded server: may be better soon.
    Broken(String),
    /// Too many requests; how long to wait, if the server says so.
    Throttled(String, Option<Duration>),
    /// The request or its answer is too large.
    TooLarge(String),
    /// The server does not take this request. It may take a smaller one.
    Refused(String),
    /// The server does not take anything from us.
    Denied(String),
}

/// What to do about the error of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Ask later, it is only for now.
    Wait,
    /// Ask again, it may be an accident.
    Retry,
    /// Ask somebody else, if there is anybody.
    None,
}

impl Fault {
    pub(super) fn what(&self) -> &str {
        match self {
            Self::Broken(what)
            | Self::Throttled(what, _)
            | Self::TooLarge(what)
            | Self::Refused(what)
            | Self::Denied(what) => what,
        }
    }
}

/// Nodes agree on few codes, so the words are looked at, too.
pub(super) fn remedy(error: &CallError) -> Remedy {
    let message = error.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let rate = ["rate limit", "rate-limit", "ratelimit", "too many requests", "compute units"];
    match error.code {
        429 | -32005 | -32029 => Remedy::Wait,
        _ if says(&rate) => Remedy::Wait,
        // Invalid request, method not found, invalid parameters, method not supported, reverted.
        -32600 | -32601 | -32602 | -32004 | 3 => Remedy::None,
        _ if says(&["pruned", "missing trie node", "historical state", "archive"]) => Remedy::None,
        _ => Remedy::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_code_and_words() {
        for (code, message, expected) in [
            (-32005, "limit exceeded", Remedy::Wait),
            (-32000, "Your app has exceeded its Compute Units per second capacity", Remedy::Wait),
            (429, "", Remedy::Wait),
            (-32600, "invalid request", Remedy::None),
            (-32601, "the method does not exist", Remedy::None),
            (-32602, "invalid argument 1", Remedy::None),
            (-32000, "missing trie node 00 (path )", Remedy::None),
            (-32000, "historical state 00 is not available", Remedy::None),
            (-32000, "header not found", Remedy::Retry),
            (-32603, "internal error", Remedy::Retry),
        ] {
            let error = CallError { code, message: message.to_owned() };
            assert_eq!(remedy(&error), expected, "{error}");
        }
    }
}
