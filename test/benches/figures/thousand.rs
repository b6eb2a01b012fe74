//! A thousand servers at once: each answers one request, none is lost.

use std::process::Command;
use std::time::Instant;

use wasmedge_shim_tests::part;

use crate::bed::Bed;
use crate::client::{Client, driver};
use crate::contender::Contender;
use crate::memory::{available_kib, taken_since};
use crate::program::Program;
use crate::row::{Figure, Row};

const SERVERS: usize = 1000;
const ASK: &str = r#""$0" ip link set lo up && exec "$1" "$2" ask 127.0.0.1:8080"#;

pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let rows = [
        Row::less("1,000 HTTP servers: all running after", "s"),
        Row::more("1,000 HTTP servers: that answer", "of 1000"),
        Row::less("1,000 HTTP servers: memory for each", "MiB"),
        Row::less("1,000 HTTP servers: all removed after", "s"),
    ];
    let ours = beds.iter().filter(|bed| bed.contender == Contender::Native);
    ours.fold(rows.into(), |rows: Vec<Row>, bed| {
        rows.into_iter()
            .zip(run(bed))
            .map(|(row, value)| row.figure(bed.contender, Figure::once(value)))
            .collect()
    })
}

fn run(bed: &Bed) -> [f64; 4] {
    driver().block_on(async {
        let client = Client::to(bed, Program::Http, &[]).await;
        let before = available_kib();
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..SERVERS {
            tasks.push(client.start(client.declare().await).await);
        }
        let running = begun.elapsed().as_secs_f64();
        let memory = taken_since(before) / SERVERS as f64;
        let answers = tasks.iter().take_while(|task| answers(bed, task.pid)).count();
        assert_eq!(answers, SERVERS, "every server answers");
        let begun = Instant::now();
        for task in &tasks {
            client.kill(task).await;
        }
        [running, answers as f64, memory, begun.elapsed().as_secs_f64()]
    })
}

/// Asks the server in a process's network, on the loopback, which is down: nobody has set this network up.
fn answers(bed: &Bed, pid: u32) -> bool {
    let mut command: Command = bed.containerd.cell().command("nsenter");
    let myself = std::env::current_exe().unwrap();
    command.arg(format!("--net=/proc/{pid}/ns/net")).args(["sh", "-c", ASK]).arg(part("busybox/bin/busybox"));
    command.arg(myself).arg(crate::load::VERB);
    let asked = wasmedge_shim_tests::finish(&mut command, wasmedge_shim_tests::DEADLINE);
    if !asked.status.success() {
        eprintln!("{asked}");
    }
    asked.status.success()
}
