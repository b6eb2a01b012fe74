//! A namespace of the cluster: what one story has for itself, and does with kubectl.

mod running;

use std::sync::{RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use running::Running;

use super::{Cluster, PodManifest};
use crate::{DEADLINE, Finished, eventually, here};

/// A namespace, removed with all that is in it when it is dropped. That nothing stays behind in `Terminating` is part
/// of every story.
pub struct Namespace {
    cluster: &'static Cluster,
    name: String,
    _turn: Turn,
}

/// Whether the story runs beside others.
#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Namespace {
    pub(super) fn beside_others(cluster: &'static Cluster, name: &str) -> Self {
        let turn = Turn::Shared(cluster.undisturbed());
        Self::make(cluster, name, turn)
    }

    pub(super) fn alone(cluster: &'static Cluster, name: &str) -> Self {
        let turn = Turn::Alone(cluster.disturbing());
        Self::make(cluster, name, turn)
    }

    fn make(cluster: &'static Cluster, name: &str, turn: Turn) -> Self {
        cluster.kubectl(&["create", "namespace", name]).success();
        let namespace = Self { cluster, name: name.to_owned(), _turn: turn };
        namespace.eventually_has("serviceaccount/default", "{.metadata.name}", "default");
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is in.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// Runs kubectl in it.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> Finished {
        self.cluster.kubectl(&[&["-n", &self.name], words].concat())
    }

    /// Starts a kubectl that goes on.
    pub fn start(&self, words: &[&str]) -> Running {
        let mut kubectl = self.cluster.control().kubectl_command();
        kubectl.args(["-n", &self.name]).args(words);
        Running::start(kubectl)
    }

    /// Applies manifests.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        self.try_apply(manifests).success();
    }

    /// Applies manifests, whatever comes of it.
    #[track_caller]
    pub fn try_apply(&self, manifests: &str) -> Finished {
        self.cluster.try_apply(&["-n", &self.name], manifests)
    }

    /// Creates a pod.
    #[track_caller]
    pub fn run(&self, pod: &PodManifest) {
        self.apply(&pod.to_string());
    }

    /// Creates a pod named `app` and waits until `kubectl describe` shows the text: all that it then shows.
    #[track_caller]
    pub fn run_until_described(&self, pod: &PodManifest, text: &str) -> String {
        self.run(pod);
        self.describe_until("app", text)
    }

    /// Waits until a `kubectl wait --for` of that object is fulfilled: `condition=Ready`, `delete`, `jsonpath=…`.
    #[track_caller]
    pub fn wait(&self, object: &str, what: &str) {
        self.kubectl(&["wait", object, "--for", what, "--timeout=90s"]).success();
    }

    /// Waits until a Deployment, StatefulSet or DaemonSet is rolled out.
    #[track_caller]
    pub fn rolled_out(&self, object: &str) {
        self.kubectl(&["rollout", "status", object, "--timeout=90s"]).success();
    }

    /// What is at a JSON path of an object; empty if there is nothing.
    #[track_caller]
    pub fn field(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, "-o", &format!("jsonpath={path}")]).success().stdout
    }

    /// Waits until what is at a JSON path of an object is that.
    #[track_caller]
    pub fn eventually_has(&self, object: &str, path: &str, value: &str) {
        self.eventually_is(object, path, |found| found == value);
    }

    /// Waits until what is at a JSON path of an object is as wished; what it then is.
    #[track_caller]
    pub fn eventually_is(&self, object: &str, path: &str, good: impl Fn(&str) -> bool) -> String {
        self.until(&["get", object, "-o", &format!("jsonpath={path}")], DEADLINE * 3, good)
    }

    /// An object, or a list of them, as JSON.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        let answer = self.kubectl(&[&["get", "-o", "json"], words].concat()).success();
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// What a container said (`-c` and its name may follow the pod's), read until it has the text.
    #[track_caller]
    pub fn eventually_says(&self, pod: &[&str], text: &str) -> String {
        self.until(&[&["logs"], pod].concat(), DEADLINE * 2, |said| said.contains(text))
    }

    /// What a person reads in `kubectl describe pod`, once that has the text.
    #[track_caller]
    pub fn describe_until(&self, pod: &str, text: &str) -> String {
        self.until(&["describe", "pod", pod], DEADLINE * 2, |described| described.contains(text))
    }

    /// Repeats a kubectl until it prints what is wished for; panics with what it printed last after the deadline.
    #[track_caller]
    fn until(&self, words: &[&str], deadline: Duration, good: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + here(deadline);
        eventually(&words.join(" "), deadline * 2, || {
            let answer = self.kubectl(words);
            let is_good = answer.status.success() && good(&answer.stdout);
            assert!(is_good || Instant::now() < end, "not as expected within {deadline:?}: {answer}");
            is_good.then_some(answer.stdout)
        })
    }

    /// Runs a command in a pod's container to its end.
    #[track_caller]
    pub fn exec(&self, pod: &str, words: &[&str]) -> Finished {
        self.kubectl(&[&["exec", pod, "--"], words].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let remove = ["delete", "namespace", &self.name];
        if std::thread::panicking() {
            for words in [&["get", "pods", "-o", "wide"][..], &["get", "events"]] {
                eprintln!("{}", self.kubectl(words));
            }
            eprintln!("{}", self.cluster.node("wasm").last_words());
            let _ = self.cluster.kubectl(&[&remove[..], &["--wait=false"]].concat());
        } else {
            let started = Instant::now();
            self.cluster.kubectl(&[&remove[..], &["--timeout=100s"]].concat()).success();
            assert!(started.elapsed() < here(Duration::from_secs(90)), "removed in {:?}", started.elapsed());
        }
    }
}
