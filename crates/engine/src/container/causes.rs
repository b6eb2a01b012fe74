//! The causes of a failure, as libcontainer logs them.
//!
//! The processes that libcontainer makes tell their parent an error's outermost sentence only ("failed to prepare
//! rootfs"); what was beneath it they log. The builder takes that log into a pipe which they all inherit, and
//! reads it when the making has failed.

use std::io::{PipeReader, PipeWriter, Read};

use tracing_subscriber::fmt::MakeWriter;

/// More than this is not read: the first lines are the innermost causes.
const LONGEST: u64 = 4096;

/// The reading end.
pub(super) struct Causes(PipeReader);

#[derive(Debug)]
struct Log(PipeWriter);

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a PipeWriter;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

impl Causes {
    /// From here on, errors that this process or its children log are remembered. `None` if they cannot be.
    pub(super) fn listen() -> Option<Self> {
        let (reader, writer) = std::io::pipe().ok()?;
        // A full pipe must not stop anybody, and reading never waits.
        rustix::io::ioctl_fionbio(&writer, true).ok()?;
        rustix::io::ioctl_fionbio(&reader, true).ok()?;
        let log = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::ERROR);
        let log = log.without_time().with_level(false).with_target(false).with_ansi(false);
        log.with_writer(Log(writer)).try_init().ok()?;
        Some(Self(reader))
    }

    /// What was logged first, if anything: the error nearest to its cause.
    pub(super) fn innermost(&self) -> Option<String> {
        let mut bytes = Vec::new();
        // Ends with "would block" while a process still has the pipe open.
        let _ = (&self.0).take(LONGEST).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}
