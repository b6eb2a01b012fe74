//! The calls that make a container: create and start, as containerd's client waits for them, and the shim's part in it.

use std::time::{Duration, Instant};

use wasmedge_shim_tests::{MockContainerd, guests};

use crate::bed::Bed;
use crate::client::{Client, driver};
use crate::contender::Contender;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

const RUNS: usize = 50;

pub(crate) fn create_and_start(beds: &[Bed]) -> Vec<Row> {
    let mut rows = seen_by_a_client(beds);
    rows.push(inside());
    rows
}

/// containerd executes the shim's `start` verb within create.
fn seen_by_a_client(beds: &[Bed]) -> Vec<Row> {
    let driver = driver();
    let connect = |bed| (bed, driver.block_on(Client::to(bed, Program::Hello, &[])));
    let clients: Vec<_> = beds.iter().map(connect).collect();
    let run = |(_, client): &(&Bed, Client)| {
        driver.block_on(async {
            let task = client.start(client.declare().await).await;
            let begun = Instant::now();
            assert_eq!(client.end(&task).await, 0);
            (task.creating, task.starting, begun.elapsed())
        })
    };
    in_turns(&clients, 1, run);
    let times = in_turns(&clients, RUNS, run);
    let row = |what, pick: fn(&(Duration, Duration, Duration)) -> Duration| {
        let figures = times.iter().map(|times| Figure::of_times(&times.iter().map(pick).collect::<Vec<_>>()));
        clients
            .iter()
            .zip(figures)
            .fold(Row::less(what, "ms"), |row, ((bed, _), figure)| row.figure(bed.contender, figure))
    };
    vec![
        row("containerd: create", |times| times.0),
        row("containerd: start", |times| times.1),
        row("containerd: wait for hello, delete", |times| times.2),
    ]
}

/// A mock containerd that has the daemon's socket calls it directly.
fn inside() -> Row {
    let containerd = MockContainerd::start();
    let run = || {
        let task = containerd.task(guests::HELLO).without_output().create();
        let begun = Instant::now();
        let task = task.start();
        let start = begun.elapsed();
        assert_eq!(task.finish(), 0);
        task.creating() + start
    };
    run();
    let times: Vec<_> = (0..RUNS).map(|_| run()).collect();
    Row::less("the daemon: create and start", "ms")
        .aim(Aim::AtMost(6.0))
        .figure(Contender::Interpreted, Figure::of_times(&times))
}
