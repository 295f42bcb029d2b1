//! The cache on disk: one folder for all states, bounded by bytes.

use std::{
    env, fs,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use zvm_core::{B256, Bytes, DbError, hex, keccak256};
use zvm_state::{
    disk::{io_error, write_whole},
    kv::Durability::Buffered,
};

use crate::{Origin, Recording};

/// A folder with answers of nodes, which processes share.
///
/// | file | content |
/// |---|---|
/// | `state/CHAIN-BLOCK-WHOSE` | accounts, slots, hashes of blocks and nodes of proofs as of one block |
/// | `origin/BLOCK-WHOSE` | chain and header of a block |
/// | `number/CHAIN-NUMBER-WHOSE` | the hash of a block that will not change |
/// | `code/XX/HASH` | code by its hash |
///
/// `BLOCK` is a hash. `WHOSE` is `verified`, or a part of the hash of an endpoint, or of all that may
/// have answered. When the files
/// take more bytes than they may, those that were used least recently go.
#[derive(Clone, Debug)]
pub struct DiskCache {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes written since the folder was last looked through.
    written: Arc<AtomicU64>,
}

/// The layout. Folders of others are left alone.
const VERSION: &str = "fork-v1";

/// The folders in it.
const PARTS: [&str; 4] = ["state", "origin", "number", "code"];

/// A folder that was looked through is not looked through again by who opens it in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl DiskCache {
    /// The cache in `folder`, which is made if there is none.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, DbError> {
        let cache =
            Self { folder: folder.join(VERSION), bytes_max, written: Arc::new(AtomicU64::new(0)) };
        for part in PARTS {
            let part = cache.folder.join(part);
            fs::create_dir_all(&part).map_err(io_error("create the cache", &part))?;
        }
        let looked = fs::metadata(cache.lock_path()).and_then(|lock| lock.modified());
        let was_looked = looked.is_ok_and(|at| at.elapsed().is_ok_and(|since| since < LOOK_AGAIN));
        if !was_looked {
            cache.prune()?;
        }
        Ok(cache)
    }

    /// The user's folder: `ZVM_CACHE_DIR`, or `zvm` in `XDG_CACHE_HOME` or `~/.cache`. `None` where
    /// none of these is set.
    #[must_use]
    pub fn user_folder() -> Option<PathBuf> {
        Self::folder_of(&|name| env::var_os(name).filter(|value| !value.is_empty()).map(Into::into))
    }

    /// The same with other variables.
    fn folder_of(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let own = variable("ZVM_CACHE_DIR");
        // The specification has relative paths passed over.
        let xdg = || variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let home = || variable("HOME").map(|home| home.join(".cache"));
        own.or_else(|| xdg().or_else(home).map(|cache| cache.join("zvm")))
    }

    /// The file with the answers of one state.
    pub(super) fn state_path(&self, origin: &Origin, endpoint: &str) -> PathBuf {
        let whose = if origin.is_verified { "verified".into() } else { whose(endpoint) };
        let name = format!("{}-{}-{whose}", origin.chain_id, hex::encode(origin.block.hash));
        self.folder.join("state").join(name)
    }

    /// Code by its hash. A file with other code is removed.
    pub(super) fn code(&self, hash: B256) -> Result<Option<Bytes>, DbError> {
        let path = self.code_path(hash);
        let Some(code) = read(&path)? else { return Ok(None) };
        if keccak256(&code) != hash {
            fs::remove_file(&path).map_err(io_error("remove damaged code", &path))?;
            return Ok(None);
        }
        Ok(Some(code.into()))
    }

    /// Keeps code.
    pub(super) fn put_code(&self, hash: B256, code: &[u8]) -> Result<(), DbError> {
        let path = self.code_path(hash);
        if keccak256(code) != hash || path.exists() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io_error("create the cache", folder))?;
        }
        write_whole(&path, code, Buffered)?;
        self.wrote(code.len() as u64)
    }

    fn code_path(&self, hash: B256) -> PathBuf {
        let name = hex::encode(hash);
        self.folder.join("code").join(&name[..2]).join(name)
    }

    /// What `endpoint` has said of the block with this hash: its header and its chain. The header
    /// has that hash.
    #[must_use]
    pub fn origin(&self, hash: B256, endpoint: &str) -> Option<Origin> {
        // One without reads, which brings form and checksum along.
        let recording = Recording::read(&self.origin_path(hash, endpoint)).ok()?;
        let origin = recording.origin();
        (origin.block.hash == hash && origin.header.hash() == hash).then(|| origin.clone())
    }

    /// Keeps what `endpoint` says of a block.
    pub fn put_origin(&self, origin: &Origin, endpoint: &str) -> Result<(), DbError> {
        let origin = Origin { is_verified: false, ..origin.clone() };
        let path = self.origin_path(origin.block.hash, endpoint);
        write_whole(&path, &Recording::new(origin).encode(), Buffered)
    }

    fn origin_path(&self, hash: B256, endpoint: &str) -> PathBuf {
        let name = format!("{}-{}", hex::encode(hash), whose(endpoint));
        self.folder.join("origin").join(name)
    }

    /// The hash of a block whose number was kept with [`put_number`](Self::put_number).
    #[must_use]
    pub fn number(&self, chain_id: u64, number: u64, endpoint: &str) -> Option<B256> {
        let bytes = read(&self.number_path(chain_id, number, endpoint)).ok()??;
        let (hash, checksum) = bytes.split_first_chunk::<32>()?;
        (keccak256(hash).as_slice() == checksum).then(|| B256::new(*hash))
    }

    /// Keeps the hash that block `number` has for good.
    pub fn put_number(
        &self,
        chain_id: u64,
        number: u64,
        hash: B256,
        endpoint: &str,
    ) -> Result<(), DbError> {
        let bytes = [hash.as_slice(), keccak256(hash).as_slice()].concat();
        write_whole(&self.number_path(chain_id, number, endpoint), &bytes, Buffered)
    }

    fn number_path(&self, chain_id: u64, number: u64, endpoint: &str) -> PathBuf {
        let name = format!("{chain_id}-{number}-{}", whose(endpoint));
        self.folder.join("number").join(name)
    }

    /// Notes bytes that were written, and makes room now and then.
    pub(super) fn wrote(&self, bytes: u64) -> Result<(), DbError> {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if written < self.bytes_max / 16 {
            return Ok(());
        }
        self.written.store(0, Ordering::Relaxed);
        self.prune()
    }

    /// Removes files, those that were used least recently first, until the rest takes no more bytes
    /// than it may. Of several processes one does it.
    pub fn prune(&self) -> Result<(), DbError> {
        let path = self.lock_path();
        let lock = File::create(&path).map_err(io_error("lock the cache", &path))?;
        if lock.try_lock().is_err() {
            return Ok(());
        }
        // When it was last looked through.
        let _ = lock.set_modified(SystemTime::now());
        let mut files = Vec::new();
        for part in PARTS {
            list(&self.folder.join(part), &mut files)?;
        }
        let mut bytes: u64 = files.iter().map(|(_, _, length)| length).sum();
        files.sort_unstable();
        for (_, path, length) in files {
            if bytes <= self.bytes_max {
                break;
            }
            match fs::remove_file(&path) {
                Ok(()) => bytes = bytes.saturating_sub(length),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io_error("make room in the cache", &path)(error)),
            }
        }
        Ok(())
    }
}

impl DiskCache {
    fn lock_path(&self) -> PathBuf {
        self.folder.join("lock")
    }
}

/// The part of a file's name that stands for an endpoint, or for several with blanks between them, any
/// of which may have answered. Too short to tell what is in the addresses, which may have a key; user
/// information is left out altogether.
fn whose(endpoints: &str) -> String {
    let plain = |endpoint: &str| {
        let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[user..])
    };
    let mut all: Vec<_> = endpoints.split(' ').map(plain).collect();
    all.sort_unstable();
    all.dedup();
    hex::encode(&keccak256(all.join(" "))[..8])
}

/// The content of a file, if there is one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, DbError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read the cache", path)(error)),
    }
}

/// Appends all files below a folder with the time of their last use and their length.
fn list(folder: &Path, files: &mut Vec<(SystemTime, PathBuf, u64)>) -> Result<(), DbError> {
    let fault = || io_error("look through the cache", folder);
    for entry in fs::read_dir(folder).map_err(fault())? {
        let entry = entry.map_err(fault())?;
        let metadata = match entry.metadata() {
            // Another process may be faster.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata.map_err(fault())?,
        };
        if metadata.is_dir() {
            list(&entry.path(), files)?;
        } else {
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((used, entry.path(), metadata.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let folder = |variables: &[(&str, &str)]| {
            DiskCache::folder_of(&|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            })
        };
        let home = ("HOME", "/home/alice");
        assert_eq!(folder(&[]), None);
        assert_eq!(folder(&[home]), Some("/home/alice/.cache/zvm".into()));
        let xdg = ("XDG_CACHE_HOME", "/var/cache/alice");
        assert_eq!(folder(&[home, xdg]), Some("/var/cache/alice/zvm".into()));
        let relative = ("XDG_CACHE_HOME", "cache");
        assert_eq!(folder(&[home, relative]), Some("/home/alice/.cache/zvm".into()));
        assert_eq!(folder(&[home, xdg, ("ZVM_CACHE_DIR", "here")]), Some("here".into()));
    }

    #[test]
    fn names_of_files_tell_endpoints_apart_and_nothing_of_them() {
        let names = [
            "https://a.example/v2/key",
            "https://a.example/v2/other-key",
            "https://b.example/v2/key",
            "http://a.example/v2/key",
        ]
        .map(whose);
        for (index, name) in names.iter().enumerate() {
            assert_eq!(name.len(), 16);
            assert!(!names[..index].contains(name));
        }
        assert_eq!(whose("https://alice:password@a.example/v2/key"), names[0]);
        // Who may have answered, and not in which order they are asked.
        let both = whose("http://a http://me@b");
        assert_eq!(both, whose("http://b http://a"));
        assert!(both != whose("http://a") && both != whose("http://b"));
    }
}
