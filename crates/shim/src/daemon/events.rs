//! Events are what containerd is told without having asked: a container was created, has started, exited, was deleted.
//!
//! They are sent one after the other, in the order in which they happened. While containerd is away they wait. An event
//! is sent again only when the connection breaks before it is accepted, never for containerd being slow: whoever is held
//! up (stopped, swapped out, short of a processor) reads later what it was sent, and would be told twice.

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
    let mut context = ttrpc::context::Context::default();
    context.add("containerd-namespace-ttrpc".to_owned(), envelope.namespace.clone());
    let request = ForwardRequest { envelope: MessageField::some(envelope.clone()), ..Default::default() };
    client.forward(context, &request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use containerd_shim_protos::api::Empty;
    use containerd_shim_protos::shim_async::create_events;
    use containerd_shim_protos::ttrpc::r#async::{Server, TtrpcContext};

    use super::*;
    use crate::daemon::stdio::Streams;
    use crate::remains::Exit;

    /// A containerd that takes an hour to accept an event.
    #[derive(Default)]
    struct Slow {
        heard: Mutex<Vec<String>>,
        accepted: Notify,
    }

    #[async_trait]
    impl containerd_shim_protos::shim_async::Events for Slow {
        async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
            self.heard.lock().unwrap().push(request.envelope().topic.clone());
            tokio::time::sleep(Duration::from_secs(3600)).await;
            self.accepted.notify_one();
            Ok(Empty::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_containerd_hears_each_event_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let address = dir.path().join("c.sock.ttrpc").display().to_string();
        let containerd = Arc::new(Slow::default());
        let service = create_events(containerd.clone());
        let mut server = Server::new().bind(&format!("unix://{address}")).unwrap().register_service(service);
        server.start().await.unwrap();

        let events = Events::start(address, "story".to_owned());
        let streams = Streams::default();
        let of = Subject { container: "c", bundle: dir.path(), exec: None, streams: &streams };
        events.publish(of, Event::Created { pid: 1 });
        events.publish(of, Event::Exited { pid: 1, exit: Exit { status: 0, at: SystemTime::now() } });
        containerd.accepted.notified().await;
        containerd.accepted.notified().await;
        assert_eq!(*containerd.heard.lock().unwrap(), ["/tasks/create", "/tasks/exit"]);
        server.shutdown().await.unwrap();
    }
}
