//! Exec: one more process in a running container, from the command to its prompt.

use std::cell::Cell;

use wasmedge_shim_tests::DEADLINE;

use crate::bed::{Bed, ENTRYPOINT};
use crate::contender::Contender;
use crate::hello::timed;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

/// A shim of runwasi has no exec.
pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let beds: Vec<_> = beds.iter().filter(|bed| bed.contender != Contender::Peer).collect();
    let running: Vec<_> = beds
        .iter()
        .map(|bed| {
            let container = bed.container(Program::Hello, &["wait"]).attached();
            container.stdout().wait_for("hello", DEADLINE);
            (bed, container)
        })
        .collect();
    let number = Cell::new(0);
    let times = in_turns(&running, 30, |(bed, container)| {
        let id = format!("exec{}", number.replace(number.get() + 1));
        let words = ["task", "exec", "--exec-id", &id, container.id(), ENTRYPOINT];
        timed(|| drop(bed.containerd.ctr(&words).success().printing("hello from wasm\n")))
    });
    let mut row = Row::less("ctr task exec hello", "ms").aim(Aim::OfRunc(0.5));
    for ((bed, container), times) in running.into_iter().zip(times) {
        row = row.figure(bed.contender, Figure::of_times(&times));
        container.kill("SIGKILL");
        container.wait();
    }
    vec![row]
}
