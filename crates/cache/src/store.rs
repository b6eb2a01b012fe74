//! The store: the cache's directory, opened once, and what is asked of it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::fs::{StatVfsMountFlags, fstat, fstatvfs, mkdirat, openat, statat};

use crate::entry::{self, Stamp};
use crate::removal::remove;
use crate::{Artifact, Description, Draft, Fault, Key, draft};

/// A use is noted when the last one that was is older than this: to note one changes the file, as a stamp has it.
const NOTED: Duration = Duration::from_secs(60);

/// A cache directory that was found to be safe.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    directory: OwnedFd,
    /// Artifacts whose bytes were looked at, and what their files were then.
    known: Mutex<HashMap<Key, Stamp>>,
}

/// Why the cache cannot be used. Nobody needs it: a module without native code is interpreted.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The directory cannot be made, opened or read.
    #[error("the cache {path}: {error}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// Somebody else could put code there.
    #[error("the cache {path} is not used: {fault}")]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// An entry cannot be written.
    #[error("writing to the cache {path}: {error}")]
    Writing {
        /// The directory.
        path: PathBuf,
        /// The cause; a full disk, for example.
        error: io::Error,
    },
}

/// An entry as a list shows it.
#[derive(Debug)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// The bytes of its artifact.
    pub size: u64,
    /// When it was last asked for.
    pub used: SystemTime,
    /// What it says of itself, if that can be read.
    pub description: Option<Description>,
}

/// An entry that was not what it should be.
#[derive(Debug)]
pub struct Damaged {
    /// Its key.
    pub key: Key,
    /// What is wrong with it.
    pub fault: Fault,
    /// Whether it is gone.
    pub removed: Result<(), CacheError>,
}

impl CacheError {
    pub(crate) fn writing(cache: &Cache, error: io::Error) -> Self {
        Self::Writing { path: cache.path.clone(), error }
    }
}

impl Cache {
    /// Opens the directory, making it (but not its parent's parent) if it is not there.
    ///
    /// # Errors
    /// When it cannot be used, or is not this user's alone.
    pub fn open(path: &Path) -> Result<Arc<Self>, CacheError> {
        let failed = |error: io::Error| CacheError::Directory { path: path.to_owned(), error };
        for missing in path.parent().into_iter().chain([path]) {
            let mode = if missing == path {
                Mode::RWXU
            } else {
                Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH
            };
            match mkdirat(CWD, missing, mode) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            File::from(openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
        check(&directory).map_err(|fault| CacheError::Unsafe { path: path.to_owned(), fault })?;
        Ok(Arc::new(Self { path: path.to_owned(), directory: directory.into(), known: Mutex::default() }))
    }

    /// Whether the directory still is the one by its path, and this user's alone. If not, it must be opened anew.
    pub fn is_current(&self) -> bool {
        let is_sound = self.directory.try_clone().is_ok_and(|ours| check(&File::from(ours)).is_ok());
        let (Ok(ours), Ok(there)) =
            (fstat(&self.directory), statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW))
        else {
            return false;
        };
        is_sound && (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    }

    /// The artifact with that key, marked as used now, to the minute; `None` if there is none. What is no sound entry is
    /// removed, and `told` hears why. The bytes are looked at once per file and process, and whenever it was changed.
    pub fn find(&self, key: &Key, told: impl FnOnce(&Fault)) -> Option<Artifact> {
        match self.checked(key, false) {
            Ok(artifact) => {
                self.note_use(key, &artifact);
                Some(artifact)
            }
            Err(Fault::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(fault) => {
                told(&fault);
                let _ = self.remove(key);
                None
            }
        }
    }

    fn note_use(&self, key: &Key, artifact: &Artifact) {
        let stamp = || artifact.file.metadata().map(|metadata| Stamp::of(&metadata));
        let noted = artifact.file.metadata().and_then(|metadata| metadata.accessed());
        let is_recent = noted.is_ok_and(|then| then.elapsed().is_ok_and(|age| age < NOTED));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What was checked is what is marked: else it has to be checked again.
        if is_recent || !stamp().is_ok_and(|now| known.get(key) == Some(&now)) {
            return;
        }
        let times = [UTIME_NOW, UTIME_OMIT].map(|nsec| Timespec { tv_sec: 0, tv_nsec: nsec });
        let times = Timestamps { last_access: times[0], last_modification: times[1] };
        // No more than a hint.
        let _ = rustix::fs::futimens(&artifact.file, &times);
        if let Ok(now) = stamp() {
            known.insert(*key, now);
        }
    }

    /// Begins to make the artifact with that key; `None` if another process is at it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn begin(self: &Arc<Self>, key: Key) -> Result<Option<Draft>, CacheError> {
        Draft::begin(self, key)
    }

    /// Waits, blocking, until no other process makes that key.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn wait_for_maker(&self, key: &Key) -> Result<(), CacheError> {
        draft::wait_for_maker(self.directory(), key).map_err(|error| CacheError::writing(self, error))
    }

    /// All entries, in no order.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CacheError> {
        let listed = self.names()?.into_iter().filter_map(|name| {
            let key: Key = name.strip_suffix(".so")?.parse().ok()?;
            let found = statat(self.directory(), &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let used = Duration::new(found.st_atime.unsigned_abs(), u32::try_from(found.st_atime_nsec).ok()?);
            let description =
                entry::open(self.directory(), &key).ok().map(|(artifact, _)| artifact.description);
            Some(Listed { key, size: found.st_size.unsigned_abs(), used: UNIX_EPOCH + used, description })
        });
        Ok(listed.collect())
    }

    /// Looks at every byte of every entry, and removes those that are not what they should be.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn verify(&self) -> Result<Vec<Damaged>, CacheError> {
        let checked = |Listed { key, .. }| {
            let fault = self.checked(&key, true).err()?;
            Some(Damaged { key, fault, removed: self.remove(&key) })
        };
        Ok(self.list()?.into_iter().filter_map(checked).collect())
    }

    /// Removes an entry, if it is there. Containers that run it go on.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn remove(&self, key: &Key) -> Result<(), CacheError> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        for ending in ["so", "json"] {
            remove(self.directory(), &key.file(ending)).map_err(|error| CacheError::writing(self, error))?;
        }
        Ok(())
    }

    fn checked(&self, key: &Key, thoroughly: bool) -> Result<Artifact, Fault> {
        let (artifact, stamp) = entry::open(self.directory(), key)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied();
        if thoroughly || known != Some(stamp) {
            entry::check_bytes(&artifact)?;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(*key, stamp);
        }
        Ok(artifact)
    }

    pub(crate) fn names(&self) -> Result<Vec<String>, CacheError> {
        let failed =
            |error: rustix::io::Errno| CacheError::Directory { path: self.path.clone(), error: error.into() };
        let entries = Dir::read_from(&self.directory).map_err(failed)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
        Ok(names.collect())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Whether native code can safely be loaded from that directory.
fn check(directory: &File) -> Result<(), Fault> {
    entry::check_owner(&directory.metadata()?)?;
    let flags = fstatvfs(directory).map_err(io::Error::from)?.f_flag;
    if flags.contains(StatVfsMountFlags::NOEXEC) { Err(Fault::NoExec) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
