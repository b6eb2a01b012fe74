//! Memory: what a node has less of for each container that waits, and what the shim itself takes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::client::{Client, driver};
use crate::contender::Contender;
use crate::program::Program;
use crate::row::{Aim, Figure, Row};

const COUNTS: [usize; 3] = [30, 100, 300];
/// After how many containers the shim is looked at again.
const MANY: usize = 1000;

/// Memory holds still when it changes by no more than `STIR_KIB` for so long.
const STILL: Duration = Duration::from_secs(2);
const STIR_KIB: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let row =
        |count| Row::less(format!("memory per idle container, of {count}"), "MiB").aim(Aim::AtMost(2.0));
    let mut rows = COUNTS.map(row).to_vec();
    for bed in beds {
        for (row, taken) in rows.iter_mut().zip(per_container(bed)) {
            row.figures.push((bed.contender, Figure::once(taken)));
        }
    }
    rows.push(verb(beds));
    if let Some(bed) = beds.iter().find(|bed| bed.contender == Contender::Native) {
        rows.extend(of_the_shim(bed));
    }
    rows
}

/// MemAvailable, so the kernel's and containerd's share is in it.
fn per_container(bed: &Bed) -> Vec<f64> {
    driver().block_on(async {
        let client = Client::to(bed, Program::Hello, &["wait"]).await;
        let mut tasks = vec![client.start(client.declare().await).await];
        let before = available_kib();
        let mut taken = Vec::new();
        for count in COUNTS {
            while tasks.len() <= count {
                tasks.push(client.start(client.declare().await).await);
            }
            taken.push(taken_since(before) / count as f64);
        }
        for task in &tasks {
            client.kill(task).await;
        }
        taken
    })
}

/// What containerd executes for each container: its largest resident memory.
fn verb(beds: &[Bed]) -> Row {
    let row = Row::less("executed verb, largest resident", "MiB").aim(Aim::AtMost(6.0));
    beds.iter().fold(row, |row, bed| {
        let shim = format!(
            "containerd-shim-{}",
            bed.contender.runtime()["io.containerd.".len()..].replace('.', "-")
        );
        let said = bed.inside(&[crate::load::VERB, "resident", &shim, "-v"]).stdout;
        row.figure(bed.contender, Figure::once(said.trim().parse::<f64>().unwrap() / 1024.0))
    })
}

fn of_the_shim(bed: &Bed) -> Vec<Row> {
    driver().block_on(async {
        let client = Client::to(bed, Program::Hello, &["wait"]).await;
        let task = client.start(client.declare().await).await;
        let early = resident_and_private(bed);
        let guests = Client::to(bed, Program::Hello, &[]).await;
        for _ in 0..MANY {
            let task = guests.start(guests.declare().await).await;
            assert_eq!(guests.end(&task).await, 0);
        }
        let late = resident_and_private(bed);
        client.kill(&task).await;
        let row = |(what, [resident, private]): &(&str, [f64; 2]), when: &str| {
            Row::less(format!("{what}, private and written to{when}"), "MiB")
                .figure(bed.contender, Figure::once(*private))
                .note(format!("{what}{when}: {resident:.1} MiB resident"))
        };
        let after = format!(", after {MANY} containers");
        early.iter().map(|of| row(of, "")).chain(late[..2].iter().map(|of| row(of, &after))).collect()
    })
}

fn resident_and_private(bed: &Bed) -> Vec<(&'static str, [f64; 2])> {
    let cell = bed.containerd.cell();
    let shown =
        [("daemon", "containerd-shim-wasmedge-v1"), ("zygote", "zygote"), ("a container", "app.wasm")];
    let of = |text: &str| {
        let pid = cell.processes_named(text)[0];
        let rollup = cell.outside(format!("/proc/{pid}/smaps_rollup"));
        let private = field(&rollup, "Private_Dirty:");
        [field(&rollup, "Rss:"), private].map(|kib| kib / 1024.0)
    };
    shown.map(|(what, text)| (what, of(text))).to_vec()
}

/// A field of a process's file in `/proc`, in KiB.
fn field(file: &Path, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// MemAvailable in KiB, once it holds still: a kernel is long busy with giving back what earlier containers had.
pub(crate) fn available_kib() -> u64 {
    let read = || field(Path::new("/proc/meminfo"), "MemAvailable:") as u64;
    let begun = Instant::now();
    let mut still_since = (begun, read());
    while still_since.0.elapsed() < STILL {
        assert!(begun.elapsed() < PATIENCE, "MemAvailable does not hold still: the machine is too busy");
        std::thread::sleep(STILL / 20);
        let now = read();
        if now.abs_diff(still_since.1) > STIR_KIB {
            still_since = (Instant::now(), now);
        }
    }
    still_since.1
}

/// How many MiB less there are than before. More would say that others on the machine gave up memory meanwhile, and then
/// there is no figure.
pub(crate) fn taken_since(before: u64) -> f64 {
    let now = available_kib();
    assert!(now < before, "MemAvailable rose from {before} to {now} KiB: the machine is too busy");
    (before - now) as f64 / 1024.0
}
