//! The figures: what the README says of speed and memory, measured beside runc in one run.
//!
//! Times are medians of interleaved runs, since the machine's speed changes from minute to minute; read the
//! ratios. A run that fails, or prints something else than the other runtime's, ends the benchmark.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Cell, Containerd, Image, MockContainerd, guests, product, repository};

const RUNC: &str = "io.containerd.runc.v2";
const OURS: &str = "io.containerd.wasmedge.v1";
const RUNS: usize = 30;
const CONTAINERS: usize = 30;

fn main() {
    let native = native_hello();
    run_to_end(&native);
    create_and_start();
    memory_of_idle_containers(&native);
}

/// `ctr run --rm` of hello, as a user waits for it.
fn run_to_end(native: &Path) {
    let containerd = Containerd::start();
    let ours = containerd.import(&Image::classic(guests::HELLO).named("hello-wasm:1"));
    let theirs = containerd.import(&native_image(native));
    let run = |runtime: &str, image: &str| {
        let begun = Instant::now();
        let finished = containerd.container(image).runtime(runtime).run().success();
        assert_eq!(finished.stdout, "hello from wasm\n");
        begun.elapsed()
    };
    for (runtime, image) in [(OURS, &ours), (RUNC, &theirs)] {
        run(runtime, image);
    }
    let times: Vec<_> = (0..RUNS).map(|_| (run(OURS, &ours), run(RUNC, &theirs))).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    compare("ctr run --rm hello", median(ours), median(theirs));
}

/// The two calls alone, without containerd.
fn create_and_start() {
    let containerd = MockContainerd::start();
    let (mut creates, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..=RUNS {
        let builder = containerd.task(guests::HELLO);
        let begun = Instant::now();
        let task = builder.create();
        creates.push(begun.elapsed());
        let begun = Instant::now();
        let task = task.start();
        starts.push(begun.elapsed());
        assert_eq!(task.finish(), 0);
    }
    // The first create includes the daemon's own start.
    creates.remove(0);
    starts.remove(0);
    report("create, with the start verb", median(creates));
    report("start", median(starts));
}

/// What a node has less of for each container that waits, and what the shim itself takes.
fn memory_of_idle_containers(native: &Path) {
    for (runtime, image, args) in [
        (OURS, Image::classic(guests::SLEEPER).named("sleeper:1"), &[][..]),
        (RUNC, native_image(native), &["sleep"][..]),
    ] {
        let containerd = Containerd::start();
        let image = containerd.import(&image);
        let first = containerd.container(&image).runtime(runtime).args(args).detached();
        let before = available_kib();
        for _ in 0..CONTAINERS {
            containerd.container(&image).runtime(runtime).args(args).detached();
        }
        settle();
        let each = before.saturating_sub(available_kib()) as f64 / 1024.0 / CONTAINERS as f64;
        println!("{:44} {each:8.2} MiB", format!("memory per idle container, {runtime}"));
        if runtime == OURS {
            memory_of_the_shim(containerd.cell(), containerd.pid_of(&first));
        }
        containerd.remove_all();
    }
}

fn memory_of_the_shim(cell: &Cell, container: i32) {
    let named = |text: &str| cell.processes_named(text).first().copied();
    let daemon = named("containerd-shim-wasmedge-v1").unwrap();
    let zygote = named("wasmedge-engine").unwrap();
    for (who, pid) in [("daemon", daemon), ("zygote", zygote), ("a container process", container)] {
        let (resident, private) = memory_of(pid);
        println!("{:44} {resident:8.2} MiB resident, {private:.2} MiB private dirty", who);
    }
    println!("{:44} {:8.2} MiB resident at most", "an executed verb (-info)", verb_peak());
}

/// VmRSS and Private_Dirty in MiB.
fn memory_of(pid: i32) -> (f64, f64) {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (field("Rss:"), field("Private_Dirty:"))
}

fn verb_peak() -> f64 {
    let shim = product("bin/containerd-shim-wasmedge-v1");
    let before = rustix::process::getrusage_children_peak_kib();
    assert!(Command::new(shim).arg("-v").output().unwrap().status.success());
    before.max(0) as f64 / 1024.0
}

fn available_kib() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
