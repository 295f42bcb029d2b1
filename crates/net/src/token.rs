//! Tokens: what a client shows, and what it may do then.

use std::{fmt, hint::black_box};

use zeroize::Zeroizing;
use zvm_core::{B256, keccak256};

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Reads,
    /// Read and write.
    Writes,
}

/// A secret that a client shows. It is overwritten with zeros when it goes, and never shown.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// A token that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// Short enough to be tried out.
    #[error("a token of {found} characters, expected at least {MIN}")]
    Short {
        /// How many it has.
        found: usize,
    },
    /// Something that no HTTP header can hold.
    #[error("a token with a blank or something that is no character of ASCII")]
    Character,
}

/// Shortest token. With characters of base64 these are 96 bits.
const MIN: usize = 16;

impl Token {
    /// A token of at least 16 characters.
    pub fn new(text: Zeroizing<String>) -> Result<Self, InvalidToken> {
        if text.chars().count() < MIN {
            return Err(InvalidToken::Short { found: text.chars().count() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Character);
        }
        Ok(Self(text))
    }

    /// What stands in the header `authorization`.
    pub(crate) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SCHEME}{}", self.0.as_str()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What comes before the token in the header (RFC 6750).
const SCHEME: &str = "Bearer ";

/// Which tokens a server knows.
#[derive(Clone, Debug)]
pub struct Tokens {
    known: Vec<(B256, Role)>,
    /// What may be done without any.
    anybody: Option<Role>,
}

impl Tokens {
    /// None yet: everybody is refused.
    #[must_use]
    pub fn new() -> Self {
        Self { known: Vec::new(), anybody: None }
    }

    /// Whoever comes may do what `role` says, without a token.
    #[must_use]
    pub fn anybody(role: Role) -> Self {
        Self { known: Vec::new(), anybody: Some(role) }
    }

    /// Who shows `token` may do what `role` says.
    #[must_use]
    pub fn with(mut self, token: &Token, role: Role) -> Self {
        // Only digests are kept and compared: how far two of them agree says nothing of a token.
        self.known.push((keccak256(token.0.as_bytes()), role));
        self
    }

    /// What may be done by who shows the header `authorization`.
    pub(crate) fn role(&self, header: Option<&[u8]>) -> Option<Role> {
        let shown = header.and_then(|header| header.strip_prefix(SCHEME.as_bytes()));
        let Some(digest) = shown.map(keccak256) else { return self.anybody };
        // All are looked at, and all of each, whichever it is.
        let found = self.known.iter().fold(None, |found, (known, role)| {
            if is_equal(known, &digest) { found.max(Some(*role)) } else { found }
        });
        found.or(self.anybody)
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

/// Compares in a time that does not depend on what is compared.
fn is_equal(one: &B256, other: &B256) -> bool {
    let differs =
        one.iter().zip(other).fold(0, |bits, (one, other)| black_box(bits | (one ^ other)));
    differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, InvalidToken> {
        Token::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn roles_follow_the_token_shown() {
        let (write, read) =
            (token("0123456789abcdef").unwrap(), token("fedcba9876543210").unwrap());
        let tokens = Tokens::new().with(&read, Role::Reads).with(&write, Role::Writes);
        let shown = |token: &Token| tokens.role(Some(token.header().as_bytes()));
        assert_eq!((shown(&write), shown(&read)), (Some(Role::Writes), Some(Role::Reads)));
        for wrong in
            ["Bearer ", "Bearer 0123456789abcdeg", "Basic 0123456789abcdef", "", "Bearer 0"]
        {
            assert_eq!(tokens.role(Some(wrong.as_bytes())), None, "{wrong}");
        }
        assert_eq!(tokens.role(None), None);
        assert_eq!(Tokens::anybody(Role::Reads).role(None), Some(Role::Reads));
    }

    #[test]
    fn tokens_are_long_and_not_shown() {
        assert_eq!(token("short").unwrap_err(), InvalidToken::Short { found: 5 });
        assert_eq!(token("with a blank in it").unwrap_err(), InvalidToken::Character);
        assert_eq!(format!("{:?}", token("0123456789abcdef").unwrap()), "Token(***)");
    }
}
