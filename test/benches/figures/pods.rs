//! Pods: what one costs before it has a container. With a pause container, as every runtime has it by default, and held
//! by this shim's daemon alone; on one containerd and in turns.

use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Containerd, Cri, Image, guests};

use crate::bed::Bed;
use crate::contender::Contender;
use crate::memory::{available_kib, taken_since};
use crate::row::{Figure, Row};

const ROUNDS: usize = 15;
/// Of how many pods the memory is taken.
const MANY: usize = 30;

/// Who runs pods how: the contender, the runtime handler, and what that means.
const WAYS: [(Contender, &str, &str); 3] = [
    (Contender::Runc, "runc", "with a pause container"),
    (Contender::Native, "wasmedge", "with a pause container"),
    (Contender::Native, "wasmedge-sandbox", "held by the daemon"),
];

pub(crate) fn rows(_: &[Bed]) -> Vec<Row> {
    let containerd = Containerd::with_cri();
    containerd.import_for_cri(&Image::of_files("pause", "/pause").add(&guests::PAUSE.path(), "/pause"));
    let cri = Cri::of(&containerd);
    // What is done once (the bridge, the daemon, the engine) has been done, and stays for as long as these do.
    let _first = WAYS.map(|(_, handler, _)| cri.run_pod(handler));
    let mut times = WAYS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, handler, _), times) in WAYS.iter().zip(&mut times) {
            times.push(time_of_one(&cri, handler));
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    for ((contender, handler, how), times) in WAYS.iter().zip(&times) {
        let figures = [
            (format!("a pod {how}: ready after"), "ms", Figure::of_times(times)),
            (format!("a pod {how}: memory, of {MANY}"), "MiB", Figure::once(memory(&cri, handler))),
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

/// MemAvailable, so the kernel's and containerd's share is in it.
fn memory(cri: &Cri<'_>, handler: &str) -> f64 {
    let before = available_kib();
    let _pods: Vec<_> = (0..MANY).map(|_| cri.run_pod(handler)).collect();
    taken_since(before) / MANY as f64
}
