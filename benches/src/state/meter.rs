//! What the operating system counts for this process, and for a folder.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use super::contender::Failure;
use crate::timing::{process_time, thread_time};

/// Time and bytes between two moments, or summed up over several such spans.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) wall: Duration,
    /// CPU time of all threads.
    pub(super) process: Duration,
    /// CPU time of the calling thread.
    pub(super) thread: Duration,
    /// Bytes sent to be written.
    pub(super) written: u64,
    /// Bytes that came from the disk.
    pub(super) read: u64,
}

/// One moment.
pub(super) struct Moment {
    wall: Instant,
    process: Duration,
    thread: Duration,
    written: u64,
    read: u64,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            wall: Instant::now(),
            process: process_time(),
            thread: thread_time(),
            written: io_bytes("write_bytes: "),
            read: io_bytes("read_bytes: "),
        }
    }

    /// From this moment until now.
    pub(super) fn elapsed(&self) -> Span {
        // The other way round than in `now`, so that reading files is part of no span.
        let (thread, process) = (thread_time(), process_time());
        Span {
            wall: self.wall.elapsed(),
            process: process - self.process,
            thread: thread - self.thread,
            written: io_bytes("write_bytes: ") - self.written,
            read: io_bytes("read_bytes: ") - self.read,
        }
    }
}

/// The most memory this process has had, in bytes. Zero where there is no `/proc`.
pub(super) fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|kib| kib.trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

fn io_bytes(name: &str) -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

/// Bytes that the files in `folder` take on disk. Holes in files take none.
pub(super) fn disk_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for_each_file(folder, &mut |file| {
        let found = file.metadata()?;
        #[cfg(unix)]
        let size = std::os::unix::fs::MetadataExt::blocks(&found) * 512;
        #[cfg(not(unix))]
        let size = found.len();
        bytes += size;
        Ok(())
    })?;
    Ok(bytes)
}

/// Puts the files in `folder`, which nobody has open, out of the page cache. Only Linux can.
pub(super) fn forget(folder: &Path) -> Result<(), Failure> {
    for_each_file(folder, &mut |file| {
        // Only pages that are on disk can go.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    })
}

fn for_each_file(
    folder: &Path,
    visit: &mut dyn FnMut(&File) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            for_each_file(&entry.path(), visit)?;
        } else {
            visit(&File::open(entry.path())?)?;
        }
    }
    Ok(())
}
