//! Load: this program again, inside of a cell's network, as the client of a server that is measured.
//!
//! One thread with many connections, so that it takes little of what the server needs. It prints its figures as JSON.

mod ask;
mod echo;
mod http;

use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};

/// What makes this program a load.
pub(crate) const VERB: &str = "load";

/// `http ADDRESS CONNECTIONS SECONDS`, `tcp|udp ADDRESS BYTES SECONDS`, `ask ADDRESS…`, `resident PROGRAM WORD…`.
pub(crate) fn run(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["http", address, connections, seconds] => {
            http::load(address, connections.parse().unwrap(), seconds.parse().unwrap());
        }
        ["tcp", address, bytes, seconds] => {
            echo::tcp(address, bytes.parse().unwrap(), seconds.parse().unwrap());
        }
        ["udp", address, bytes, seconds] => {
            echo::udp(address, bytes.parse().unwrap(), seconds.parse().unwrap());
        }
        ["ask", ref addresses @ ..] => addresses.iter().for_each(|address| ask::once(address)),
        ["resident", program, ref words @ ..] => resident(program, words),
        _ => panic!("no load {words:?}"),
    }
}

/// Runs a program and prints the largest resident memory of it, in KiB.
fn resident(program: &str, words: &[&str]) {
    assert!(Command::new(program).args(words).output().unwrap().status.success(), "{program}");
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss());
}
