//! A crowd: the pods of one Deployment, which grows and shrinks by steps.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Cluster, DEADLINE, Namespace, finish};

use super::NODE;
use super::census::Census;
use super::costs::Costs;
use super::pod_watch::PodWatch;

/// How many come or go at a time: a kubelet that has to do with more at once than a node usually holds lets its calls run
/// into their timeouts.
const STEP: usize = 50;
/// How many servers one process asks.
const ASKED_AT_ONCE: usize = 100;

/// A Deployment `crowd` in a namespace.
pub(super) struct Crowd<'a> {
    namespace: &'a Namespace,
    watch: PodWatch<'a>,
    size: usize,
}

/// What was seen while a crowd grew and shrank.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) growing: Duration,
    pub(super) shrinking: Duration,
    pub(super) to_ready: Vec<Duration>,
    pub(super) answers: usize,
    /// The node's, in MiB for each pod: the slope from the first step to the last. None, if there was one step only.
    pub(super) memory: Option<f64>,
    pub(super) costs: Costs,
    /// What there was more of on the node than before the first round.
    pub(super) left: Vec<String>,
}

impl<'a> Crowd<'a> {
    /// Declares it, without a pod.
    pub(super) fn gather(namespace: &'a Namespace, deployment: &str) -> RefCell<Self> {
        namespace.apply(deployment);
        RefCell::new(Self { namespace, watch: PodWatch::of(namespace), size: 0 })
    }

    /// Grows or shrinks to that many pods, which are ready then; how long that took.
    pub(super) fn resize(&mut self, size: usize) -> Duration {
        let begun = Instant::now();
        self.namespace.kubectl(&["scale", "deployment/crowd", &format!("--replicas={size}")]).success();
        self.watch.wait_for(size);
        self.size = size;
        begun.elapsed()
    }

    /// Grows to that many pods, asks each, shrinks to what it was, and compares the node with what was there `before`.
    pub(super) fn round(&mut self, cluster: &Cluster, size: usize, before: &Census) -> Round {
        let first = self.size;
        let costs_before = Costs::until_now(cluster);
        let mut growing = Duration::ZERO;
        let mut memory = Vec::new();
        while self.size < size {
            growing += self.resize(size.min(self.size + STEP));
            memory.push((self.size, memory_of(cluster)));
        }
        let costs = Costs::until_now(cluster) - costs_before;
        let to_ready = self.watch.pods().filter_map(|pod| pod.to_ready()).collect();
        let answers = self.ask(cluster);
        let mut shrinking = Duration::ZERO;
        while self.size > first {
            shrinking += self.resize(first.max(self.size.saturating_sub(STEP)));
        }
        let left = before.left_in(cluster.node(NODE));
        Round { growing, shrinking, to_ready, answers, memory: slope(&memory), costs, left }
    }

    /// Asks each server, from the node; how many answer, which has to be all.
    fn ask(&self, cluster: &Cluster) -> usize {
        let addresses: Vec<_> = self.watch.pods().map(|pod| format!("{}:8080", pod.address)).collect();
        for some in addresses.chunks(ASKED_AT_ONCE) {
            let mut asking = cluster.node(NODE).cell().command(std::env::current_exe().unwrap());
            finish(asking.args([crate::load::VERB, "ask"]).args(some), DEADLINE * 2).success();
        }
        addresses.len()
    }
}

/// What the pods' cgroups hold, and the node's daemons, in MiB.
fn memory_of(cluster: &Cluster) -> f64 {
    cluster.node(NODE).cell().usage().memory as f64 / f64::from(1 << 20)
}

fn slope(points: &[(usize, f64)]) -> Option<f64> {
    match *points {
        [(few, low), .., (many, high)] => Some((high - low) / (many - few) as f64),
        _ => None,
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (growing, shrinking) = (self.growing.as_secs_f64(), self.shrinking.as_secs_f64());
        let memory = self.memory.unwrap_or(f64::NAN);
        write!(
            f,
            "{} answer; ready after {growing:.1} s, gone after {shrinking:.1} s; {memory:.2} MiB each; {}; left: {:?}",
            self.answers, self.costs, self.left
        )
    }
}
