//! An output is the reading end of a FIFO that the daemon keeps beside that of whoever is to read it, so that a guest can go
//! on writing without a reader.
//!
//! What is in a FIFO is lost when the last who has it open closes it, and containerd gives up opening its end once it hears
//! of the exit. A guest may be faster than that opening; runc's shim does not make a container before. So an output that had
//! no reader when it was opened, and has been written to, is let go of only when it has one, or has had its time.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use tokio::time::{Instant, sleep};

/// How long a reader may take to come after the end.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked for: the kernel wakes nobody who waits for a reader with a FIFO open.
const INTERVAL: Duration = Duration::from_millis(5);

/// One FIFO's.
#[derive(Debug)]
pub(super) struct Output {
    reader: OwnedFd,
    attended: bool,
}

impl Output {
    /// `attended` says whether somebody else had it open for reading before.
    pub(super) fn new(reader: OwnedFd, attended: bool) -> Self {
        Self { reader, attended }
    }

    pub(super) fn is_attended(&self) -> bool {
        self.attended
    }

    /// Closes it, once what is in it has a reader or [`PATIENCE`] is over. Nobody of the container writes any more.
    pub(super) async fn let_go(self) -> Result<()> {
        if self.attended || rustix::io::ioctl_fionread(&self.reader).context("looking into a FIFO")? == 0 {
            return Ok(());
        }
        let path = format!("/proc/self/fd/{}", self.reader.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // It keeps the content, and does not count as a reader.
        let writer = rustix::fs::open(path, flags, Mode::empty()).context("opening a FIFO once more")?;
        drop(self.reader);
        let end = Instant::now() + PATIENCE;
        while !has_reader(&writer)? && Instant::now() < end {
            sleep(INTERVAL).await;
        }
        Ok(())
    }
}

/// A writing end without a reader is an error to poll(2).
fn has_reader(writer: impl AsFd) -> Result<bool> {
    let mut polled = [PollFd::new(&writer, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut polled, Some(&now))).context("looking for a FIFO's reader")?;
    Ok(!polled[0].revents().contains(PollFlags::ERR))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};

    use rustix::fs::{CWD, FileType, mknodat};
    use tokio::time::timeout;

    use super::*;

    fn fifo(dir: &Path) -> PathBuf {
        let path = dir.join("stdout");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        path
    }

    fn open_reader(path: &Path) -> File {
        File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path).unwrap()
    }

    fn write(path: &Path) {
        File::options().write(true).open(path).unwrap().write_all(b"last words").unwrap();
    }

    #[test]
    fn what_nobody_has_read_is_kept_until_a_reader_comes() {
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let output = Output::new(open_reader(&path).into(), false);
            write(&path);
            let mut letting_go = Box::pin(output.let_go());
            assert!(timeout(INTERVAL * 3, &mut letting_go).await.is_err(), "nobody reads yet");
            let mut reader = open_reader(&path);
            letting_go.await.unwrap();
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "last words");
        });
    }

    #[test]
    fn what_has_a_reader_or_was_never_written_to_is_let_go_of_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = fifo(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let at_once = |output: Output| async { timeout(Duration::ZERO, output.let_go()).await.unwrap() };
            at_once(Output::new(open_reader(&path).into(), false)).await.unwrap();
            for attended in [true, false] {
                let _other = open_reader(&path);
                let output = Output::new(open_reader(&path).into(), attended);
                write(&path);
                at_once(output).await.unwrap();
            }
        });
    }
}
