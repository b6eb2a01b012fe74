//! A turn: the right to run a compiler, of which a node has only so many, however many processes want one.
//!
//! Each is a lock on a file of the cache's directory, which all processes that compile share. It is given up when it
//! is dropped, or its owner dies.

use std::fs::{File, TryLockError};
use std::ops::Range;

use rustix::fs::{Mode, OFlags, openat};

use crate::{Cache, CacheError};

/// The right to run a compiler, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Cache {
    /// One of these turns; `None` if all of them are taken.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn try_turn(&self, turns: Range<usize>) -> Result<Option<Turn>, CacheError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        for number in turns {
            let opened = openat(self.directory(), format!("turn-{number}"), flags, Mode::RUSR | Mode::WUSR);
            let file = File::from(opened.map_err(|error| CacheError::writing(self, error.into()))?);
            match file.try_lock() {
                Ok(()) => return Ok(Some(Turn { _lock: file })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(CacheError::writing(self, error)),
            }
        }
        Ok(None)
    }
}
