//! FIFOs: the streams that containerd makes for a task in its bundle, and who is at their other ends.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::Captured;

/// The far ends of a task's output.
pub(super) struct Fifos {
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    /// Ends that are open and that nobody reads.
    pub(super) asleep: Vec<File>,
}

/// Who reads a task's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Somebody who keeps it.
    Collect,
    /// Somebody who counts its bytes.
    Count,
    /// Somebody who has it open, and does not read.
    Asleep,
    /// Nobody ever opens it.
    Absent,
    /// There is no output.
    None,
}

impl Fifos {
    /// Makes them, and opens what is to be read; standard error only where there is no terminal.
    pub(super) fn make(bundle: &Path, readers: Readers, input: bool, terminal: bool) -> Self {
        if input || readers == Readers::Absent {
            fifo(bundle, "stdin");
        }
        if readers == Readers::None {
            return Self { stdout: Captured::nothing(), stderr: Captured::nothing(), asleep: Vec::new() };
        }
        let paths = ["stdout", "stderr"].map(|name| fifo(bundle, name));
        let opening = |path: PathBuf| move || File::open(path).unwrap();
        let reader = |path: PathBuf| match readers {
            Readers::Collect => Captured::from_opening(opening(path)),
            Readers::Count => Captured::counting(opening(path)),
            Readers::Asleep | Readers::Absent | Readers::None => Captured::nothing(),
        };
        let asleep = if readers == Readers::Asleep {
            paths.iter().map(|path| open_both_ways(path)).collect()
        } else {
            Vec::new()
        };
        let [stdout, mut stderr] = paths.map(reader);
        if terminal {
            stderr = Captured::nothing();
        }
        Self { stdout, stderr, asleep }
    }
}

/// Makes one below the bundle.
pub(super) fn fifo(bundle: &Path, name: &str) -> PathBuf {
    let path = bundle.join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Opens one without waiting for anybody.
pub(super) fn open_both_ways(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}
