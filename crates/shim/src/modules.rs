//! A module, as this side knows it: bytes with a digest. It is never parsed here.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;
use wasmedge_cache::Digest;

use crate::compiler::sealed;
use crate::content::Layer;
use crate::entrypoint::Entrypoint;

/// How many digests are remembered.
const MOST: usize = 4096;

/// Something that could be compiled.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) digest: Digest,
    /// What its user calls it.
    pub(crate) name: String,
    /// How many bytes it has.
    pub(crate) size: u64,
    file: File,
    /// Whether the file can still change.
    sealed: bool,
}

/// The digests of files that were read before.
///
/// A file is known by what the kernel says of it, of which the time of its last change cannot be set by anybody. Were
/// two files taken for one, the second would run interpreted: the container's process digests what it loads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests(Arc<Mutex<HashMap<Stamp, Digest>>>);

/// Without the device: a container's overlay is another one each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What may be a module: opened, not looked at yet.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// A layer of the image.
    Layer { digest: String, file: File },
    /// A file of the root filesystem, opened as a path.
    File { name: String, path: OwnedFd },
}

impl Candidate {
    /// What a process is to run; `None` if the daemon cannot see it.
    pub(crate) fn of(entrypoint: &Entrypoint<'_>, layer: Option<&Layer>) -> Result<Option<Self>> {
        match layer {
            Some(layer) => Self::of_layer(layer).map(Some),
            None => Ok(Self::of_file(entrypoint)),
        }
    }

    /// A layer is what is run, whatever the entrypoint says.
    pub(crate) fn of_layer(layer: &Layer) -> Result<Self> {
        let file = File::open(format!("/proc/self/fd/{}", layer.module.as_raw_fd()));
        Ok(Self::Layer { digest: layer.digest.clone(), file: file.context("opening the layer")? })
    }

    /// The entrypoint, if it is a file.
    pub(crate) fn of_file(entrypoint: &Entrypoint<'_>) -> Option<Self> {
        let name = entrypoint.path().unwrap_or_default().to_owned();
        entrypoint.file().map(|path| Self::File { name, path })
    }

    /// The module, if it is one as far as its first bytes tell. Blocks.
    pub(crate) fn identify(self, digests: &Digests, limit: u64) -> Result<Option<Module>> {
        match self {
            Self::Layer { digest, file } => {
                let known = digest.parse().context("reading the layer's digest")?;
                let size = file.metadata().context("looking at the layer")?.len();
                Ok(Some(Module { digest: known, name: digest, size, file, sealed: true }))
            }
            Self::File { name, path } => {
                let opened = open_module(&path, limit).with_context(|| format!("opening {name}"))?;
                let Some(mut file) = opened else { return Ok(None) };
                let digest = digests.of(&mut file).with_context(|| format!("reading {name}"))?;
                let size = file.metadata().with_context(|| format!("reading {name}"))?.len();
                Ok(Some(Module { digest, name, size, file, sealed: false }))
            }
        }
    }
}

impl Module {
    /// A file that a person names, whatever is in it. Blocks.
    pub(crate) fn of_file(path: &Path, limit: u64) -> Result<Self> {
        let opened =
            File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
        let mut file = opened.context("opening it")?;
        let metadata = file.metadata().context("looking at it")?;
        ensure!(metadata.is_file(), "it is not a regular file");
        ensure!(metadata.len() <= limit, "it has {} bytes, the limit is {limit}", metadata.len());
        let digest = Digest::of_rest(&mut file).context("reading it")?;
        Ok(Self { digest, name: path.display().to_string(), size: metadata.len(), file, sealed: false })
    }

    /// A file with these bytes that nobody can change, at its start. Blocks.
    pub(crate) fn seal(&self) -> Result<OwnedFd> {
        let again = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        let file = again.context("reading the module")?;
        if self.sealed { Ok(file.into()) } else { sealed(file, self.digest) }
    }
}

impl Digests {
    fn of(&self, file: &mut File) -> std::io::Result<Digest> {
        let stamp = Stamp::of(&file.metadata()?);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&stamp) {
            return Ok(*known);
        }
        let digest = Digest::of_rest(file)?;
        let unchanged = Stamp::of(&file.metadata()?) == stamp;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        if unchanged {
            known.insert(stamp, digest);
        }
        Ok(digest)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens what may be a module: a regular file that the kernel would not run itself.
fn open_module(path: &OwnedFd, limit: u64) -> Result<Option<File>> {
    // Opening a FIFO or a device could do more than open it.
    let metadata = File::from(path.try_clone()?).metadata()?;
    if !metadata.is_file() || metadata.len() > limit {
        return Ok(None);
    }
    let mut file = File::open(format!("/proc/self/fd/{}", path.as_raw_fd()))?;
    let mut start = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut start)?;
    file.rewind()?;
    let native = start.starts_with(b"\x7fELF") || start.starts_with(b"#!");
    Ok((!native).then_some(file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_digest_is_of_the_content_whatever_the_times_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.wasm");
        let digests = Digests::default();
        let digest = || digests.of(&mut File::open(&path).unwrap()).unwrap();
        fs::write(&path, "one").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(digest(), Digest::of(b"one"));
        assert_eq!(digest(), Digest::of(b"one"));
        let other = dir.path().join("other");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &path).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(digest(), Digest::of(b"two"));
    }

    #[test]
    fn only_regular_files_that_are_no_programs_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let opened = |bytes: &[u8]| {
            let path = dir.path().join("file");
            fs::write(&path, bytes).unwrap();
            open_module(&OwnedFd::from(File::open(&path).unwrap()), 10).unwrap().is_some()
        };
        assert!(opened(b"\0asm\x01\0\0\0") && opened(b"(module)"));
        assert!(!opened(b"\x7fELF") && !opened(b"#!/bin/sh") && !opened(b"more than ten"));
        assert!(open_module(&OwnedFd::from(File::open(dir.path()).unwrap()), 10).unwrap().is_none());
    }
}
