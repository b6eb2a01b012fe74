//! Pods: what one costs before it has a container. With a pause container, as every runtime has it by default, and held
//! by this shim's daemon alone; on one containerd and in turns.

use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Containerd, Cri, Image, guests};

use crate::bed::Bed;
use crate::contender::Contender;
use crate::row::{Figure, Row, in_turns};

const ROUNDS: usize = 15;
/// Between how many pods the memory is taken, so that what comes with the first ones does not count.
const COUNTS: [usize; 2] = [10, 40];
const MEMORY_ROUNDS: usize = 5;

/// Who runs pods how: the contender, the runtime handler, and what that means.
const WAYS: [(Contender, &str, &str); 3] = [
    (Contender::Runc, "runc", "with a pause container"),
    (Contender::Native, "wasmedge", "with a pause container"),
    (Contender::Native, "wasmedge-sandbox", "held by the daemon"),
];

pub(crate) fn rows(_: &[Bed]) -> Vec<Row> {
    let containerd = Containerd::with_cri();
    containerd.open_account();
    containerd.import_for_cri(&Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause"));
    let cri = Cri::of(&containerd);
    // What is done once (the bridge, the daemon, the engine) has been done, and stays for as long as these do.
    let _first = WAYS.map(|(_, handler, _)| cri.run_pod(handler));
    let times = in_turns(&WAYS, ROUNDS, |(_, handler, _)| time_of_one(&cri, handler));
    let memory = in_turns(&WAYS, MEMORY_ROUNDS, |(_, handler, _)| memory_of_one(&cri, &containerd, handler));
    let mut rows: Vec<Row> = Vec::new();
    for (((contender, _, how), times), memory) in WAYS.iter().zip(&times).zip(memory) {
        let figures = [
            (format!("a pod {how}: ready after"), "ms", Figure::of_times(times)),
            (format!("a pod {how}: memory"), "MiB", Figure::of(memory)),
        ];
        for (what, unit, figure) in figures {
            match rows.iter_mut().find(|row| row.what == what) {
                Some(row) => row.figures.push((*contender, figure)),
                None => rows.push(Row::less(what, unit).figure(*contender, figure)),
            }
        }
    }
    rows
}

/// From RunPodSandbox to its answer, network and all.
fn time_of_one(cri: &Cri<'_>, handler: &str) -> Duration {
    let begun = Instant::now();
    let _pod = cri.run_pod(handler);
    begun.elapsed()
}

/// By the cgroups of pods and containerd with all that it has started, so that nobody else on the machine is in it, and
/// the kernel's part is.
fn memory_of_one(cri: &Cri<'_>, containerd: &Containerd, handler: &str) -> f64 {
    let mut pods = Vec::new();
    let [few, many] = COUNTS.map(|count| {
        pods.resize_with(count, || cri.run_pod(handler));
        containerd.cell().usage().memory as f64 / f64::from(1 << 20)
    });
    (many - few) / (COUNTS[1] - COUNTS[0]) as f64
}
