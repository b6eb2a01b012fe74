//! An exec of a mock task: one more process in it.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};
use serde_json::{Value, json};

use super::{Refusal, Task};
use crate::{Captured, DEADLINE};

/// An exec on its way.
pub struct ExecBuilder<'a> {
    task: &'a Task<'a>,
    id: String,
    process: Value,
    input: bool,
    terminal: bool,
}

/// An exec that was added.
pub struct Exec<'a> {
    task: &'a Task<'a>,
    id: String,
    stdin: RefCell<Option<File>>,
    stdout: Captured,
    stderr: Captured,
    /// Writing ends that keep the readers from an early end, until the shim has had its own.
    gates: RefCell<Vec<File>>,
}

impl Task<'_> {
    /// One more process in it, with that id and command; the rest as the container's own.
    pub fn exec<'a>(&'a self, id: &str, words: &[&str]) -> ExecBuilder<'a> {
        let config: Value =
            serde_json::from_slice(&std::fs::read(self.bundle.join("config.json")).unwrap()).unwrap();
        let mut process = config["process"].clone();
        process["args"] = json!(words);
        ExecBuilder { task: self, id: id.to_owned(), process, input: false, terminal: false }
    }

    /// Runs an exec to its end and deletes it: its exit status and standard output.
    #[track_caller]
    pub fn run_exec(&self, id: &str, words: &[&str]) -> (u32, String) {
        let exec = self.exec(id, words).add();
        exec.start();
        let status = exec.finish();
        (status, exec.stdout().so_far())
    }
}

impl<'a> ExecBuilder<'a> {
    /// Has a standard input to write to.
    pub fn with_input(mut self) -> Self {
        self.input = true;
        self
    }

    /// Has a terminal, and an input to type into.
    pub fn with_terminal(mut self) -> Self {
        self.terminal = true;
        self.input = true;
        self
    }

    /// Changes the process.
    pub fn configure(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.process);
        self
    }

    /// Adds it.
    #[track_caller]
    pub fn add(self) -> Exec<'a> {
        self.try_add().unwrap_or_else(|refusal| panic!("exec: {refusal}"))
    }

    /// Adds it, or tells why the shim would not.
    #[track_caller]
    pub fn try_add(mut self) -> Result<Exec<'a>, Refusal> {
        self.process["terminal"] = json!(self.terminal);
        let fifo = |name: &str| {
            let path = self.task.bundle.join(format!("{}-{name}", self.id));
            if !path.exists() {
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            }
            path
        };
        let text = |path: &Path| path.display().to_string();
        let (stdin, stdout, stderr) = (fifo("stdin"), fifo("stdout"), fifo("stderr"));
        let request = api::ExecProcessRequest {
            id: self.task.id.clone(),
            exec_id: self.id.clone(),
            terminal: self.terminal,
            stdin: if self.input { text(&stdin) } else { String::new() },
            stdout: text(&stdout),
            stderr: if self.terminal { String::new() } else { text(&stderr) },
            spec: MessageField::some(Any {
                type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".to_owned(),
                value: self.process.to_string().into_bytes(),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.task.call::<_, api::Empty>("Exec", &request)?;
        let open = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let stdin = self.input.then(|| open(stdin));
        let mut gates = Vec::new();
        let mut captured = |path: &Path| {
            let (reader, gate) = open_reader(path);
            gates.push(gate);
            Captured::from_reader(reader)
        };
        let stdout = captured(&stdout);
        let stderr = if self.terminal { Captured::nothing() } else { captured(&stderr) };
        let (stdin, gates) = (RefCell::new(stdin), RefCell::new(gates));
        Ok(Exec { task: self.task, id: self.id, stdin, stdout, stderr, gates })
    }
}

/// A FIFO's reading end, opened without waiting, and a writing end.
fn open_reader(path: &Path) -> (File, File) {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).unwrap();
    let gate = OpenOptions::new().write(true).open(path).unwrap();
    fcntl_setfl(&reader, OFlags::empty()).unwrap();
    (reader, gate)
}

impl Exec<'_> {
    /// Starts it; its pid.
    #[track_caller]
    pub fn start(&self) -> u32 {
        self.try_start().unwrap_or_else(|refusal| panic!("start exec: {refusal}"))
    }

    /// Starts it, or tells why the shim would not.
    #[track_caller]
    pub fn try_start(&self) -> Result<u32, Refusal> {
        let request =
            api::StartRequest { id: self.task.id.clone(), exec_id: self.id.clone(), ..Default::default() };
        let started = self.task.call("Start", &request).map(|answer: api::StartResponse| answer.pid);
        self.gates.borrow_mut().clear();
        started
    }

    /// What it wrote to its standard output, or what its terminal showed.
    pub fn stdout(&self) -> &Captured {
        &self.stdout
    }

    /// What it wrote to its standard error.
    pub fn stderr(&self) -> &Captured {
        &self.stderr
    }

    /// Writes to its standard input.
    pub fn type_in(&self, text: &str) {
        self.stdin.borrow_mut().as_mut().expect("built with an input").write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    #[track_caller]
    pub fn close_input(&self) {
        drop(self.stdin.borrow_mut().take());
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        let request = api::CloseIORequest { id, exec_id, stdin: true, ..Default::default() };
        self.task.call::<_, api::Empty>("CloseIO", &request).unwrap();
    }

    /// Sets its terminal's size.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Refusal> {
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        let request = api::ResizePtyRequest { id, exec_id, width, height, ..Default::default() };
        self.task.call::<_, api::Empty>("ResizePty", &request).map(drop)
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn kill(&self, signal: u32) -> Result<(), Refusal> {
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        let request = api::KillRequest { id, exec_id, signal, ..Default::default() };
        self.task.call::<_, api::Empty>("Kill", &request).map(drop)
    }

    /// Its state.
    #[track_caller]
    pub fn state(&self) -> Result<api::StateResponse, Refusal> {
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        self.task.call("State", &api::StateRequest { id, exec_id, ..Default::default() })
    }

    /// Waits for its end: the exit status.
    #[track_caller]
    pub fn wait(&self) -> u32 {
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        let request = api::WaitRequest { id, exec_id, ..Default::default() };
        self.task.call("Wait", &request).map(|answer: api::WaitResponse| answer.exit_status).unwrap()
    }

    /// Deletes it: the exit status.
    #[track_caller]
    pub fn try_delete(&self) -> Result<u32, Refusal> {
        let (id, exec_id) = (self.task.id.clone(), self.id.clone());
        let request = api::DeleteRequest { id, exec_id, ..Default::default() };
        self.task.call("Delete", &request).map(|answer: api::DeleteResponse| answer.exit_status)
    }

    /// Waits for its end and deletes it: the exit status. All output has come when this returns.
    #[track_caller]
    pub fn finish(&self) -> u32 {
        let status = self.wait();
        assert_eq!(self.try_delete(), Ok(status), "wait and delete agree on the exit status");
        self.stdout.to_end(DEADLINE);
        self.stderr.to_end(DEADLINE);
        for name in ["stdin", "stdout", "stderr"] {
            let _ = std::fs::remove_file(self.task.bundle.join(format!("{}-{name}", self.id)));
        }
        status
    }
}
