//! A container as `ctr run` makes it.

use std::process::{Child, Stdio};

use super::{Containerd, RUNTIME};
use crate::{Captured, DEADLINE, Finished, finish};

/// A `ctr run` on its way.
pub struct CtrRun<'a> {
    containerd: &'a Containerd,
    runtime: String,
    image: String,
    id: String,
    flags: Vec<String>,
    words: Vec<String>,
}

impl<'a> CtrRun<'a> {
    pub(super) fn new(containerd: &'a Containerd, image: &str) -> Self {
        Self {
            containerd,
            runtime: RUNTIME.to_owned(),
            image: image.to_owned(),
            id: containerd.new_id(),
            flags: Vec::new(),
            words: Vec::new(),
        }
    }

    /// What follows the module, `/app.wasm`; ctr wants to be told the whole command.
    pub fn args(self, words: &[&str]) -> Self {
        self.command_line(&[&["/app.wasm"], words].concat())
    }

    /// The whole command, in place of the image's.
    pub fn command_line(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// More flags of `ctr run`.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// An id of the story's choice.
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Another runtime, to compare with.
    pub fn runtime(mut self, runtime: &str) -> Self {
        runtime.clone_into(&mut self.runtime);
        self
    }

    /// Runs it to its end and removes it.
    #[track_caller]
    pub fn run(self) -> Finished {
        finish(&mut self.command(&["--rm"]), DEADLINE)
    }

    /// Starts it; its id.
    #[track_caller]
    pub fn detached(self) -> String {
        finish(&mut self.command(&["--detach", "--null-io"]), DEADLINE).success();
        self.id
    }

    /// Starts it with this process as its reader; it is removed when it ends.
    #[track_caller]
    pub fn attached(self) -> Attached<'a> {
        let mut command = self.command(&["--rm"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Captured::from_reader(process.stdout.take().unwrap());
        let stderr = Captured::from_reader(process.stderr.take().unwrap());
        Attached { containerd: self.containerd, id: self.id, process, stdout, stderr }
    }

    fn command(&self, flags: &[&str]) -> std::process::Command {
        let mut ctr = self.containerd.ctr_command();
        ctr.args(["run", "--runtime", &self.runtime]).args(flags).args(&self.flags);
        ctr.args(["--cgroup", &format!("/{}/{}", self.containerd.namespace(), self.id)]);
        ctr.args([&self.image, &self.id]).args(&self.words);
        ctr
    }
}

/// A `ctr run` that goes on.
pub struct Attached<'a> {
    containerd: &'a Containerd,
    id: String,
    process: Child,
    stdout: Captured,
    stderr: Captured,
}

impl Attached<'_> {
    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What came from its standard output.
    pub fn stdout(&self) -> &Captured {
        &self.stdout
    }

    /// What came from its standard error.
    pub fn stderr(&self) -> &Captured {
        &self.stderr
    }

    /// Its process, as the cell numbers them.
    pub fn pid(&self) -> i32 {
        self.containerd.pid_of(&self.id)
    }

    /// Sends it a signal, such as `SIGTERM`.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.containerd.ctr(&["task", "kill", "--signal", signal, &self.id]).success();
    }

    /// Waits for its end: the exit code.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        assert!(crate::finished::ended_within(&self.process, DEADLINE), "{} does not end", self.id);
        self.process.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Containerd {
    /// A running container's process, as the cell numbers them.
    #[track_caller]
    pub fn pid_of(&self, id: &str) -> i32 {
        let list = self.ctr(&["task", "list"]).success().stdout;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id));
        let pid = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        pid.unwrap_or_else(|| panic!("no task {id} in\n{list}"))
    }
}
