//! Events are what containerd is told without having asked: a container was created, has started, exited, was deleted.
//!
//! They are sent one after the other, in the order in which they happened. While containerd is away they wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::ttrpc;
use tokio::sync::Notify;

use super::event::{Event, Subject};

/// The most events that wait; beyond it the oldest are dropped.
const MOST: usize = 16 * 1024;
/// How long containerd may take to accept one. One that it is sent again, it hears twice; so that is for a containerd
/// that hangs. One that is gone is noticed at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a daemon that leaves waits for the last of them.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to reach containerd.
const RETRY: Duration = Duration::from_millis(200);

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
    pub(super) fn publish(&self, of: Subject<'_>, event: Event) {
        match self.envelope(of, event) {
            Ok(envelope) => self.queue.push(envelope),
            Err(error) => log::error!(target: of.container, "an event cannot be told: {error:#}"),
        }
    }

    /// Waits until containerd has heard everything, for a few seconds at most.
    pub(super) async fn flush(&self) {
        let emptied = async {
            while !self.queue.waiting().is_empty() {
                self.queue.emptied.notified().await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, emptied).await;
    }

    fn envelope(&self, of: Subject<'_>, event: Event) -> Result<Envelope> {
        let (topic, event) = event.encode(of)?;
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
