//! An entry: an artifact and its description, looked at before anybody gets it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags, openat};

use crate::{Description, Digest, Key};

/// The largest description.
const LONGEST: u64 = 64 << 10;

/// An artifact that was found to be what it should be.
#[derive(Debug)]
pub struct Artifact {
    /// Opened for reading. The file will not change; if it is evicted it stays alive with this.
    pub file: File,
    /// What it is.
    pub description: Description,
}

/// Why what lies there as an entry is none.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read, or only one of its files is there.
    #[error("unreadable: {0}")]
    Unreadable(#[from] io::Error),
    /// A file of it is a link, a directory, or something else.
    #[error("not a regular file with one name")]
    NotAFile,
    /// Somebody else can change it.
    #[error("user {owner} or others can write to it (mode {mode:o})")]
    Writable {
        /// Whose file it is.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// The directory is mounted so that nothing in it can be executed.
    #[error("it is mounted with noexec, so that native code cannot be loaded from it")]
    NoExec,
    /// The description cannot be understood.
    #[error("the description: {0}")]
    Description(#[from] serde_json::Error),
    /// It was made for another key, and copied.
    #[error("it is the entry of {key}")]
    Foreign {
        /// Whose it is.
        key: Key,
    },
    /// The artifact is longer or shorter than it was made.
    #[error("{found} bytes instead of {expected}")]
    Size {
        /// What the description says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The artifact's bytes are not those that were made.
    #[error("its digest is {found} instead of {expected}")]
    Digest {
        /// What the description says.
        expected: Digest,
        /// What there is.
        found: Digest,
    },
}

/// What tells that a file is still the one whose bytes were looked at; whoever changes them changes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Nobody can set this one.
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens an entry and checks everything but the artifact's bytes.
pub(crate) fn open(directory: BorrowedFd<'_>, key: &Key) -> Result<(Artifact, Stamp), Fault> {
    let (file, metadata) = open_own(directory, &key.file("so"))?;
    let (json, _) = open_own(directory, &key.file("json"))?;
    let mut text = Vec::new();
    json.take(LONGEST).read_to_end(&mut text)?;
    let description: Description = serde_json::from_slice(&text)?;
    if description.key != *key {
        return Err(Fault::Foreign { key: description.key });
    }
    if description.size != metadata.len() {
        return Err(Fault::Size { expected: description.size, found: metadata.len() });
    }
    Ok((Artifact { file, description }, Stamp::of(&metadata)))
}

/// Checks the artifact's bytes.
pub(crate) fn check_bytes(artifact: &Artifact) -> Result<(), Fault> {
    // By offset: whoever gets the file gets it at its start.
    let mut bytes = Reader { file: &artifact.file, at: 0 };
    let (expected, found) = (artifact.description.artifact, Digest::of_rest(&mut bytes)?);
    if expected == found { Ok(()) } else { Err(Fault::Digest { expected, found }) }
}

struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn open_own(directory: BorrowedFd<'_>, name: &str) -> Result<(File, Metadata), Fault> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |flags| openat(directory, name, flags, Mode::empty());
    // To read it is not to use it. Only its owner may say so.
    let opened = match open(flags | OFlags::NOATIME) {
        Err(rustix::io::Errno::PERM) => open(flags),
        opened => opened,
    };
    let file: OwnedFd = match opened {
        Err(rustix::io::Errno::LOOP) => return Err(Fault::NotAFile),
        opened => opened.map_err(io::Error::from)?,
    };
    let file = File::from(file);
    let metadata = file.metadata()?;
    check_own(&metadata)?;
    Ok((file, metadata))
}

/// That it is a file which nobody but this process's user can change, by whatever name.
pub(crate) fn check_own(metadata: &Metadata) -> Result<(), Fault> {
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(Fault::NotAFile);
    }
    check_owner(metadata)
}

/// That nobody but this process's user can write.
pub(crate) fn check_owner(metadata: &Metadata) -> Result<(), Fault> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != rustix::process::geteuid().as_raw() || mode & 0o022 != 0 {
        return Err(Fault::Writable { owner, mode });
    }
    Ok(())
}

impl AsFd for Artifact {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
