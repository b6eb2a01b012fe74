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

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, openat, renameat, statat};

use crate::entry::check_own;
use crate::removal::remove;
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
        let begun = loop {
            match Self::new_file(cache.directory(), &name)
                .map_err(|error| CacheError::writing(cache, error))?
            {
                Attempt::Ours(file) => break file,
                Attempt::Theirs => return Ok(None),
                Attempt::Again => {}
            }
        };
        Ok(Some(Self { cache: cache.clone(), key, file: begun, begun: Instant::now(), published: false }))
    }

    /// Makes the file and locks it; or, if there is something by its name that no maker holds, removes that.
    fn new_file(directory: BorrowedFd<'_>, name: &str) -> io::Result<Attempt> {
        let (file, is_new) = match create(directory, name) {
            Ok(file) => (Some(file), true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match open(directory, name) {
                Ok(file) => (file, false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Attempt::Again),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        if let Some(file) = file {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Theirs),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Its maker may have published or dropped it, or another one removed it, since it was opened.
            if !is_current(directory, name, &file)? {
                return Ok(Attempt::Again);
            }
            if is_new {
                return Ok(Attempt::Ours(file));
            }
        }
        // No file of ours, or left by a maker that died; not written over, since it could have another name.
        remove(directory, name)?;
        Ok(Attempt::Again)
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
            key: self.key,
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
        let [new, json, so] = ["json.new", "json", "so"].map(|ending| self.key.file(ending));
        for name in [&new, &json, &so] {
            remove(directory, name)?;
        }
        let mut beside = create(directory, &new)?;
        fchmod(&beside, ARTIFACT_MODE)?;
        beside.write_all(&serde_json::to_vec_pretty(&description)?)?;
        beside.sync_all()?;
        renameat(directory, &new, directory, json)?;
        renameat(directory, self.key.file("new"), directory, so)?;
        self.cache.sync()?;
        Ok(Artifact { file, description })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            for ending in ["json.new", "new"] {
                let _ = remove(self.cache.directory(), &self.key.file(ending));
            }
        }
    }
}

/// What came of an attempt to have a draft's file.
enum Attempt {
    /// It is there, empty and locked.
    Ours(File),
    /// Another maker has it.
    Theirs,
    /// Something was in the way, and is gone.
    Again,
}

/// Waits until nobody makes this key any more.
pub(crate) fn wait_for_maker(directory: BorrowedFd<'_>, key: &Key) -> io::Result<()> {
    match open(directory, &key.file("new")) {
        Ok(Some(file)) => file.lock_shared(),
        Ok(None) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether what has that name is no draft that somebody makes.
pub(crate) fn is_abandoned(directory: BorrowedFd<'_>, name: &str) -> bool {
    match open(directory, name) {
        Ok(Some(file)) => file.try_lock().is_ok(),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn create(directory: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?))
}

/// `None`: it is no file of ours.
fn open(directory: BorrowedFd<'_>, name: &str) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        // A link, and a socket.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(None),
        opened => File::from(opened?),
    };
    let is_ours = check_own(&file.metadata()?).is_ok();
    Ok(is_ours.then_some(file))
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
