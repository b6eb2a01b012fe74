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
        // Nor does anything of it belong into the container's output, when the reader is gone.
        let log = log.log_internal_errors(false);
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
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(plain)
    }
}

/// A logged line for people. libcontainer logs errors as Rust writes a structure down; in one of the kernel's refusals
/// three words of it count: which file, which value, what the kernel said.
fn plain(line: &str) -> String {
    let field = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name}: \""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    match (field("path"), field("data"), field("message")) {
        (Some(path), Some(data), Some(said)) => format!("writing {data:?} to {path}: {said}"),
        (Some(path), None, Some(said)) => format!("{path}: {said}"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_down_structure_becomes_a_sentence() {
        let logged = r#"failed to apply cgroup pid=Pid(7) err=V1(WrappedIo(Write { err: Os { code: 22, kind: InvalidInput, message: "Invalid argument" }, path: "/sys/fs/cgroup/cpu/c1/cpu.rt_runtime_us", data: "1000" })) init=true"#;
        let expected = r#"writing "1000" to /sys/fs/cgroup/cpu/c1/cpu.rt_runtime_us: Invalid argument"#;
        assert_eq!(plain(logged), expected);
        assert_eq!(plain("no such thing"), "no such thing");
    }
}
