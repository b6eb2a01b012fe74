//! A finished command: how it ended and what it said.

use std::fmt;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::here;

/// A finished command.
#[derive(Debug)]
pub struct Finished {
    /// The command line.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, as text.
    pub stdout: String,
    /// Its standard output, as it came.
    pub bytes: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// Its exit code; 128+n if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }

    /// Panics with all it said unless it succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Panics with all it said unless it ended with that code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    /// Panics unless its standard error contains every one of the texts.
    #[track_caller]
    pub fn complaining(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "expected to read {text:?}\n{self}");
        }
        self
    }

    /// Panics unless its standard output is exactly this.
    #[track_caller]
    pub fn printing(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr, .. } = self;
        write!(f, "{command}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Runs a command to its end. Panics, its whole process group killed, if it is not over by the deadline.
#[track_caller]
pub fn finish(command: &mut Command, deadline: Duration) -> Finished {
    let line = line_of(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    drop(child.stdin.take());
    let stdout = reading(child.stdout.take());
    let stderr = reading(child.stderr.take());
    if !ended_within(&child, deadline) {
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
        let said = [stdout, stderr].map(|reader| text(&reader.join().unwrap()));
        panic!("not over within {deadline:?}: {line}\n--- stdout\n{}\n--- stderr\n{}", said[0], said[1]);
    }
    let status = child.wait().unwrap();
    let bytes = stdout.join().unwrap();
    Finished { command: line, status, stdout: text(&bytes), bytes, stderr: text(&stderr.join().unwrap()) }
}

/// Waits for a child without reaping it.
pub(crate) fn ended_within(child: &Child, deadline: Duration) -> bool {
    let deadline = here(deadline);
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let timeout = Timespec { tv_sec: deadline.as_secs() as i64, tv_nsec: deadline.subsec_nanos().into() };
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout))).unwrap() > 0
}

/// A command as a person would type it, without the way into the cell.
fn line_of(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let start = words.iter().position(|word| *word == "--").map_or(0, |at| at + 1);
    words[start..].iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn reading(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut from = from.expect("piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
