//! A draft: an artifact on its way into the cache.
//!
//! Its file is locked as long as it is being made. A maker that dies leaves an unlocked draft, which the next one
//! takes over; nothing that reads the cache ever looks at drafts.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, openat, renameat, statat, unlinkat};

use crate::{Artifact, Cache, CacheError, Description, Digest, Key};

const ARTIFACT_MODE: Mode = Mode::from_raw_mode(0o444);

/// An artifact that is being made. Dropped without [`Draft::publish`] it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    cache: Arc<Cache>,
    key: Key,
    file: File,
    begun: Instant,
    published: bool,
}

impl Draft {
    /// `None` if another process is making it.
    pub(crate) fn begin(cache: &Arc<Cache>, key: Key) -> Result<Option<Self>, CacheError> {
        let name = key.file("new");
        let failed = |error: io::Error| CacheError::writing(cache, error);
        loop {
            let file = open(cache.directory(), &name).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Its last maker may have published or dropped it since it was opened.
            if is_current(cache.directory(), &name, &file).map_err(failed)? {
                file.set_len(0).map_err(failed)?;
                return Ok(Some(Self {
                    cache: cache.clone(),
                    key,
                    file,
                    begun: Instant::now(),
                    published: false,
                }));
            }
        }
    }

    /// Where the artifact is to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes it an entry. Nobody may write to the file any more.
    ///
    /// # Errors
    /// When the disk is full or broken; then there is no entry.
    pub fn publish(mut self, module: Digest, source: &str, engine: &str) -> Result<Artifact, CacheError> {
        let published =
            self.write(module, source, engine).map_err(|error| CacheError::writing(&self.cache, error));
        self.published = published.is_ok();
        published
    }

    fn write(&self, module: Digest, source: &str, engine: &str) -> io::Result<Artifact> {
        let directory = self.cache.directory();
        let again = openat(directory, self.key.file("new"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut file = File::from(again);
        let description = Description {
            module,
            size: file.metadata()?.len(),
            artifact: Digest::of_rest(&mut file)?,
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            took: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            source: source.chars().filter(|c| !c.is_control()).take(256).collect(),
            engine: engine.to_owned(),
        };
        io::Seek::rewind(&mut file)?;
        fchmod(&self.file, ARTIFACT_MODE)?;
        self.file.sync_all()?;
        // The description first: an entry is there when its artifact is.
        let (new, json) = (self.key.file("json.new"), self.key.file("json"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut beside = File::from(openat(directory, &new, flags, ARTIFACT_MODE)?);
        fchmod(&beside, ARTIFACT_MODE)?;
        beside.write_all(&serde_json::to_vec_pretty(&description)?)?;
        beside.sync_all()?;
        renameat(directory, &new, directory, json)?;
        renameat(directory, self.key.file("new"), directory, self.key.file("so"))?;
        self.cache.sync()?;
        Ok(Artifact { file, description })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            for ending in ["json.new", "new"] {
                let _ = unlinkat(self.cache.directory(), self.key.file(ending), AtFlags::empty());
            }
        }
    }
}

/// Waits until nobody makes this key any more.
pub(crate) fn wait_for_maker(directory: BorrowedFd<'_>, key: &Key) -> io::Result<()> {
    match openat(
        directory,
        key.file("new"),
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        opened => File::from(opened?).lock_shared(),
    }
}

/// Whether a draft by that name has lost its maker.
pub(crate) fn is_abandoned(directory: BorrowedFd<'_>, name: &str) -> bool {
    let opened = openat(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    opened.is_ok_and(|file| File::from(file).try_lock().is_ok())
}

fn open(directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?))
}

fn is_current(directory: BorrowedFd<'_>, name: &str, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (ours.dev(), ours.ino())),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl AsFd for Draft {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
