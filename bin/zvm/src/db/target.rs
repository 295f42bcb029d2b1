//! A file that is there whole or not at all, and what is no file.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// Where something is written to.
pub(super) enum Target {
    /// A pipe or a device, written to as it is.
    Stream(File),
    /// A file beside the one it will be.
    Draft {
        /// Removed unless it is finished.
        draft: NamedTempFile,
        /// The file it will be.
        path: PathBuf,
    },
}

impl Target {
    /// Makes or opens what is to be written for `path`.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return File::options().write(true).open(path).map(Self::Stream);
        }
        // Where a link leads, or the file would take the place of the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // The fault of a draft would name the draft.
        fs::metadata(folder)?;
        let mut prefix = path.file_name().unwrap_or_default().to_owned();
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".dumping");
        // To be read by whoever may read new files.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let draft = builder.tempfile_in(folder)?;
        Ok(Self::Draft { draft, path })
    }

    /// The file to write to.
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Stream(file) => file,
            Self::Draft { draft, .. } => draft.as_file(),
        }
    }

    /// Gives a draft its name, once it is on disk.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stream(_) => Ok(()),
            Self::Draft { draft, path } => {
                draft.as_file().sync_all()?;
                draft.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}
