//! The causes of a failure, as libcontainer logs them.
//!
//! The processes that libcontainer makes tell their parent an error's outermost sentence only ("failed to prepare
//! rootfs"); what was beneath it they log. The builder takes that log into a pipe which they all inherit, and
//! reads it when the making has failed.

use std::io::{PipeReader, PipeWriter, Read};

use nix::errno::Errno;
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

/// A logged line for people. libcontainer logs errors as Rust writes a structure down (`did what err=… name=…`); of that
/// three things count: which file or value, what was written into it, what the kernel said.
fn plain(line: &str) -> String {
    let quoted = |start: &str| Some(line.split_once(start)?.1.split_once('"')?.0);
    let what =
        line.split_once('=').and_then(|(start, _)| start.rsplit_once(' ')).map_or(line, |(what, _)| what);
    let Some(said) = quoted("message: \"").map(str::to_owned).or_else(|| errno(line)) else {
        return what.to_owned();
    };
    let path = ["path: \"", "path: Some(\"", "path=\""].into_iter().find_map(quoted);
    match (path, quoted("data: \""), quoted("=\"")) {
        (Some(path), Some(data), _) => format!("writing {data:?} to {path}: {said}"),
        (Some(path), None, _) => format!("{path}: {said}"),
        (None, _, Some(value)) => format!("{what} {value:?}: {said}"),
        (None, _, None) if what == line => line.to_owned(),
        (None, _, None) => format!("{what}: {said}"),
    }
}

/// What the first of the kernel's errors that stands in the line by its name means.
fn errno(line: &str) -> Option<String> {
    let named = |word: &str| (1..134).map(Errno::from_raw).find(|errno| format!("{errno:?}") == word);
    let words = line.split(|c: char| !c.is_ascii_alphanumeric());
    let errno = words.filter(|word| word.starts_with('E')).find_map(named)?;
    Some(errno.desc().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_down_structure_becomes_a_sentence() {
        let logged = r#"failed to apply cgroup pid=Pid(7) err=V1(WrappedIo(Write { err: Os { code: 22, kind: InvalidInput, message: "Invalid argument" }, path: "/sys/fs/cgroup/cpu/c1/cpu.rt_runtime_us", data: "1000" })) init=true"#;
        let expected = r#"writing "1000" to /sys/fs/cgroup/cpu/c1/cpu.rt_runtime_us: Invalid argument"#;
        assert_eq!(plain(logged), expected);
        let logged = r#"failed to set hostname err=Nix(EINVAL) hostname="a-long-one""#;
        assert_eq!(plain(logged), r#"failed to set hostname "a-long-one": invalid argument"#);
        let logged = r#"failed to open namespace file err=ENOENT namespace=LinuxNamespace { typ: Network, path: Some("/nope") }"#;
        assert_eq!(plain(logged), "/nope: no such file or directory");
        let logged =
            "failed to apply cgroup pid=Pid(7) err=V1(MemoryController(UnableToSet { target: 1 })) init=true";
        assert_eq!(plain(logged), "failed to apply cgroup");
        assert_eq!(plain("no such thing"), "no such thing");
    }
}
