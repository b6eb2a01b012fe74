//! A daemon of the cluster: one process in a cell, with an account by its name and its log in a file of the cell's
//! directory.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};

use crate::Cell;
use crate::cell::only_child;
use crate::containerd::last_lines;

/// A daemon that was started and can be started again.
pub(super) struct Daemon {
    program: PathBuf,
    args: Vec<String>,
    path: Option<String>,
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Daemon {
    /// Starts a program in the cell.
    pub(super) fn start(cell: &Cell, program: &Path, args: &[&str]) -> Self {
        Self::start_with_path(cell, program, args, None)
    }

    /// Starts it with another search path than the cell's.
    pub(super) fn start_with_path(cell: &Cell, program: &Path, args: &[&str], path: Option<String>) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let args: Vec<_> = args.iter().map(|&word| word.to_owned()).collect();
        let log = cell.directory().join(format!("{name}.log"));
        let child = Mutex::new(spawn(cell, program, &args, path.as_deref(), &log));
        let daemon = Self { program: program.to_path_buf(), args, path, name, log, child };
        daemon.open_account(cell);
        daemon
    }

    /// Kills it, and starts it again after `between`.
    pub(super) fn restart(&self, cell: &Cell, between: impl FnOnce()) {
        let mut child = self.child.lock().unwrap();
        let daemon = Pid::from_raw(only_child(child.id())).unwrap();
        kill_process(daemon, Signal::KILL).unwrap();
        child.wait().unwrap();
        between();
        *child = spawn(cell, &self.program, &self.args, self.path.as_deref(), &self.log);
        drop(child);
        self.open_account(cell);
    }

    fn open_account(&self, cell: &Cell) {
        cell.open_account(&self.name, only_child(self.child.lock().unwrap().id()));
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("--- {}\n{}", self.log.display(), last_lines(&log, 40))
    }

    /// Panics with its log if it is no longer there.
    pub(super) fn expect_alive(&self) {
        let ended = self.child.lock().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{} has ended\n{}", self.program.display(), self.last_words());
    }
}

fn spawn(cell: &Cell, program: &Path, args: &[String], path: Option<&str>, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = cell.command(program);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.args(args).stdout(log.try_clone().unwrap()).stderr(log).process_group(0).spawn().unwrap()
}
