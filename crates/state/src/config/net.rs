//! `net:HOST:PORT?OPTIONS`: the database of another process.

use std::{path::PathBuf, time::Duration};

use super::{
    SecretSource,
    parse::{OptionFault, parse_time, show_time},
    text::escape,
};

/// A database that another process serves, and how to reach it. Nothing is connected to before it
/// is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// `HOST:PORT`.
    pub address: String,
    /// The token that says who asks.
    pub token: Option<SecretSource>,
    /// Whether the connection is encrypted. So it is with any of the next two.
    pub is_tls: bool,
    /// Certificates of whoever may vouch for the server, in place of those the system has.
    pub ca_file: Option<PathBuf>,
    /// The name in the server's certificate, if it is not the host.
    pub server_name: Option<String>,
    /// How long a request may take, tries included.
    pub timeout: Duration,
    /// Whether nothing is ever written.
    pub is_read_only: bool,
}

const OPTIONS: &str = "token-file, token-env, tls, ca-file, server-name, timeout or readonly";

impl NetConfig {
    /// Total time of a request unless told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A database at `HOST:PORT`, with default options.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            token: None,
            is_tls: false,
            ca_file: None,
            server_name: None,
            timeout: Self::TIMEOUT,
            is_read_only: false,
        }
    }

    /// From what comes before the options.
    pub(super) fn from_place(place: &str) -> Result<Self, String> {
        let is_address = place.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
            is_host && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        });
        match is_address {
            true => Ok(Self::new(place)),
            false => Err("expected net:HOST:PORT".to_owned()),
        }
    }

    /// Reads one option. The value has no escapes any more.
    pub(super) fn option(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionFault> {
        let expected = |what: &str| OptionFault::Value(what.to_owned());
        let text = value.filter(|value| !value.is_empty());
        let flag = || match value {
            None => Ok(true),
            Some(_) => Err(expected("no value")),
        };
        let given = || text.ok_or_else(|| expected("a value"));
        match name {
            "token-file" | "token-env" => {
                let value = given()?;
                let source = match name {
                    "token-file" => SecretSource::File(value.into()),
                    _ => SecretSource::Env(value.to_owned()),
                };
                if self.token.replace(source).is_some() {
                    return Err(OptionFault::Name("a second token; expected one".to_owned()));
                }
            }
            "token" | "key" | "password" => {
                let what = "a secret is never written here; expected token-file or token-env";
                return Err(OptionFault::Name(what.to_owned()));
            }
            "tls" => self.is_tls = flag()?,
            "ca-file" => self.ca_file = Some(given()?.into()),
            "server-name" => self.server_name = Some(given()?.to_owned()),
            "timeout" => {
                let timeout = text.and_then(parse_time);
                self.timeout = timeout.ok_or_else(|| expected("a time such as 10s or 500ms"))?;
            }
            "readonly" => self.is_read_only = flag()?,
            _ => return Err(OptionFault::Name(format!("no such option; expected {OPTIONS}"))),
        }
        Ok(())
    }

    /// The configuration after `net:`.
    pub(super) fn text(&self) -> String {
        let mut options = Vec::new();
        match &self.token {
            None => {}
            Some(SecretSource::File(path)) => {
                options.push(format!("token-file={}", escape(&path.to_string_lossy())));
            }
            Some(SecretSource::Env(name)) => options.push(format!("token-env={}", escape(name))),
        }
        if let Some(path) = &self.ca_file {
            options.push(format!("ca-file={}", escape(&path.to_string_lossy())));
        }
        if let Some(name) = &self.server_name {
            options.push(format!("server-name={}", escape(name)));
        }
        if self.timeout != Self::TIMEOUT {
            options.push(format!("timeout={}", show_time(self.timeout)));
        }
        for (is_set, name) in [(self.is_tls, "tls"), (self.is_read_only, "readonly")] {
            if is_set {
                options.push(name.to_owned());
            }
        }
        let place = escape(&self.address);
        match options.is_empty() {
            true => place,
            false => format!("{place}?{}", options.join("&")),
        }
    }
}
