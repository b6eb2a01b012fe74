//! Starts: a module's first on a node, its second, and its first in a daemon that finds its native code in the cache.

use std::time::Duration;

use wasmedge_shim_tests::{DEADLINE, eventually};

use crate::bed::Bed;
use crate::contender::Contender;
use crate::hello::timed;
use crate::program::Program;
use crate::row::{Aim, Figure, Row};

const NODES: usize = 5;
/// Runs of which the best counts as what hello takes.
const LATER: usize = 5;

pub(crate) fn rows(_beds: &[Bed]) -> Vec<Row> {
    let nodes: Vec<_> = (0..NODES).map(|_| node()).collect();
    let figure = |pick: fn(&Node) -> Duration| Figure::of_times(&nodes.iter().map(pick).collect::<Vec<_>>());
    let later = figure(|node| node.later);
    let row = |what: &str, pick| Row::less(what, "ms").figure(Contender::Native, figure(pick));
    vec![
        row("hello's first start on a node, Compile = \"wait\"", |node| node.first),
        row("its second start", |node| node.second).aim(Aim::AtMost((later.median + 1.0).round())),
        row("a later start", |node| node.later),
        row("cached start, on a fresh daemon", |node| node.fresh),
    ]
}

struct Node {
    first: Duration,
    second: Duration,
    later: Duration,
    fresh: Duration,
}

fn node() -> Node {
    let bed = Bed::cold(Contender::Native, "Compile = \"wait\"\nCompileWait = 60\n");
    let run = || timed(|| drop(bed.run(Program::Hello, &[]).success().printing("hello from wasm\n")));
    let (first, second) = (run(), run());
    let mut later: Vec<_> = (0..LATER).map(|_| run()).collect();
    later.sort();
    let cell = bed.containerd.cell();
    eventually("the daemon has left", DEADLINE, || {
        cell.dismiss_idle_daemons();
        cell.processes_named("containerd-shim-wasmedge-v1").is_empty().then_some(())
    });
    Node { first, second, later: later[LATER / 2], fresh: run() }
}
