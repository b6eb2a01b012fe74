//! Exec: one more process in a running container, from the command to its prompt.

use std::cell::Cell;
use std::time::Instant;

use wasmedge_shim_tests::DEADLINE;

use crate::bed::{Bed, ENTRYPOINT};
use crate::contender::Contender;
use crate::hello::HELLO;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

/// More runs than this without the right output, and there is no figure.
const MOST_LOST: usize = 5;

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
    let lost = Cell::new(0);
    let times = in_turns(&running, 30, |(bed, container)| {
        loop {
            let id = format!("exec{}", number.replace(number.get() + 1));
            let words = ["task", "exec", "--exec-id", &id, container.id(), ENTRYPOINT];
            let begun = Instant::now();
            let finished = bed.containerd.ctr(&words).success();
            let took = begun.elapsed();
            if finished.stdout == HELLO {
                return took;
            }
            // On a busy machine ctr sometimes leaves before it has read the output, whatever the runtime.
            eprintln!("figures: not counted, by {}: {finished}", bed.contender.name());
            lost.set(lost.get() + 1);
            assert!(lost.get() <= MOST_LOST, "too many execs without their output");
        }
    });
    let mut row = Row::less("ctr task exec hello", "ms").aim(Aim::OfRunc(0.5));
    for ((bed, container), times) in running.into_iter().zip(times) {
        row = row.figure(bed.contender, Figure::of_times(&times));
        container.kill("SIGKILL");
        container.wait();
    }
    vec![if lost.get() == 0 {
        row
    } else {
        row.note(format!("{} runs did not print hello and were repeated", lost.get()))
    }]
}
