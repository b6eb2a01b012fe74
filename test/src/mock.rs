//! The mock containerd: does to the shim what containerd does, without containerd.
//!
//! It executes the shim's `start` verb, speaks the task API over ttrpc to the address it answers with,
//! and is the server that the shim's events go to. Bundles look like containerd's:
//!
//! ```text
//! <cell>/bundles/<id>/config.json
//! <cell>/bundles/<id>/rootfs/app.wasm
//! <cell>/bundles/<id>/{stdin,stdout,stderr}      FIFOs
//! ```

mod bundle;
mod config;
mod events;
mod exec;
mod fifos;
mod rpc;
mod task;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use containerd_shim_protos::api;
use serde_json::Value;

pub use bundle::TaskBuilder;
pub use events::Event;
pub use exec::{Exec, ExecBuilder};
pub use rpc::{ApiVersion, Refusal};
pub use task::Task;

use crate::{Cell, DEADLINE, Finished, finish, guests::Guest, product};
use events::EventServer;
use rpc::Connection;

/// The part of containerd that a shim sees.
#[derive(Debug)]
pub struct MockContainerd {
    cell: Cell,
    events: EventServer,
    api: ApiVersion,
    tasks: AtomicU32,
    shim: Mutex<PathBuf>,
}

impl MockContainerd {
    /// One that speaks task API v3.
    pub fn start() -> Self {
        Self::speaking(ApiVersion::V3)
    }

    /// One that speaks that version of the task API.
    pub fn speaking(api: ApiVersion) -> Self {
        let cell = Cell::new();
        let events = EventServer::start(&cell.directory().join("c.sock.ttrpc"));
        let shim = Mutex::new(product("bin/containerd-shim-wasmedge-v1"));
        Self { cell, events, api, tasks: AtomicU32::new(0), shim }
    }

    /// Installs the product below the cell's directory, over what was installed there before, and uses it from now on.
    /// The prefix.
    #[track_caller]
    pub fn install(&self) -> PathBuf {
        let prefix = self.cell.directory().join("prefix");
        let from = product("bin").parent().unwrap().join(".");
        fs::create_dir_all(&prefix).unwrap();
        // As `make install` does it.
        let mut copy = Command::new("cp");
        finish(copy.args(["-r", "--remove-destination"]).arg(from).arg(&prefix), DEADLINE).success();
        *self.shim.lock().unwrap() = prefix.join("bin/containerd-shim-wasmedge-v1");
        prefix
    }

    /// A task whose image has this guest at `/app.wasm`, its entrypoint.
    pub fn task(&self, guest: Guest) -> TaskBuilder<'_> {
        self.bare_task().file("/app.wasm", &guest.bytes().unwrap(), 0o755).command(&["/app.wasm"])
    }

    /// A task with an empty image.
    pub fn bare_task(&self) -> TaskBuilder<'_> {
        let id = format!("{}-{}", self.cell.name(), self.tasks.fetch_add(1, Ordering::Relaxed));
        self.bare_task_named(&id)
    }

    /// A task with an empty image and that id, which another had before.
    pub fn bare_task_named(&self, id: &str) -> TaskBuilder<'_> {
        TaskBuilder::new(self, id.to_owned())
    }

    /// The cell it all happens in.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// Waits for as many events of the task as are named, and panics unless they are these, in order.
    #[track_caller]
    pub fn expect_events(&self, id: &str, names: &[&str]) -> Vec<Event> {
        self.events.expect(id, names)
    }

    /// How many events of the task have come so far.
    pub fn count_events(&self, id: &str) -> usize {
        self.events.of(id).len()
    }

    /// Stops taking events and closes their socket, as a containerd that dies.
    pub fn stop_events(&self) {
        self.events.stop();
    }

    /// Takes events again on the same socket.
    pub fn resume_events(&self) {
        self.events.resume();
    }

    /// Executes a verb of the shim in that working directory, as containerd does.
    #[track_caller]
    pub fn verb(&self, verb: &str, id: &str, directory: &Path) -> Finished {
        finish(&mut self.verb_command(verb, id, directory), DEADLINE)
    }

    /// Executes a verb with bytes on its standard input.
    #[track_caller]
    pub fn verb_with_input(&self, verb: &str, id: &str, directory: &Path, input: &[u8]) -> Finished {
        let file = directory.join("verb-input");
        fs::File::create(&file).unwrap().write_all(input).unwrap();
        let mut command = self.verb_command(verb, id, directory);
        finish(command.stdin(Stdio::from(fs::File::open(file).unwrap())), DEADLINE)
    }

    fn verb_command(&self, verb: &str, id: &str, directory: &Path) -> Command {
        let containerd = self.address();
        let mut command = self.cell.command("env");
        command
            .arg(format!("--chdir={}", directory.display()))
            .arg(&*self.shim.lock().unwrap())
            .args(["-namespace", self.cell.name(), "-address"])
            .arg(&containerd)
            .args(["-publish-binary", "containerd", "-id", id, verb])
            .env("TTRPC_ADDRESS", format!("{}.ttrpc", containerd.display()))
            .env("GRPC_ADDRESS", &containerd)
            .env("NAMESPACE", self.cell.name())
            .env("MAX_SHIM_VERSION", "3");
        command
    }

    /// The address of the containerd that it plays.
    pub fn address(&self) -> PathBuf {
        self.cell.directory().join("c.sock")
    }

    /// The ttrpc address of the daemon that a `start` answered with.
    #[track_caller]
    pub fn address_in(answer: &Finished) -> String {
        let answer: Value =
            serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(answer["protocol"], "ttrpc");
        answer["address"].as_str().unwrap().to_owned()
    }

    fn connect(&self, address: &str) -> Connection {
        let socket = address.strip_prefix("unix://").unwrap_or(address);
        Connection::to(&self.cell.outside(socket), self.api)
    }

    /// Asks a daemon to shut down, as containerd does after each delete. The daemon may be gone already.
    fn shut_down(&self, connection: &Connection, id: &str) {
        let request = api::ShutdownRequest { id: id.to_owned(), ..Default::default() };
        let _ = connection.call::<_, api::Empty>("Shutdown", &request, Duration::from_secs(5));
    }
}

impl Drop for MockContainerd {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.cell.expect_nothing_left(&[], Duration::from_secs(5));
        }
    }
}
