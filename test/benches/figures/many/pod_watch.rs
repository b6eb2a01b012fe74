//! A watch of a namespace's pods: the API server tells of each change, and the moment it is told counts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use wasmedge_shim_tests::Namespace;

/// How long nothing at all may happen to any pod.
const PATIENCE: Duration = Duration::from_secs(180);

/// The pods that there are.
pub(super) struct PodWatch<'a> {
    namespace: &'a Namespace,
    stream: Stream,
    pods: BTreeMap<String, Seen>,
}

/// The changes since some version, until the API server ends it: it does so with a client that is slow to read.
struct Stream {
    kubectl: Child,
    changes: Receiver<(Instant, Value)>,
}

/// What was seen of a pod.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    added: Instant,
    ready: Option<Instant>,
    pub(super) address: String,
}

impl Seen {
    /// From its creation until it was ready.
    pub(super) fn to_ready(&self) -> Option<Duration> {
        Some(self.ready?.duration_since(self.added))
    }
}

impl<'a> PodWatch<'a> {
    /// Of a namespace.
    pub(super) fn of(namespace: &'a Namespace) -> Self {
        let (stream, listed) = Stream::from_now(namespace);
        let mut watch = Self { namespace, stream, pods: BTreeMap::new() };
        watch.see_all(&listed);
        watch
    }

    /// Waits until there are so many pods, and all of them are ready.
    pub(super) fn wait_for(&mut self, count: usize) {
        while self.pods.len() != count || self.pods.values().any(|pod| pod.ready.is_none()) {
            match self.stream.changes.recv_timeout(PATIENCE) {
                Ok((_, change)) if change["type"] == "DELETED" => {
                    self.pods.remove(name_of(&change["object"]));
                }
                Ok((at, change)) => self.see(&change["object"], at),
                Err(RecvTimeoutError::Disconnected) => {
                    let (stream, listed) = Stream::from_now(self.namespace);
                    self.stream = stream;
                    self.see_all(&listed);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let ready = self.pods.values().filter(|pod| pod.ready.is_some()).count();
                    panic!("nothing happens: {} of {count} pods are there, {ready} ready", self.pods.len());
                }
            }
        }
    }

    /// What is known of each.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Seen> {
        self.pods.values()
    }

    fn see_all(&mut self, listed: &[Value]) {
        self.pods.retain(|name, _| listed.iter().any(|pod| name_of(pod) == name));
        listed.iter().for_each(|pod| self.see(pod, Instant::now()));
    }

    fn see(&mut self, pod: &Value, at: Instant) {
        let fresh = Seen { added: at, ready: None, address: String::new() };
        let seen = self.pods.entry(name_of(pod).to_owned()).or_insert(fresh);
        let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        if conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True") {
            seen.ready.get_or_insert(at);
            pod["status"]["podIP"].as_str().unwrap_or_default().clone_into(&mut seen.address);
        }
    }
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_else(|| panic!("no pod: {pod}"))
}

impl Stream {
    /// With the pods that there are.
    fn from_now(namespace: &Namespace) -> (Self, Vec<Value>) {
        let path = format!("/api/v1/namespaces/{}/pods", namespace.name());
        // Not kubectl's own list, which has no version.
        let listed = namespace.kubectl(&["get", "--raw", &path]).success().stdout;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let version = listed["metadata"]["resourceVersion"].as_str().unwrap();
        let path = format!("{path}?watch=true&timeoutSeconds=86400&resourceVersion={version}");
        let mut kubectl = namespace.cluster().control().kubectl_command();
        kubectl.args(["get", "--raw", &path]).stdout(Stdio::piped()).process_group(0);
        let mut kubectl = kubectl.spawn().unwrap();
        let lines = BufReader::new(kubectl.stdout.take().unwrap()).lines();
        let (sender, changes) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let change = serde_json::from_str(&line).unwrap();
                if sender.send((Instant::now(), change)).is_err() {
                    return;
                }
            }
        });
        (Self { kubectl, changes }, listed["items"].as_array().unwrap().clone())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Its whole group: the process of ours is only the way into the cell.
        let _ = kill_process_group(Pid::from_child(&self.kubectl), Signal::KILL);
        let _ = self.kubectl.wait();
    }
}
