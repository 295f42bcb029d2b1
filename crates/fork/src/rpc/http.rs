//! One HTTP request to one endpoint.

use std::{
    fs::File,
    io::Read,
    path::Path,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ureq::{
    Agent, Proxy,
    http::HeaderMap,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};
use zeroize::Zeroizing;
use zvm_core::DbError;
use zvm_state::{Endpoint, ForkConfig, disk::io_error};

use super::{RESPONSE_BYTES_MAX, fault::Fault};

/// Somewhere to send requests to.
pub(super) struct Target {
    endpoint: Endpoint,
    /// The address without user information.
    url: Zeroizing<String>,
    /// The value of `Authorization`.
    authorization: Option<Zeroizing<String>>,
}

impl Target {
    /// `token` is shown to this endpoint, unless its address has a name and password.
    pub(super) fn new(endpoint: &Endpoint, token: Option<&str>) -> Self {
        let (scheme, rest) = endpoint.url().split_once("://").unwrap_or(("http", endpoint.url()));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let basic = |user: &str| {
            let plain = match user.contains(':') {
                true => decoded(user),
                false => decoded(&format!("{user}:")),
            };
            format!("Basic {}", STANDARD.encode(&*plain))
        };
        let bearer = || token.map(|token| format!("Bearer {token}"));
        Self {
            endpoint: endpoint.clone(),
            url: Zeroizing::new(format!("{scheme}://{host}{path}")),
            authorization: user.map(basic).or_else(bearer).map(Zeroizing::new),
        }
    }

    /// Sends `body` and reads what comes back, all within `timeout`.
    pub(super) fn post(
        &self,
        agent: &Agent,
        body: &str,
        timeout: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let mut request = agent.post(&*self.url).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", &**authorization);
        }
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut response = request.send(body).map_err(|error| self.fault(&error))?;
        let status = response.status().as_u16();
        match status {
            200 => {}
            // Some answer errors of JSON-RPC with a status, and the body says more.
            400 | 500 if is_json(response.headers()) => {}
            _ => return Err(of_status(status, response.headers())),
        }
        let body = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).reader();
        let mut bytes = Vec::new();
        // That limit is for what comes over the wire, which may be compressed a thousand times.
        let read = body.take(RESPONSE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.fault(&error.into()))?;
        match bytes.len() as u64 > RESPONSE_BYTES_MAX {
            true => Err(self.fault(&ureq::Error::BodyExceedsLimit(RESPONSE_BYTES_MAX))),
            false => Ok(bytes),
        }
    }

    fn fault(&self, error: &ureq::Error) -> Fault {
        match error {
            ureq::Error::BodyExceedsLimit(_) => {
                Fault::TooLarge(format!("an answer of more than {RESPONSE_BYTES_MAX} bytes"))
            }
            ureq::Error::Timeout(_) => Fault::Broken("no answer in time".to_owned()),
            ureq::Error::HostNotFound => Fault::Broken("no such host".to_owned()),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                Fault::Denied(self.without_secrets(&error.to_string()))
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                Fault::Denied("not an address of HTTP".to_owned())
            }
            _ => Fault::Broken(self.without_secrets(&error.to_string())),
        }
    }

    /// Scheme and host.
    pub(super) fn name(&self) -> String {
        self.endpoint.to_string()
    }

    /// The message of a library that may have repeated the address.
    fn without_secrets(&self, message: &str) -> String {
        let name = self.name();
        let path = self.url.strip_prefix(&name).unwrap_or(&self.url);
        let message = message.replace(&**self.url, &name);
        if path.len() > 1 { message.replace(path, "***") } else { message }
    }
}

/// An agent for all requests of a client.
pub(super) fn agent(config: &ForkConfig) -> Result<Agent, DbError> {
    let mut builder = Agent::config_builder()
        .http_status_as_error(false)
        // A redirected POST becomes a GET, and would take the key elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections_per_host(config.parallel as usize)
        .user_agent(
            config.user_agent.as_deref().unwrap_or(concat!("zvm/", env!("CARGO_PKG_VERSION"))),
        );
    if let Some(proxy) = &config.proxy {
        let proxy = Proxy::new(proxy.url()).map_err(|_| DbError::Config {
            config: format!("proxy={proxy}"),
            what: "not a proxy".to_owned(),
        })?;
        builder = builder.proxy(Some(proxy));
    }
    if let Some(path) = &config.ca_file {
        builder = builder.tls_config(TlsConfig::builder().root_certs(authorities(path)?).build());
    }
    Ok(builder.build().new_agent())
}

/// Longest file of certificates. All that Mozilla trusts are a quarter of that.
const AUTHORITIES_BYTES_MAX: u64 = 1 << 20;

/// Who may vouch for endpoints, out of a file in the form PEM.
fn authorities(path: &Path) -> Result<RootCerts, DbError> {
    let fault = || io_error("read the certificates", path);
    let wrong = || DbError::Config {
        config: format!("ca-file={}", path.display()),
        what: "expected certificates in the form PEM".to_owned(),
    };
    let mut pem = Vec::new();
    let file = File::open(path).map_err(fault())?;
    file.take(AUTHORITIES_BYTES_MAX + 1).read_to_end(&mut pem).map_err(fault())?;
    if pem.len() as u64 > AUTHORITIES_BYTES_MAX {
        return Err(wrong());
    }
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| wrong())? {
            certificates.push(certificate);
        }
    }
    match certificates.is_empty() {
        true => Err(wrong()),
        false => Ok(RootCerts::new_with_certs(&certificates)),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn of_status(status: u16, headers: &HeaderMap) -> Fault {
    let what = format!("HTTP status {status}");
    match status {
        429 | 503 => Fault::Throttled(what, retry_after(headers, SystemTime::now())),
        413 => Fault::TooLarge(what),
        408 | 425 | 500.. => Fault::Broken(what),
        401 | 402 | 403 | 407 => Fault::Denied(what),
        300..=399 => Fault::Denied(format!("{what}, a redirection")),
        _ => Fault::Refused(what),
    }
}

/// How long to wait, in seconds or up to a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok(),
    }
}

/// User information with its percent-encoding taken off.
fn decoded(text: &str) -> Zeroizing<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(16 * high + low).ok(),
            _ => None,
        };
        plain.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, token: Option<&str>) -> Target {
        Target::new(&Endpoint::new(url).unwrap(), token)
    }

    #[test]
    fn user_information_becomes_basic_authorization() {
        let of = |target: &Target| target.authorization.as_deref().cloned();
        let basic = target("http://me:p%40ss%zz@host:1/a?b=c@d", Some("token"));
        assert_eq!(*basic.url, "http://host:1/a?b=c@d");
        assert_eq!(of(&basic), Some(format!("Basic {}", STANDARD.encode("me:p@ss%zz"))));
        let name = target("https://me@host", None);
        assert_eq!(of(&name), Some(format!("Basic {}", STANDARD.encode("me:"))));
        assert_eq!(of(&target("https://host", Some("abc"))), Some("Bearer abc".to_owned()));
        assert_eq!(of(&target("https://host", None)), None);
    }

    #[test]
    fn a_library_that_repeats_the_address_is_not_repeated() {
        let target = target("https://host:1/v2/hunter2?a=hunter3", None);
        let message = target.without_secrets("cannot POST https://host:1/v2/hunter2?a=hunter3: no");
        assert_eq!(message, "cannot POST https://host:1: no");
        let message = target.without_secrets("no /v2/hunter2?a=hunter3");
        assert_eq!(message, "no ***");
    }

    #[test]
    fn waiting_is_asked_for_in_seconds_or_up_to_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, expected) in [
            ("3", Some(3)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("soon", None),
            ("-1", None),
        ] {
            let headers =
                HeaderMap::from_iter([("retry-after".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
