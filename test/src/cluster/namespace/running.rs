//! A kubectl that goes on: it follows a log, forwards a port, is attached to a container.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::finished::ended_within;
use crate::{Captured, DEADLINE};

/// A running kubectl; it is killed when it is dropped.
pub struct Running {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take();
        let stdout = Captured::from_reader(process.stdout.take().unwrap());
        let stderr = Captured::from_reader(process.stderr.take().unwrap());
        Self { process, stdin, stdout, stderr }
    }

    /// What it wrote.
    pub fn stdout(&self) -> &Captured {
        &self.stdout
    }

    /// What it complained of.
    pub fn stderr(&self) -> &Captured {
        &self.stderr
    }

    /// Types something.
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end: its exit code.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        assert!(ended_within(&self.process, DEADLINE), "it does not end\n{}", self.stderr.so_far());
        self.process.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its whole group: the process of ours is only the way into the cell.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}
