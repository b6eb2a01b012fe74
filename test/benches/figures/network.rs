//! The network: servers in containers on the cell's loopback, and a load beside them.

use serde_json::Value;
use wasmedge_shim_tests::DEADLINE;

use crate::bed::Bed;
use crate::load::VERB;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

const ROUNDS: usize = 3;
const SECONDS: &str = "2";
const AIM: Aim = Aim::SpeedOfRunc(0.9);

pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let mut rows = Vec::new();
    for connections in ["1", "50"] {
        let what =
            format!("HTTP, hyper, {connections} connection{}", if connections == "1" { "" } else { "s" });
        let load = [VERB, "http", "127.0.0.1:8080", connections, SECONDS];
        let said = measure(beds, Program::Http, &[], &load);
        rows.push(row(beds, &said, "rate", Row::more(what.clone(), "/s").aim(AIM)));
        rows.push(row(beds, &said, "p99", Row::less(format!("{what}, p99"), "µs")));
    }
    for (what, server, size) in [
        ("TCP echo, 64 bytes", "tcp", "64"),
        ("TCP echo, 64 KiB", "tcp", "65536"),
        ("UDP echo, 64 bytes", "udp", "64"),
    ] {
        let load = [VERB, server, "127.0.0.1:9000", size, SECONDS];
        let said = measure(beds, Program::Work, &[server, "9000"], &load);
        rows.push(row(beds, &said, "rate", Row::more(what, "/s").aim(AIM)));
    }
    rows
}

/// Starts the server on every bed, has the load take turns, and gives what it said.
fn measure(beds: &[Bed], program: Program, words: &[&str], load: &[&str]) -> Vec<Vec<Value>> {
    let servers: Vec<_> = beds
        .iter()
        .map(|bed| {
            let server = bed.container(program, words).flags(&["--net-host"]).attached();
            server.stdout().wait_for("listening", DEADLINE);
            (bed, server)
        })
        .collect();
    let said = in_turns(&servers, ROUNDS, |(bed, _)| serde_json::from_str(&bed.inside(load).stdout).unwrap());
    for (_, server) in servers {
        server.kill("SIGKILL");
        server.wait();
    }
    said
}

fn row(beds: &[Bed], said: &[Vec<Value>], field: &str, row: Row) -> Row {
    beds.iter().zip(said).fold(row, |row, (bed, said)| {
        let figures = said.iter().map(|said| said[field].as_f64().unwrap());
        row.figure(bed.contender, Figure::of(figures.collect()))
    })
}
