//! A source: where a module's bytes come from, and where they can be read again.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use memmap2::Mmap;
use wasmedge_messages::{Failure, FailureKind};

use crate::module::{Limits, Module};

/// An opened module.
#[derive(Debug)]
pub enum Source {
    /// A file that the container (or the caller of `run`) sees.
    File {
        /// Its path, for messages and to read it again.
        path: PathBuf,
        /// Opened at its start.
        file: File,
    },
    /// A layer of the image, whose file nobody can change any more.
    Layer {
        /// Its digest, for messages.
        digest: String,
        /// The sealed file that holds it.
        file: File,
    },
}

/// A module's bytes, as long as they are looked at.
pub(super) enum Bytes {
    Read(Vec<u8>, Option<Stamp>),
    Mapped(Mmap),
}

/// Where a loaded module came from. It holds no private memory worth mentioning: names are wanted only when
/// the guest traps, and then are read again.
#[derive(Debug)]
pub(super) enum Origin {
    File(PathBuf, Option<Stamp>),
    Layer(String, Option<Mmap>),
}

/// What tells that a file is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Source {
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::File { path, .. } => Origin::File(path.clone(), None),
            Self::Layer { digest, .. } => Origin::Layer(digest.clone(), None),
        }
    }

    /// All of it, unless it is over the limit.
    pub(super) fn read(self, limits: Limits) -> Result<Bytes, Failure> {
        let name = self.origin().to_string();
        let unreadable = |error: std::io::Error| Failure {
            kind: FailureKind::Runtime,
            message: format!("{name}: reading the module: {error}"),
        };
        match self {
            Self::File { mut file, .. } => {
                let metadata = file.metadata().map_err(unreadable)?;
                limits.check(metadata.len()).map_err(|error| error.in_file(&name))?;
                let mut bytes = Vec::with_capacity(metadata.len() as usize);
                file.by_ref()
                    .take(limits.size.saturating_add(1))
                    .read_to_end(&mut bytes)
                    .map_err(unreadable)?;
                Ok(Bytes::Read(bytes, Some(Stamp::of(&metadata))))
            }
            Self::Layer { file, .. } => {
                // SAFETY: the daemon sealed the file against change before it sent it.
                Ok(Bytes::Mapped(unsafe { Mmap::map(&file) }.map_err(unreadable)?))
            }
        }
    }
}

impl Bytes {
    pub(super) fn as_cow(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Read(bytes, _) => Cow::Borrowed(bytes),
            Self::Mapped(map) => Cow::Borrowed(map),
        }
    }

    /// Frees what can be read again, and keeps what cannot.
    pub(super) fn keep(self, origin: Origin) -> Origin {
        match (self, origin) {
            (Self::Read(_, stamp), Origin::File(path, _)) => Origin::File(path, stamp),
            (Self::Mapped(map), Origin::Layer(digest, _)) => Origin::Layer(digest, Some(map)),
            (_, origin) => origin,
        }
    }
}

impl Origin {
    /// Looks at the module once more, if it still is what was loaded.
    pub(super) fn inspect_again<T>(&self, look: impl FnOnce(&Module<'_>) -> Option<T>) -> Option<T> {
        let read;
        let bytes: &[u8] = match self {
            Self::File(path, stamp) => {
                let file = File::open(path).ok()?;
                let now = Stamp::of(&file.metadata().ok()?);
                if *stamp != Some(now) {
                    return None;
                }
                let mut bytes = Vec::new();
                file.take(now.size).read_to_end(&mut bytes).ok()?;
                read = bytes;
                &read
            }
            Self::Layer(_, map) => map.as_ref()?,
        };
        look(&Module::parse(bytes, Limits { size: u64::MAX }).ok()?)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => path.display().fmt(f),
            Self::Layer(digest, _) => write!(f, "layer {digest}"),
        }
    }
}
