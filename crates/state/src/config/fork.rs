//! `fork:URL@BLOCK?OPTIONS` and `fork:FILE`: the state of a remote node.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use zvm_core::{B256, SpecId, hex};

use super::{
    Endpoint, SecretSource,
    parse::{OptionFault, parse_time, show_time},
    parse_bytes, show_bytes,
    text::escape,
};

/// A copy of remote state, and how to read it. Nothing is connected to before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkConfig {
    /// Where the state comes from.
    pub source: ForkSource,
    /// The block whose state it is. A recording has its own.
    pub block: BlockRef,
    /// The hash the block must have: of a header somebody vouches for.
    pub hash: Option<B256>,
    /// Whether every answer is checked by a proof against the header.
    pub is_verified: bool,
    /// How many endpoints must name the same hash of the block; of use without
    /// [`hash`](Self::hash).
    pub quorum: u32,
    /// More nodes with the same state, asked when the first does not answer.
    pub endpoints: Vec<Endpoint>,
    /// How long a read may take, tries and waits included.
    pub timeout: Duration,
    /// How often a request is tried again, as far as there is time.
    pub retries: u32,
    /// Most calls per second, if there is a limit.
    pub rate: Option<u32>,
    /// Most calls in one request. With 1 there are no batches.
    pub batch: u32,
    /// Most requests at the same time.
    pub parallel: u32,
    /// Where answers are kept from one process to the next.
    pub cache: ForkCache,
    /// Bytes the cache on disk may take.
    pub cache_bytes: u64,
    /// Whether only what is in the cache is read.
    pub is_offline: bool,
    /// The chain by name, such as `mainnet`, where its number does not tell.
    pub chain: Option<String>,
    /// The hard fork, where the chain does not tell.
    pub spec: Option<SpecId>,
    /// A token to show to the node (RFC 6750).
    pub token: Option<SecretSource>,
    /// The proxy to go through, in place of the environment's.
    pub proxy: Option<Endpoint>,
    /// Certificates of whoever may vouch for nodes, in place of those that are built in.
    pub ca_file: Option<PathBuf>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// Where forked state comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkSource {
    /// A node's JSON-RPC over HTTP.
    Node(Endpoint),
    /// A recording: whatever was read of a node before.
    Recording(PathBuf),
}

/// Where answers of a node are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForkCache {
    /// In the user's cache folder.
    #[default]
    User,
    /// In this folder.
    Folder(PathBuf),
    /// Nowhere.
    Off,
}

/// A block, as a node is asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockRef {
    /// The last block.
    #[default]
    Latest,
    /// The last block that will not go unless something extraordinary happens.
    Safe,
    /// The last block that will not go.
    Finalized,
    /// The first block.
    Earliest,
    /// By number.
    Number(u64),
    /// By hash.
    Hash(B256),
}

const OPTIONS: &str = "verify, hash, quorum, endpoints, timeout, retries, rate, batch, parallel, \
                       cache, cache-size, offline, chain, spec, token-file, token-env, proxy, \
                       ca-file or user-agent";

impl ForkConfig {
    /// Total time of a read unless told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// Most calls in one request unless told otherwise.
    pub const BATCH: u32 = 1000;

    /// The state after `block`, with default options.
    #[must_use]
    pub fn new(source: ForkSource, block: BlockRef) -> Self {
        Self {
            source,
            block,
            hash: None,
            is_verified: false,
            quorum: 1,
            endpoints: Vec::new(),
            timeout: Self::TIMEOUT,
            retries: 16,
            rate: None,
            batch: Self::BATCH,
            parallel: 8,
            cache: ForkCache::User,
            cache_bytes: 1 << 30,
            is_offline: false,
            chain: None,
            spec: None,
            token: None,
            proxy: None,
            ca_file: None,
            user_agent: None,
        }
    }

    /// From what comes before the options: an address with or without a block, or a file.
    pub(super) fn from_place(place: &str) -> Result<Self, String> {
        if !place.contains("://") {
            return match place {
                "" => Err("expected fork:URL, fork:URL@BLOCK or fork:FILE".to_owned()),
                _ => Ok(Self::new(ForkSource::Recording(place.into()), BlockRef::Latest)),
            };
        }
        let by_block =
            place.rsplit_once('@').and_then(|(url, block)| Some((url, block.parse().ok()?)));
        let (url, block) = by_block.unwrap_or((place, BlockRef::Latest));
        let endpoint = Self::endpoint(url)?;
        Ok(Self::new(ForkSource::Node(endpoint), block))
    }

    /// The address of a node, without a block.
    pub(super) fn endpoint(url: &str) -> Result<Endpoint, String> {
        let endpoint = Endpoint::new(url).map_err(|what| format!("expected {what}"))?;
        // In user information an @ belongs to the address; behind it there can only be a block.
        let mut parts = url.splitn(4, '/').skip(2);
        let (authority, path) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        match path.contains('@') || user.is_some_and(is_host_and_port) {
            false => Ok(endpoint),
            true => {
                Err("behind @: expected the number or hash of a block, latest, safe, finalized \
                         or earliest; an @ in a path is written %40"
                    .to_owned())
            }
        }
    }

    /// Reads one option. The value has no escapes any more.
    pub(super) fn option(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionFault> {
        let expected = |what: &str| OptionFault::Value(what.to_owned());
        let text = value.filter(|value| !value.is_empty());
        let number = |what: &str| {
            let number = text.and_then(|text| text.parse::<u32>().ok());
            number.filter(|number| *number > 0).ok_or_else(|| expected(what))
        };
        let flag = || match value {
            None => Ok(true),
            Some(_) => Err(expected("no value")),
        };
        let given = || text.ok_or_else(|| expected("a value"));
        match name {
            "verify" => self.is_verified = flag()?,
            "offline" => self.is_offline = flag()?,
            "hash" => {
                let hash = text.and_then(|text| text.parse().ok());
                self.hash = Some(hash.ok_or_else(|| expected("the hash of a block"))?);
            }
            "quorum" => self.quorum = number("a number of endpoints, from 1")?,
            "endpoints" => {
                let endpoints = given()?.split(',').map(Endpoint::new).collect::<Result<_, _>>();
                self.endpoints = endpoints.map_err(expected)?;
            }
            "timeout" => {
                let timeout = text.and_then(parse_time);
                self.timeout = timeout.ok_or_else(|| expected("a time such as 10s or 500ms"))?;
            }
            "retries" => {
                let retries = text.and_then(|text| text.parse().ok());
                self.retries = retries.ok_or_else(|| expected("a number of tries"))?;
            }
            "rate" => self.rate = Some(number("a number of calls per second, from 1")?),
            "batch" => self.batch = number("a number of calls in a request, from 1")?,
            "parallel" => self.parallel = number("a number of requests, from 1")?,
            "cache" => {
                self.cache = match given()? {
                    "off" => ForkCache::Off,
                    folder => ForkCache::Folder(folder.into()),
                };
            }
            "cache-size" => {
                let bytes = text.and_then(parse_bytes);
                self.cache_bytes = bytes.ok_or_else(|| expected("a size such as 1GiB"))?;
            }
            "chain" => self.chain = Some(given()?.to_owned()),
            "spec" => {
                let spec = text.and_then(|text| text.parse().ok());
                self.spec = Some(spec.ok_or_else(|| expected("a hard fork such as Prague"))?);
            }
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
            "proxy" => self.proxy = Some(Endpoint::new(given()?).map_err(expected)?),
            "ca-file" => self.ca_file = Some(given()?.into()),
            "user-agent" => self.user_agent = Some(given()?.to_owned()),
            _ => return Err(OptionFault::Name(format!("no such option; expected {OPTIONS}"))),
        }
        Ok(())
    }

    /// The configuration after `fork:`, whole or with the keys in addresses left out.
    pub(super) fn text(&self, is_whole: bool) -> String {
        let default = Self::new(self.source.clone(), self.block);
        let mut options = Vec::new();
        let mut option = |is_there: bool, name: &str, value: &dyn Fn() -> String| {
            if is_there {
                options.push(format!("{name}={}", value()));
            }
        };
        option(self.hash.is_some(), "hash", &|| self.hash.unwrap_or_default().to_string());
        option(self.quorum != default.quorum, "quorum", &|| self.quorum.to_string());
        option(!self.endpoints.is_empty(), "endpoints", &|| {
            self.endpoints.iter().map(|one| one.text(is_whole)).collect::<Vec<_>>().join(",")
        });
        option(self.timeout != default.timeout, "timeout", &|| show_time(self.timeout));
        option(self.retries != default.retries, "retries", &|| self.retries.to_string());
        option(self.rate.is_some(), "rate", &|| self.rate.unwrap_or_default().to_string());
        option(self.batch != default.batch, "batch", &|| self.batch.to_string());
        option(self.parallel != default.parallel, "parallel", &|| self.parallel.to_string());
        option(self.cache != default.cache, "cache", &|| match &self.cache {
            ForkCache::Folder(folder) => escape(&folder.to_string_lossy()),
            ForkCache::Off | ForkCache::User => "off".to_owned(),
        });
        option(self.cache_bytes != default.cache_bytes, "cache-size", &|| {
            show_bytes(self.cache_bytes)
        });
        if let Some(chain) = &self.chain {
            option(true, "chain", &|| escape(chain));
        }
        if let Some(spec) = self.spec {
            option(true, "spec", &|| spec.to_string());
        }
        match &self.token {
            None => {}
            Some(SecretSource::File(path)) => {
                option(true, "token-file", &|| escape(&path.to_string_lossy()));
            }
            Some(SecretSource::Env(name)) => option(true, "token-env", &|| escape(name)),
        }
        if let Some(proxy) = &self.proxy {
            option(true, "proxy", &|| proxy.text(is_whole));
        }
        if let Some(path) = &self.ca_file {
            option(true, "ca-file", &|| escape(&path.to_string_lossy()));
        }
        if let Some(user_agent) = &self.user_agent {
            option(true, "user-agent", &|| escape(user_agent));
        }
        for (is_set, name) in [(self.is_verified, "verify"), (self.is_offline, "offline")] {
            if is_set {
                options.push(name.to_owned());
            }
        }
        let place = match &self.source {
            ForkSource::Node(endpoint) => {
                let address = endpoint.text(is_whole);
                // What looks like a block is written as one, unless one follows.
                let behind = address.rsplit_once('@').map(|(_, behind)| behind.parse::<BlockRef>());
                match self.block {
                    BlockRef::Latest if !matches!(behind, Some(Ok(_))) => address,
                    block => format!("{address}@{block}"),
                }
            }
            ForkSource::Recording(path) => escape(&path.to_string_lossy()),
        };
        match options.is_empty() {
            true => place,
            false => format!("{place}?{}", options.join("&")),
        }
    }
}

/// Whether what stands where a user and password may is rather a host with its port, and what follows a
/// mistyped block.
fn is_host_and_port(user: &str) -> bool {
    user.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = host == "localhost" || host.contains('.') || host.starts_with('[');
        is_host && port.parse::<u16>().is_ok()
    })
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Safe => f.write_str("safe"),
            Self::Finalized => f.write_str("finalized"),
            Self::Earliest => f.write_str("earliest"),
            Self::Number(number) => number.fmt(f),
            Self::Hash(hash) => hash.fmt(f),
        }
    }
}

impl FromStr for BlockRef {
    type Err = String;

    /// A number in decimal or, behind `0x`, hexadecimal digits; a hash; a tag.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_number = |digits: &str| digits.starts_with(|first: char| first.is_ascii_hexdigit());
        let found = match (text, text.strip_prefix("0x")) {
            ("latest", _) => Some(Self::Latest),
            ("safe", _) => Some(Self::Safe),
            ("finalized", _) => Some(Self::Finalized),
            ("earliest", _) => Some(Self::Earliest),
            (_, Some(digits)) if digits.len() == 64 => hex::decode(digits)
                .ok()
                .and_then(|bytes| B256::try_from(&*bytes).ok())
                .map(Self::Hash),
            (_, Some(digits)) if is_number(digits) => {
                u64::from_str_radix(digits, 16).ok().map(Self::Number)
            }
            (_, None) if is_number(text) => text.parse().ok().map(Self::Number),
            _ => None,
        };
        let expected =
            "expected the number or hash of a block, latest, safe, finalized or earliest";
        found.ok_or_else(|| expected.to_owned())
    }
}
