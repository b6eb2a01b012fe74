//! Events are what containerd is told without having asked: a container was created, has started, exited, was deleted.
//!
//! They are sent one after the other, in the order in which they happened. While containerd is away they wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use containerd_shim_protos::events::task;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageField, MessageFull};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::{topics, ttrpc};
use tokio::sync::Notify;

use super::container::Container;
use super::process::Process;
use crate::remains::Exit;

/// The most events that wait; beyond it the oldest are dropped.
const MOST: usize = 16 * 1024;
/// How long containerd may take to accept one.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to reach containerd.
const RETRY: Duration = Duration::from_millis(200);

/// Something that happened to a process, or with it to its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Created { pid: u32 },
    ExecAdded,
    Started { pid: u32 },
    Paused,
    Resumed,
    OutOfMemory,
    Exited { pid: u32, exit: Exit },
    Deleted { pid: u32, exit: Exit },
}

/// The way to containerd.
#[derive(Debug)]
pub(super) struct Events {
    namespace: String,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<Envelope>>,
    arrived: Notify,
    emptied: Notify,
}

impl Events {
    /// Starts to send, within the event loop.
    pub(super) fn start(address: String, namespace: String) -> Self {
        let queue = Arc::new(Queue::default());
        tokio::spawn(send_all(address, queue.clone()));
        Self { namespace, queue }
    }

    /// Tells containerd, in due course.
    pub(super) fn publish(&self, container: &Container, process: &Process, event: Event) {
        match self.envelope(container, process, event) {
            Ok(envelope) => self.queue.push(envelope),
            Err(error) => log::error!(target: container.id(), "an event cannot be told: {error:#}"),
        }
    }

    /// Waits until containerd has heard everything, for a few seconds at most.
    pub(super) async fn flush(&self) {
        let emptied = async {
            while !self.queue.waiting().is_empty() {
                self.queue.emptied.notified().await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, emptied).await;
    }

    fn envelope(&self, container: &Container, process: &Process, event: Event) -> Result<Envelope> {
        let (topic, event) = encode(container, process, event)?;
        Ok(Envelope {
            timestamp: MessageField::some(SystemTime::now().into()),
            namespace: self.namespace.clone(),
            topic: topic.to_owned(),
            event: MessageField::some(event),
            ..Default::default()
        })
    }
}

impl Queue {
    fn push(&self, envelope: Envelope) {
        let mut waiting = self.waiting();
        if waiting.len() == MOST {
            waiting.pop_front();
        }
        waiting.push_back(envelope);
        self.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Envelope>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_all(address: String, queue: Arc<Queue>) {
    let mut containerd = None;
    loop {
        let next = queue.waiting().front().cloned();
        let Some(envelope) = next else {
            queue.emptied.notify_one();
            queue.arrived.notified().await;
            continue;
        };
        let was_connected = containerd.is_some();
        match send(&mut containerd, &address, &envelope).await {
            Ok(()) => {}
            Err(ttrpc::Error::RpcStatus(status)) if status.code() != ttrpc::Code::UNAVAILABLE => {
                log::warn!("containerd refused the event {}: {}", envelope.topic, status.message());
            }
            Err(error) => {
                log::debug!("containerd cannot be told of {}: {error}", envelope.topic);
                containerd = None;
                if !was_connected {
                    tokio::time::sleep(RETRY).await;
                }
                continue;
            }
        }
        let mut waiting = queue.waiting();
        if waiting.front() == Some(&envelope) {
            waiting.pop_front();
        }
    }
}

async fn send(
    containerd: &mut Option<EventsClient>,
    address: &str,
    envelope: &Envelope,
) -> ttrpc::Result<()> {
    let client = match containerd {
        Some(client) => client,
        None => containerd.insert(EventsClient::new(Client::connect(&format!("unix://{address}")).await?)),
    };
    let mut context = ttrpc::context::with_duration(PATIENCE);
    context.add("containerd-namespace-ttrpc".to_owned(), envelope.namespace.clone());
    let request = ForwardRequest { envelope: MessageField::some(envelope.clone()), ..Default::default() };
    client.forward(context, &request).await.map(drop)
}

fn encode(container: &Container, process: &Process, event: Event) -> Result<(&'static str, Any)> {
    let container_id = container.id().to_owned();
    let exec_id = process.exec_id().map(str::to_owned);
    Ok(match event {
        Event::Created { pid } => {
            let streams = process.streams();
            let io = task::TaskIO {
                stdin: streams.stdin.clone(),
                stdout: streams.stdout.clone(),
                stderr: streams.stderr.clone(),
                terminal: streams.terminal,
                ..Default::default()
            };
            let bundle = container.bundle().dir().to_string_lossy().into_owned();
            let io = MessageField::some(io);
            let message = task::TaskCreate { container_id, bundle, io, pid, ..Default::default() };
            (topics::TASK_CREATE_EVENT_TOPIC, any(&message)?)
        }
        Event::ExecAdded => {
            let exec_id = exec_id.unwrap_or_default();
            let message = task::TaskExecAdded { container_id, exec_id, ..Default::default() };
            (topics::TASK_EXEC_ADDED_EVENT_TOPIC, any(&message)?)
        }
        Event::Started { pid } => match exec_id {
            None => {
                let message = task::TaskStart { container_id, pid, ..Default::default() };
                (topics::TASK_START_EVENT_TOPIC, any(&message)?)
            }
            Some(exec_id) => {
                let message = task::TaskExecStarted { container_id, exec_id, pid, ..Default::default() };
                (topics::TASK_EXEC_STARTED_EVENT_TOPIC, any(&message)?)
            }
        },
        Event::Paused => {
            let message = task::TaskPaused { container_id, ..Default::default() };
            (topics::TASK_PAUSED_EVENT_TOPIC, any(&message)?)
        }
        Event::Resumed => {
            let message = task::TaskResumed { container_id, ..Default::default() };
            (topics::TASK_RESUMED_EVENT_TOPIC, any(&message)?)
        }
        Event::OutOfMemory => {
            let message = task::TaskOOM { container_id, ..Default::default() };
            (topics::TASK_OOM_EVENT_TOPIC, any(&message)?)
        }
        Event::Exited { pid, exit } => {
            let id = exec_id.unwrap_or_else(|| container_id.clone());
            let (exit_status, exited_at) = (exit.status, MessageField::some(exit.at.into()));
            let message =
                task::TaskExit { container_id, id, pid, exit_status, exited_at, ..Default::default() };
            (topics::TASK_EXIT_EVENT_TOPIC, any(&message)?)
        }
        Event::Deleted { pid, exit } => {
            let (exit_status, exited_at) = (exit.status, MessageField::some(exit.at.into()));
            let message =
                task::TaskDelete { container_id, pid, exit_status, exited_at, ..Default::default() };
            (topics::TASK_DELETE_EVENT_TOPIC, any(&message)?)
        }
    })
}

/// With the bare name that containerd's registry of types wants.
pub(super) fn any<M: MessageFull>(message: &M) -> Result<Any> {
    let type_url = M::descriptor().full_name().to_owned();
    let value = message.write_to_bytes().with_context(|| format!("encoding a {type_url}"))?;
    Ok(Any { type_url, value, ..Default::default() })
}
