//! The answers of one state in one file, which processes share.
//!
//! | part | bytes |
//! |---|---|
//! | magic | 8: `zvmkept` and the version, now `2` |
//! | frames | length (4, little-endian), CRC-32 of what follows (4), a [record](super::record) |
//!
//! Frames are only ever appended, under an exclusive lock on the file. Whoever appends looks first at
//! what others have appended meanwhile; what a process has left unfinished when it was killed is cut
//! off then. A frame that is damaged is passed over. A record counts until another of the same read
//! comes behind it. Nodes of tries are never anything but what has their hash.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, ErrorKind, Read as _, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use zvm_core::{B256, Bytes, DbError};
use zvm_state::disk::io_error;

use super::record::{Key, Record};
use crate::{Found, Read};

const MAGIC: &[u8; 8] = b"zvmkept\x02";
/// Length and checksum.
const FRAME_HEADER: usize = 8;
/// No record is longer: a branch of sixteen hashes has 533 bytes.
const RECORD_BYTES_MAX: usize = 1024;

/// The file, as far as it has been looked at.
pub(super) struct StateFile {
    path: PathBuf,
    open: Option<Open>,
    /// How often it is tried to lock the file.
    tries: u32,
}

/// How often it is tried to lock the file, and how long that is waited for each time. Others have the
/// lock as long as it takes to append; whoever was stopped meanwhile must not stop everybody else.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

struct Open {
    file: File,
    /// What tells this file from another of its name.
    identity: Identity,
    /// Where a record begins, and how long it is.
    index: HashMap<Key, (u64, usize)>,
    /// How much of the file is in the index.
    end: u64,
}

impl StateFile {
    /// The file at `path`. It is looked at when something is read or written.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None, tries: TRIES }
    }

    /// The answer to a read.
    pub(super) fn find(&mut self, read: &Read) -> Result<Option<Found>, DbError> {
        Ok(match self.record(Key::Read(*read))? {
            Some(Record::Answer(_, found)) => Some(found),
            _ => None,
        })
    }

    /// The node with this hash.
    pub(super) fn find_node(&mut self, hash: B256) -> Result<Option<Bytes>, DbError> {
        Ok(match self.record(Key::Node(hash))? {
            Some(Record::Node(node)) => Some(node),
            _ => None,
        })
    }

    fn record(&mut self, key: Key) -> Result<Option<Record>, DbError> {
        if let Some(found) = self.open.as_mut().and_then(|open| open.find(key)) {
            return Ok(Some(found));
        }
        // It is not there as far as is known; others may have appended it.
        self.look(Access::Read)?;
        Ok(self.open.as_mut().and_then(|open| open.find(key)))
    }

    /// Appends records, and says how many bytes that took.
    pub(super) fn append(&mut self, records: impl Iterator<Item = Record>) -> Result<u64, DbError> {
        let mut records = records.peekable();
        if records.peek().is_none() {
            return Ok(0);
        }
        self.look(Access::Append)?;
        let Some(open) = &mut self.open else { return Ok(0) };
        let mut frames = Vec::new();
        let mut places = Vec::new();
        for record in records {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            if bytes.is_empty() || bytes.len() > RECORD_BYTES_MAX {
                continue;
            }
            frames.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            frames.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            places.push((record.key(), (open.end + frames.len() as u64, bytes.len())));
            frames.extend_from_slice(&bytes);
        }
        let end = SeekFrom::Start(open.end);
        let written = open.file.seek(end).and_then(|_| open.file.write_all(&frames));
        let unlocked = open.file.unlock();
        written.and(unlocked).map_err(io_error("write the cache", &self.path))?;
        open.end += frames.len() as u64;
        open.index.extend(places);
        Ok(frames.len() as u64)
    }

    /// Brings the index up to date. For [`Access::Append`] the file is made if there is none, and
    /// stays locked.
    fn look(&mut self, access: Access) -> Result<(), DbError> {
        let looked = self.try_look(access);
        if looked.is_err() {
            // With the file the lock is gone, too.
            self.open = None;
        }
        looked.map_err(io_error("read the cache", &self.path))
    }

    fn try_look(&mut self, access: Access) -> io::Result<()> {
        loop {
            let identity = match fs::metadata(&self.path) {
                Ok(metadata) => Some(Identity::of(&metadata)),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let is_same = |open: &Open| Some(open.identity) == identity;
            if !self.open.as_ref().is_some_and(is_same) {
                self.open = None;
                if identity.is_none() && access == Access::Read {
                    return Ok(());
                }
                self.open = Some(Open::new(&self.path)?);
            }
            let Some(open) = &mut self.open else { return Ok(()) };
            match access {
                Access::Read => return open.catch_up(access),
                Access::Append => {
                    let locked = lock(&open.file, self.tries);
                    // Whoever has not let go by now is not waited for again.
                    self.tries = if locked.is_ok() { TRIES } else { 1 };
                    locked?;
                }
            }
            // Whoever had the lock before may have removed the file.
            let now = fs::metadata(&self.path).map(|metadata| Identity::of(&metadata));
            if now.is_ok_and(|now| now == open.identity) {
                return open.catch_up(access);
            }
            self.open = None;
        }
    }
}

fn lock(file: &File, tries: u32) -> io::Result<()> {
    for rest in (0..tries).rev() {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if rest > 0 => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(io::Error::new(ErrorKind::WouldBlock, "another process does not let go of it"))
}

/// What a look at the file is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Append,
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // The least recently used file is the first to go.
        let _ = file.set_modified(SystemTime::now());
        let identity = Identity::of(&file.metadata()?);
        Ok(Self { file, identity, index: HashMap::new(), end: 0 })
    }

    /// Reads what has been appended since the last look. With the lock, what is not whole at the end
    /// is cut off: nobody is going to finish it.
    fn catch_up(&mut self, access: Access) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < self.end {
            // Something has shortened the file. Whatever it was, nothing known of it holds.
            self.index.clear();
            self.end = 0;
        }
        if length == self.end && self.end > 0 {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        // It may be as large as all of the cache.
        let mut rest = BufReader::new((&self.file).take(length - self.end));
        if self.end == 0 {
            let mut magic = [0; MAGIC.len()];
            let is_ours = is_whole(rest.read_exact(&mut magic))? && magic == *MAGIC;
            if !is_ours && access == Access::Append {
                // New, or nothing of ours.
                self.file.set_len(0)?;
                (&self.file).seek(SeekFrom::Start(0))?;
                (&self.file).write_all(MAGIC)?;
            }
            if is_ours || access == Access::Append {
                self.end = MAGIC.len() as u64;
            }
            if !is_ours {
                return Ok(());
            }
        }
        let (mut header, mut record) = ([0; FRAME_HEADER], [0; RECORD_BYTES_MAX]);
        while is_whole(rest.read_exact(&mut header))? {
            let [a, b, c, d, checksum @ ..] = header;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            let Some(record) = record.get_mut(..length) else { break };
            if !is_whole(rest.read_exact(record))? {
                break;
            }
            let at = self.end + FRAME_HEADER as u64;
            if let Some(record) = decode(record, checksum) {
                self.index.insert(record.key(), (at, length));
            }
            self.end = at + length as u64;
        }
        if self.end < length && access == Access::Append {
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// A record that is in the index, unless it is damaged by now.
    fn find(&mut self, key: Key) -> Option<Record> {
        let (at, length) = *self.index.get(&key)?;
        let mut frame = vec![0; FRAME_HEADER + length];
        let start = SeekFrom::Start(at.checked_sub(FRAME_HEADER as u64)?);
        self.file.seek(start).and_then(|_| self.file.read_exact(&mut frame)).ok()?;
        let (header, record) = frame.split_first_chunk::<FRAME_HEADER>()?;
        let [_, _, _, _, checksum @ ..] = *header;
        decode(record, checksum).filter(|record| record.key() == key)
    }
}

/// Whether there was as much as was to be read.
fn is_whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn decode(record: &[u8], checksum: [u8; 4]) -> Option<Record> {
    let is_whole = crc32fast::hash(record) == u32::from_le_bytes(checksum);
    Record::read(record).ok().filter(|_| is_whole)
}

/// What tells a file from another that has its name now.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere a file that somebody has open keeps its name.
    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        Self(0, 0)
    }
}
