//! From a string to a configuration, or to the place of the fault.

use std::time::Duration;

use zvm_core::DbError;

use super::{
    DatabaseConfig, ForkConfig, KeySource, NetConfig, StoreConfig, parse_bytes, text::unescape,
};
use crate::{CacheLimits, kv::Durability};

/// Most caches over each other. One is useful.
pub(super) const CACHES_MAX: usize = 8;

/// Most entries of a cache. Its table of keys must not outgrow what can be addressed.
pub(super) const ENTRIES_MAX: usize = 1 << 32;

const SCHEMES: &str = "memory:, file:PATH, rocksdb:PATH, fork:URL@BLOCK, fork:FILE, net:HOST:PORT or \
                       cached(N):INNER";
const OPTIONS: &str = "history, durability, cache, readonly, key-file, passphrase-file or \
                       passphrase-env";

/// A part of the text that is wrong.
struct Fault {
    /// Byte at which it begins.
    at: usize,
    what: String,
}

/// Parses a whole configuration.
pub(super) fn config(text: &str) -> Result<DatabaseConfig, DbError> {
    parse(text).map_err(|Fault { at, what }| DbError::Config {
        config: without_secrets(text),
        what: format!("at byte {at}: {what}"),
    })
}

/// Reads one option, such as `history` with `512MiB`, into `store`. The value has no escapes any more.
/// `Err` says what was expected.
pub(super) fn option(
    store: &mut StoreConfig,
    name: &str,
    value: Option<&str>,
) -> Result<(), OptionFault> {
    let expected = |what: &str| OptionFault::Value(what.to_owned());
    let text = || value.filter(|value| !value.is_empty());
    match name {
        "history" => {
            let history = text().and_then(|text| text.parse().ok());
            let what = "all, a number of blocks such as 128, or a size such as 512MiB";
            store.history = Some(history.ok_or_else(|| expected(what))?);
        }
        "durability" => {
            store.durability = match text() {
                Some("synced") => Durability::Synced,
                Some("buffered") => Durability::Buffered,
                _ => return Err(expected("synced or buffered")),
            };
        }
        "cache" => {
            let bytes = text().and_then(|text| parse_bytes(text)?.try_into().ok());
            store.cache_bytes = bytes.ok_or_else(|| expected("a size such as 256MiB"))?;
        }
        "readonly" if value.is_none() => store.is_read_only = true,
        "readonly" => return Err(expected("no value")),
        "key-file" | "passphrase-file" | "passphrase-env" => {
            let value = text().ok_or_else(|| expected("a value"))?;
            let source = match name {
                "key-file" => KeySource::KeyFile(value.into()),
                "passphrase-file" => KeySource::PassphraseFile(value.into()),
                _ => KeySource::PassphraseEnv(value.to_owned()),
            };
            if store.key.replace(source).is_some() {
                return Err(OptionFault::Name("a second key; expected one".to_owned()));
            }
        }
        "key" | "passphrase" | "password" => {
            let what = "a secret is never written here; expected key-file, passphrase-file or \
                        passphrase-env";
            return Err(OptionFault::Name(what.to_owned()));
        }
        _ => return Err(OptionFault::Name(format!("no such option; expected {OPTIONS}"))),
    }
    Ok(())
}

/// Which half of an option is wrong.
pub(super) enum OptionFault {
    /// Its name.
    Name(String),
    /// Its value; says what was expected.
    Value(String),
}

fn parse(text: &str) -> Result<DatabaseConfig, Fault> {
    let mut caches = Vec::new();
    let mut at = 0;
    let mut config = loop {
        let rest = &text[at..];
        if !rest.starts_with("cached") {
            break plain(text, at)?;
        }
        if caches.len() == CACHES_MAX {
            return Err(fault(at, format!("more than {CACHES_MAX} caches over each other")));
        }
        let (limits, length) = cached(rest, at)?;
        caches.push(limits);
        at += length;
    };
    for limits in caches.into_iter().rev() {
        config = DatabaseConfig::Cached { limits, inner: Box::new(config) };
    }
    Ok(config)
}

/// `cached(N):` or `cached(N,BYTES):`, and its length. `rest` begins at byte `at` of the whole.
fn cached(rest: &str, at: usize) -> Result<(CacheLimits, usize), Fault> {
    let open = "cached".len();
    let shape = "expected cached(N):INNER or cached(N,BYTES):INNER";
    let Some(inside) = rest[open..].strip_prefix('(') else {
        return Err(fault(at + open, shape));
    };
    let Some((inside, _)) = inside.split_once("):") else {
        return Err(fault(at + open, format!("no \"):\" after \"(\"; {shape}")));
    };
    let inside_at = at + open + 1;
    let (entries, bytes) = match inside.split_once(',') {
        Some((entries, bytes)) => (entries, Some(bytes)),
        None => (inside, None),
    };
    let mut limits = CacheLimits::entries(parse_entries(entries).ok_or_else(|| {
        fault(inside_at, format!("{entries:?}, expected a number from 1 to {ENTRIES_MAX}"))
    })?);
    if let Some(bytes) = bytes {
        limits.code_bytes = parse_bytes(bytes).ok_or_else(|| {
            let at = inside_at + entries.len() + 1;
            fault(at, format!("{bytes:?}, expected bytes of code such as 64MiB"))
        })?;
    }
    Ok((limits, open + 1 + inside.len() + 2))
}

/// A number of entries within the limits.
pub(super) fn parse_entries(text: &str) -> Option<usize> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let entries = if is_number { text.parse().ok() } else { None };
    entries.filter(|entries| (1..=ENTRIES_MAX).contains(entries))
}

/// Any scheme but a cache, from byte `at` of `text` to its end.
fn plain(text: &str, at: usize) -> Result<DatabaseConfig, Fault> {
    let Some((scheme, rest)) = text[at..].split_once(':') else {
        return Err(fault(at, format!("no scheme; expected {SCHEMES}")));
    };
    let rest_at = at + scheme.len() + 1;
    match scheme {
        "memory" if rest.is_empty() => Ok(DatabaseConfig::Memory),
        "memory" => Err(fault(rest_at, "expected nothing after memory:")),
        "file" => store(rest, rest_at).map(DatabaseConfig::File),
        "rocksdb" => store(rest, rest_at).map(DatabaseConfig::RocksDb),
        "fork" => fork(rest, rest_at).map(Box::new).map(DatabaseConfig::Fork),
        "net" => net(rest, rest_at).map(Box::new).map(DatabaseConfig::Net),
        _ => Err(fault(at, format!("no such scheme; expected {SCHEMES}"))),
    }
}

/// `PATH` or `PATH?OPTIONS`, which begins at byte `at`.
fn store(text: &str, at: usize) -> Result<StoreConfig, Fault> {
    let (path, options) = place(text, at)?;
    if path.is_empty() {
        return Err(fault(at, "no path"));
    }
    let mut store = StoreConfig::new(unescape(path));
    read_options(options, at + path.len() + 1, |name, value| option(&mut store, name, value))?;
    Ok(store)
}

/// `URL`, `URL@BLOCK` or `FILE`, and options.
fn fork(text: &str, at: usize) -> Result<ForkConfig, Fault> {
    let (address, options) = place(text, at)?;
    let mut fork = ForkConfig::from_place(&unescape(address)).map_err(|what| fault(at, what))?;
    read_options(options, at + address.len() + 1, |name, value| fork.option(name, value))?;
    Ok(fork)
}

/// `HOST:PORT` and options.
fn net(text: &str, at: usize) -> Result<NetConfig, Fault> {
    let (address, options) = place(text, at)?;
    let mut net = NetConfig::from_place(&unescape(address)).map_err(|what| fault(at, what))?;
    read_options(options, at + address.len() + 1, |name, value| net.option(name, value))?;
    Ok(net)
}

/// What comes before the options, and the options. `text` begins at byte `at` of the whole.
fn place(text: &str, at: usize) -> Result<(&str, Option<&str>), Fault> {
    let (place, options) = match text.split_once('?') {
        Some((place, options)) => (place, Some(options)),
        None => (text, None),
    };
    match place.find('&') {
        Some(found) => Err(fault(at + found, "& in a path is written %26; options begin with ?")),
        None => Ok((place, options)),
    }
}

/// Reads options, which begin at byte `at`, one by one.
fn read_options(
    options: Option<&str>,
    mut at: usize,
    mut read: impl FnMut(&str, Option<&str>) -> Result<(), OptionFault>,
) -> Result<(), Fault> {
    let mut seen = Vec::new();
    for text in options.into_iter().flat_map(|options| options.split('&')) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(unescape(value))),
            None => (text, None),
        };
        if seen.contains(&name) {
            return Err(fault(at, format!("{name} comes twice")));
        }
        read(name, value.as_deref()).map_err(|error| match error {
            OptionFault::Name(what) => fault(at, what),
            OptionFault::Value(expected) => {
                fault(at + name.len() + 1, format!("{name}: expected {expected}"))
            }
        })?;
        seen.push(name);
        at += text.len() + 1;
    }
    Ok(())
}

/// `10s`, `500ms` or `2m`; `None` if it is something else or nothing at all.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    let (digits, unit) =
        units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let millis = if is_number { digits.parse::<u64>().ok()?.checked_mul(*unit)? } else { 0 };
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// The form that [`parse_time`] reads back, to the millisecond.
pub(super) fn show_time(time: Duration) -> String {
    match time.as_millis() {
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

fn fault(at: usize, what: impl Into<String>) -> Fault {
    Fault { at, what: what.into() }
}

/// The text with whatever may have been meant as a secret made unreadable: the values of all options
/// that are not known to be harmless, and what follows any scheme but a store's, which is often an
/// address with a key in it.
fn without_secrets(text: &str) -> String {
    let mut plain = text;
    while let Some((_, inner)) =
        plain.strip_prefix("cached(").and_then(|rest| rest.split_once("):"))
    {
        plain = inner;
    }
    let caches = &text[..text.len() - plain.len()];
    if let Some((scheme, _)) = plain.split_once(':')
        && !matches!(scheme, "memory" | "file" | "rocksdb")
    {
        return format!("{caches}{scheme}:***");
    }
    let harmless =
        ["history", "durability", "cache", "key-file", "passphrase-file", "passphrase-env"];
    let mut shown = caches.to_owned();
    // Also where a `?` is missing, or one too many.
    for (index, part) in plain.split_inclusive(['?', '&']).enumerate() {
        let (option, end) = match part.strip_suffix(['?', '&']) {
            Some(option) => (option, &part[option.len()..]),
            None => (part, ""),
        };
        match option.split_once('=') {
            _ if index == 0 => shown.push_str(option),
            Some((name, _)) if harmless.contains(&name) => shown.push_str(option),
            Some((name, _)) => shown.extend([name, "=***"]),
            None if matches!(option, "" | "readonly") => shown.push_str(option),
            None => shown.push_str("***"),
        }
        shown.push_str(end);
    }
    shown
}
