//! Files to run, from folders, single files and `.tar.zst` archives.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{FixtureError, UsageError};

/// Most bytes of one fixture file. The longest of the official ones has 34 MB.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 20;

/// A fixture file in memory.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path; inside an archive, the archive's path and the one inside.
    pub(crate) name: String,
    /// The archive it comes from, or else its folder: files passed over are counted by it.
    pub(crate) group: String,
    /// The path to give to read it again: the archive, or its own.
    pub(crate) source: String,
    /// Its content.
    pub(crate) text: String,
}

/// What a source hands out: a file, or why it cannot be read.
pub(crate) type Item = Result<File, (String, FixtureError)>;

/// Checks that every path exists, so that a typing error ends the run before it begins.
pub(crate) fn check(paths: &[PathBuf]) -> Result<(), UsageError> {
    match paths.iter().find(|path| !path.exists()) {
        Some(path) => Err(UsageError::NoSuchPath { path: path.display().to_string() }),
        None => Ok(()),
    }
}

/// Hands every file below `paths` to `sink`, in the order of names, until `sink` says stop.
///
/// Nothing is unpacked to disk, and one file at a time is in memory here.
pub(crate) fn read_all(paths: &[PathBuf], sink: &mut dyn FnMut(Item) -> bool) {
    for path in paths {
        let name = path.display().to_string();
        // A path given by name is read whatever its name; a folder is searched for fixtures.
        let goes_on = if path.is_dir() {
            read_folder(path, sink)
        } else if is_archive(path) {
            read_archive(path, &name, sink)
        } else {
            read_file(path, name, sink)
        };
        if !goes_on {
            return;
        }
    }
}

fn is_archive(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.ends_with(".tar.zst"))
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

fn read_folder(folder: &Path, sink: &mut dyn FnMut(Item) -> bool) -> bool {
    let name = folder.display().to_string();
    let entries: io::Result<Vec<_>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(source) => {
            return sink(Err((name, FixtureError::Read { action: "list the folder", source })));
        }
    };
    entries.sort_unstable();
    entries.iter().all(|path| {
        let name = path.display().to_string();
        // Symbolic links to folders are not followed: they could lead in circles.
        if path.is_dir() {
            path.is_symlink() || read_folder(path, sink)
        } else if is_archive(path) {
            read_archive(path, &name, sink)
        } else if is_json(path) {
            read_file(path, name, sink)
        } else {
            true
        }
    })
}

fn read_file(path: &Path, name: String, sink: &mut dyn FnMut(Item) -> bool) -> bool {
    let file = fs::File::open(path)
        .and_then(|file| Ok((file.metadata()?.len(), file)))
        .map_err(|source| FixtureError::Read { action: "open the file", source });
    let item = match file.and_then(|(bytes, file)| read_text(file, bytes)) {
        Ok(text) => {
            let group = path.parent().unwrap_or(path).display().to_string();
            Ok(File { source: name.clone(), group, name, text })
        }
        Err(error) => Err((name, error)),
    };
    sink(item)
}

/// Reads a file that says it has `bytes` bytes.
fn read_text(reader: impl Read, bytes: u64) -> Result<String, FixtureError> {
    if bytes > FILE_BYTES_MAX {
        return Err(FixtureError::TooLarge { bytes, max: FILE_BYTES_MAX });
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    // A file may be longer than it said: pipes say nothing at all.
    let read = reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
    let bytes = read.map_err(|source| FixtureError::Read { action: "read", source })? as u64;
    if bytes > FILE_BYTES_MAX {
        return Err(FixtureError::TooLarge { bytes, max: FILE_BYTES_MAX });
    }
    String::from_utf8(content)
        .map_err(|error| FixtureError::NotUtf8 { offset: error.utf8_error().valid_up_to() })
}

fn read_archive(path: &Path, name: &str, sink: &mut dyn FnMut(Item) -> bool) -> bool {
    match read_entries(path, name, sink) {
        Ok(goes_on) => goes_on,
        Err(source) => {
            sink(Err((name.to_owned(), FixtureError::Read { action: "read the archive", source })))
        }
    }
}

fn read_entries(path: &Path, name: &str, sink: &mut dyn FnMut(Item) -> bool) -> io::Result<bool> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(path)?)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let inner = entry.path()?.into_owned();
        // Folders, links and devices hold no fixture.
        if !entry.header().entry_type().is_file() || !is_json(&inner) {
            continue;
        }
        let source = name;
        let name = format!("{source}/{}", inner.display());
        let bytes = entry.size();
        let item = match read_text(&mut entry, bytes) {
            Ok(text) => Ok(File { name, group: source.into(), source: source.into(), text }),
            // Damage below ends the archive: what follows cannot be found.
            Err(FixtureError::Read { source, .. }) => return Err(source),
            Err(error) => Err((name, error)),
        };
        if !sink(item) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_named() {
        let error = read_text(&b"{\"a\xff"[..], 4).unwrap_err();
        assert_eq!(error.to_string(), "not UTF-8 at byte 3");
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_unread() {
        let error = read_text(io::repeat(0), FILE_BYTES_MAX + 1).unwrap_err();
        assert!(matches!(error, FixtureError::TooLarge { .. }));
    }

    #[test]
    fn a_file_that_grows_is_cut_off_at_the_limit() {
        let error = read_text(io::repeat(b' '), 1).unwrap_err();
        assert!(matches!(error, FixtureError::TooLarge { .. }));
    }
}
