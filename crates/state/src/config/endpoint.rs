//! Addresses of nodes, which often hold a key.

use std::fmt;

/// The address of a node, such as `https://mainnet.example/v2/KEY`.
///
/// Path, query and user information may be a key, so `Debug` and `Display` show scheme and host
/// only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    url: String,
}

impl Endpoint {
    /// From a URL of HTTP. `Err` says what was expected.
    pub fn new(url: impl Into<String>) -> Result<Self, &'static str> {
        let url = url.into();
        let expected = "http://HOST or https://HOST";
        let (scheme, rest) = url.split_once("://").ok_or(expected)?;
        if !matches!(scheme, "http" | "https") {
            return Err(expected);
        }
        let authority = authority(rest);
        if authority.rsplit('@').next().is_none_or(str::is_empty) {
            return Err("a host, as in http://HOST or https://HOST");
        }
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("an address without white space");
        }
        Ok(Self { url })
    }

    /// The whole address, with whatever key is in it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether all of the address is shown.
    fn is_plain(&self) -> bool {
        self.url == self.to_string()
    }

    /// The address as an option or a path of a configuration, whole or with its key left out.
    pub(super) fn text(&self, is_whole: bool) -> String {
        match is_whole || self.is_plain() {
            true => super::text::escape(&self.url),
            false => format!("{self}/***"),
        }
    }
}

/// Host, port and user information: what comes before path and query.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

impl fmt::Display for Endpoint {
    /// Scheme, host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = authority(rest).rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_and_host_are_shown() {
        for (url, shown) in [
            ("http://localhost:8545", "http://localhost:8545"),
            ("https://node.example/v2/hunter2", "https://node.example"),
            ("https://hunter2@node.example:1?key=hunter2", "https://node.example:1"),
            ("https://user:hunter2@node.example#hunter2", "https://node.example"),
            ("https://a@hunter2@node.example/", "https://node.example"),
        ] {
            let endpoint = Endpoint::new(url).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(format!("{endpoint:?}"), shown);
            assert_eq!(endpoint.url(), url);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "node", "ftp://node", "http://", "https:///path", "http://user@/", "http://a b"]
        {
            assert!(Endpoint::new(text).is_err(), "{text}");
        }
    }
}
