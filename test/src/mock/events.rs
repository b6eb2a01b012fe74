//! The events that a shim publishes, in the order in which they came.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use std::{fmt, fs};

use containerd_shim_protos::api::Empty;
use containerd_shim_protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed,
    TaskStart,
};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::ttrpc::{self, Server, TtrpcContext};
use containerd_shim_protos::{Events, create_events};

use crate::{DEADLINE, here};

/// One event of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The last word of its topic: `create`, `start`, `exit`, `delete`, …; an exec's exit is `exec-exit`.
    pub name: String,
    /// The task.
    pub id: String,
    /// The exec that it is about.
    pub exec: Option<String>,
    /// Its process, if the event names one.
    pub pid: u32,
    /// How it exited, in `exit` and `delete`.
    pub status: Option<u32>,
}

impl Event {
    fn from_envelope(envelope: &Envelope) -> Option<Self> {
        let name = envelope.topic.rsplit('/').next()?.to_owned();
        let bytes = &envelope.event.value;
        let about = |id: String, pid: u32, status: Option<u32>| Self {
            name: name.clone(),
            id,
            exec: None,
            pid,
            status,
        };
        match name.as_str() {
            "create" => {
                TaskCreate::parse_from_bytes(bytes).map(|event| about(event.container_id, event.pid, None))
            }
            "start" => {
                TaskStart::parse_from_bytes(bytes).map(|event| about(event.container_id, event.pid, None))
            }
            "exec-added" => TaskExecAdded::parse_from_bytes(bytes)
                .map(|event| Self { exec: Some(event.exec_id), ..about(event.container_id, 0, None) }),
            "exec-started" => TaskExecStarted::parse_from_bytes(bytes).map(|event| Self {
                exec: Some(event.exec_id),
                ..about(event.container_id, event.pid, None)
            }),
            "paused" => TaskPaused::parse_from_bytes(bytes).map(|event| about(event.container_id, 0, None)),
            "resumed" => TaskResumed::parse_from_bytes(bytes).map(|event| about(event.container_id, 0, None)),
            "oom" => TaskOOM::parse_from_bytes(bytes).map(|event| about(event.container_id, 0, None)),
            "exit" => TaskExit::parse_from_bytes(bytes).map(|event| {
                let exit = about(event.container_id, event.pid, Some(event.exit_status));
                if event.id == exit.id {
                    return exit;
                }
                Self { name: "exec-exit".to_owned(), exec: Some(event.id), ..exit }
            }),
            "delete" => TaskDelete::parse_from_bytes(bytes)
                .map(|event| about(event.container_id, event.pid, Some(event.exit_status))),
            _ => return None,
        }
        .ok()
    }
}

#[derive(Default)]
struct Received(Mutex<Vec<Event>>, Condvar);

impl Events for Received {
    fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        self.0.lock().unwrap().extend(Event::from_envelope(request.envelope()));
        self.1.notify_all();
        Ok(Empty::new())
    }
}

/// containerd's ttrpc socket, as far as events go.
pub(super) struct EventServer {
    socket: PathBuf,
    received: Arc<Received>,
    server: Mutex<Option<Server>>,
}

impl EventServer {
    pub(super) fn start(socket: &Path) -> Self {
        let this = Self { socket: socket.to_path_buf(), received: Arc::default(), server: Mutex::new(None) };
        this.resume();
        this
    }

    pub(super) fn resume(&self) {
        let mut server = Server::new()
            .bind(&format!("unix://{}", self.socket.display()))
            .unwrap()
            .register_service(create_events(self.received.clone()));
        server.start().unwrap();
        *self.server.lock().unwrap() = Some(server);
    }

    pub(super) fn stop(&self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.shutdown();
        }
        let _ = fs::remove_file(&self.socket);
    }

    pub(super) fn of(&self, id: &str) -> Vec<Event> {
        self.received.0.lock().unwrap().iter().filter(|event| event.id == id).cloned().collect()
    }

    #[track_caller]
    pub(super) fn expect(&self, id: &str, names: &[&str]) -> Vec<Event> {
        let end = Instant::now() + here(DEADLINE);
        let mut received = self.received.0.lock().unwrap();
        while received.iter().filter(|event| event.id == id).count() < names.len() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            received = self.received.1.wait_timeout(received, left).unwrap().0;
        }
        drop(received);
        let events = self.of(id);
        let came: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(came, names, "events of {id}: {events:#?}");
        events
    }
}

impl Drop for EventServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for EventServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventServer").field("socket", &self.socket).finish_non_exhaustive()
    }
}
