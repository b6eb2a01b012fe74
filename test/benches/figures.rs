//! The figures: what the README says of speed and memory, measured beside runc in one run.
//!
//! Times are medians of interleaved runs, since the machine's speed changes from minute to minute; read the
//! ratios. A run that fails, or prints something else than the other runtime's, ends the benchmark.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Cell, Containerd, Image, MockContainerd, guests, repository};

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
    let ours = containerd.import(&Image::classic(guests::HELLO).named("app.wasm"));
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
    line("create, the start verb included", milliseconds(median(creates)), "ms");
    line("start", milliseconds(median(starts)), "ms");
}

/// What a node has less of for each container that waits, and what the shim itself takes.
fn memory_of_idle_containers(native: &Path) {
    let wasm = Image::classic(guests::HELLO).named("app.wasm");
    for (runtime, image) in [(OURS, wasm), (RUNC, native_image(native))] {
        let containerd = Containerd::start();
        let image = containerd.import(&image);
        let start = || containerd.container(&image).runtime(runtime).args(&["wait"]).detached();
        drop(start());
        let before = available_kib();
        (0..CONTAINERS).for_each(|_| drop(start()));
        let taken = before.saturating_sub(available_kib()) as f64 / 1024.0;
        line(&format!("memory per idle container, {runtime}"), taken / CONTAINERS as f64, "MiB");
        if runtime == OURS {
            memory_of_the_shim(containerd.cell());
        }
        containerd.remove_all();
    }
}

fn memory_of_the_shim(cell: &Cell) {
    let named = |text: &str| cell.processes_named(text).first().copied().unwrap();
    for (who, pid) in [
        ("daemon", named("containerd-shim-wasmedge-v1")),
        ("zygote", named("zygote")),
        ("a container's process", named("app.wasm")),
    ] {
        let rollup = cell.outside(format!("/proc/{pid}/smaps_rollup"));
        line(&format!("{who}, resident"), kib(&rollup, "Rss:") / 1024.0, "MiB");
        line(&format!("{who}, private dirty"), kib(&rollup, "Private_Dirty:") / 1024.0, "MiB");
    }
}

/// A field of a process's file in `/proc`, in KiB.
fn kib(file: &Path, field: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn available_kib() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The hello guest's source, built for this machine: static, as a native image would have it.
fn native_hello() -> PathBuf {
    let target = repository().join("build/target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "x86_64-unknown-linux-musl", "--manifest-path"])
        .arg(repository().join("test/guests/rust/hello/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(built.unwrap().success());
    target.join("x86_64-unknown-linux-musl/release/hello")
}

fn native_image(native: &Path) -> Image {
    Image::of_files("hello-native", "/hello").add(native, "/hello")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn compare(what: &str, ours: Duration, theirs: Duration) {
    line(what, milliseconds(ours), "ms");
    line(&format!("{what}, under runc"), milliseconds(theirs), "ms");
    line(&format!("{what}, ratio"), ours.as_secs_f64() / theirs.as_secs_f64(), "");
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn line(what: &str, figure: f64, unit: &str) {
    println!("{what:56} {figure:8.2} {unit}");
}
