//! A task of the mock containerd: built, created, started, and ended by the story that has it.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};

use super::rpc::{Connection, Refusal};
use super::{Event, MockContainerd};
use crate::{Captured, DEADLINE};

/// A task that has been created.
pub struct Task<'a> {
    pub(super) containerd: &'a MockContainerd,
    pub(super) connection: Connection,
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) creating: Duration,
    pub(super) bundle: PathBuf,
    pub(super) stdin: RefCell<Option<File>>,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
    pub(super) log: Captured,
    pub(super) _asleep: Vec<File>,
}

impl Task<'_> {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pid that create answered with.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How long the call of create took.
    pub fn creating(&self) -> Duration {
        self.creating
    }

    /// Its bundle.
    pub fn bundle(&self) -> &PathBuf {
        &self.bundle
    }

    /// What the kernel says of its memory (proc_pid_smaps(5)).
    pub fn smaps(&self) -> String {
        let file = self.containerd.cell().outside(format!("/proc/{}/smaps", self.pid));
        std::fs::read_to_string(file).unwrap()
    }

    /// What it wrote to its standard output.
    pub fn stdout(&self) -> &Captured {
        &self.stdout
    }

    /// What it wrote to its standard error.
    pub fn stderr(&self) -> &Captured {
        &self.stderr
    }

    /// What the daemon logged of it, if it was built with a log.
    pub fn log(&self) -> &Captured {
        &self.log
    }

    /// Starts it.
    #[track_caller]
    pub fn start(self) -> Self {
        self.try_start().unwrap_or_else(|refusal| panic!("start: {refusal}"));
        self
    }

    /// Starts it; its pid.
    #[track_caller]
    pub fn try_start(&self) -> Result<u32, Refusal> {
        let request = api::StartRequest { id: self.id.clone(), ..Default::default() };
        self.call("Start", &request).map(|answer: api::StartResponse| answer.pid)
    }

    /// Its state.
    #[track_caller]
    pub fn state(&self) -> Result<api::StateResponse, Refusal> {
        self.call("State", &api::StateRequest { id: self.id.clone(), ..Default::default() })
    }

    /// The daemon's pid and the task's.
    #[track_caller]
    pub fn connect(&self) -> api::ConnectResponse {
        self.call("Connect", &api::ConnectRequest { id: self.id.clone(), ..Default::default() }).unwrap()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn kill(&self, signal: u32) -> Result<(), Refusal> {
        self.signal(signal, false)
    }

    /// Sends a signal to all its processes.
    #[track_caller]
    pub fn kill_all(&self, signal: u32) -> Result<(), Refusal> {
        self.signal(signal, true)
    }

    fn signal(&self, signal: u32, all: bool) -> Result<(), Refusal> {
        let request = api::KillRequest { id: self.id.clone(), signal, all, ..Default::default() };
        self.call::<_, api::Empty>("Kill", &request).map(drop)
    }

    /// Waits for its end: the exit status.
    #[track_caller]
    pub fn wait(&self) -> u32 {
        let request = api::WaitRequest { id: self.id.clone(), ..Default::default() };
        let answer: api::WaitResponse =
            self.call("Wait", &request).unwrap_or_else(|refusal| panic!("wait: {refusal}"));
        assert!(answer.exited_at.seconds > 1_600_000_000, "exited at {:?}", answer.exited_at);
        answer.exit_status
    }

    /// Sets its terminal's size.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Refusal> {
        let request = api::ResizePtyRequest { id: self.id.clone(), width, height, ..Default::default() };
        self.call::<_, api::Empty>("ResizePty", &request).map(drop)
    }

    /// Stops its processes for a while.
    #[track_caller]
    pub fn pause(&self) -> Result<(), Refusal> {
        let request = api::PauseRequest { id: self.id.clone(), ..Default::default() };
        self.call::<_, api::Empty>("Pause", &request).map(drop)
    }

    /// Lets them go on.
    #[track_caller]
    pub fn resume(&self) -> Result<(), Refusal> {
        let request = api::ResumeRequest { id: self.id.clone(), ..Default::default() };
        self.call::<_, api::Empty>("Resume", &request).map(drop)
    }

    /// Gives it other resources, in the words of a `config.json`.
    #[track_caller]
    pub fn update(&self, resources: &serde_json::Value) -> Result<(), Refusal> {
        let resources = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources".to_owned(),
            value: resources.to_string().into_bytes(),
            ..Default::default()
        };
        let resources = MessageField::some(resources);
        let request = api::UpdateTaskRequest { id: self.id.clone(), resources, ..Default::default() };
        self.call::<_, api::Empty>("Update", &request).map(drop)
    }

    /// Its processes.
    #[track_caller]
    pub fn pids(&self) -> Vec<u32> {
        let request = api::PidsRequest { id: self.id.clone(), ..Default::default() };
        let answer: api::PidsResponse = self.call("Pids", &request).unwrap();
        answer.processes.iter().map(|process| process.pid).collect()
    }

    /// Its statistics: their type and bytes.
    #[track_caller]
    pub fn stats(&self) -> (String, Vec<u8>) {
        let request = api::StatsRequest { id: self.id.clone(), ..Default::default() };
        let answer: api::StatsResponse = self.call("Stats", &request).unwrap();
        (answer.stats.type_url.clone(), answer.stats.value.clone())
    }

    /// Writes to its standard input.
    pub fn type_in(&self, text: &str) {
        self.stdin.borrow_mut().as_mut().expect("built with an input").write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    #[track_caller]
    pub fn close_input(&self) {
        drop(self.stdin.borrow_mut().take());
        let request = api::CloseIORequest { id: self.id.clone(), stdin: true, ..Default::default() };
        self.call::<_, api::Empty>("CloseIO", &request)
            .unwrap_or_else(|refusal| panic!("close io: {refusal}"));
    }

    /// Calls whatever method of the task API.
    #[track_caller]
    pub fn call<Q: Message, A: Message>(&self, method: &str, request: &Q) -> Result<A, Refusal> {
        self.connection.call(method, request, DEADLINE)
    }

    /// Deletes it: the exit status.
    #[track_caller]
    pub fn try_delete(&self) -> Result<u32, Refusal> {
        let request = api::DeleteRequest { id: self.id.clone(), ..Default::default() };
        self.call("Delete", &request).map(|answer: api::DeleteResponse| answer.exit_status)
    }

    /// Deletes it, then lets the daemon go as containerd does. All output has come when this returns.
    #[track_caller]
    pub fn delete(&self) -> u32 {
        let status = self.try_delete().unwrap_or_else(|refusal| panic!("delete: {refusal}"));
        self.containerd.shut_down(&self.connection, &self.id);
        self.stdout.to_end(DEADLINE);
        self.stderr.to_end(DEADLINE);
        status
    }

    /// Waits for its end and deletes it: the exit status.
    #[track_caller]
    pub fn finish(&self) -> u32 {
        let status = self.wait();
        assert_eq!(self.delete(), status, "wait and delete agree on the exit status");
        status
    }

    /// Panics unless its events are these, in order.
    #[track_caller]
    pub fn expect_events(&self, names: &[&str]) -> Vec<Event> {
        self.containerd.expect_events(&self.id, names)
    }
}
