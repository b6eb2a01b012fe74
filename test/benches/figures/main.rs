//! The figures: what this shim costs and does, beside runc with native builds of the same sources and beside a stock
//! shim of runwasi (`crates/runwasi`), in one run.
//!
//! The machine's speed changes from minute to minute, so runs are interleaved and the ratios are what counts. A row of
//! which a run fails, or prints something else than the other contenders' runs, has no figures, and fails the benchmark.
//!
//! `ROWS=hello,exec` chooses rows; some are only taken when they are asked for, by `make bench-k8s`. The table is printed; `build/figures/` gets the same as JSON and as a chart.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod bed;
mod calls;
mod chart;
mod client;
mod contender;
mod cpu;
mod exec;
mod files;
mod hello;
mod load;
mod many;
mod memory;
mod network;
mod pods;
mod program;
mod report;
mod row;
mod rush;
mod sizes;
mod starts;
mod thousand;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bed::Bed;
use contender::Contender;
use report::Report;
use row::Row;

/// Takes the figures of some rows.
type Measure = fn(&[Bed]) -> Vec<Row>;

/// What is measured, by the name that `ROWS` knows it by; in order of value.
const ROWS: [(&str, Measure); 15] = [
    ("hello", hello::by_ctr),
    ("calls", calls::create_and_start),
    ("docker", hello::by_docker),
    ("exec", exec::rows),
    ("rush", rush::at_once),
    ("rate", rush::per_second),
    ("memory", memory::rows),
    ("pods", pods::rows),
    ("network", network::rows),
    ("cpu", cpu::rows),
    ("files", files::rows),
    ("starts", starts::rows),
    ("thousand", thousand::rows),
    ("sizes", sizes::rows),
    ("many", many::rows),
];

/// Those that bring a containerd of their own.
const WITHOUT_BEDS: [&str; 2] = ["pods", "many"];
/// Those that take long, and parts that nothing else here needs.
const ON_REQUEST: [&str; 1] = ["many"];

fn main() {
    // cargo adds `--bench`; what comes first is a word of ours only where this program has started itself.
    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == load::VERB) {
        return load::run(&words[1..]);
    }
    let wanted = env::var("ROWS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    for name in &wanted {
        let known = ROWS.map(|(name, _)| name);
        assert!(known.contains(name), "ROWS: there is no {name}; there are {}", known.join(", "));
    }
    let takes_beds = wanted.is_empty() || wanted.iter().any(|name| !WITHOUT_BEDS.contains(name));
    if takes_beds {
        program::build();
    }
    let begun = Instant::now();
    let mut report = Report::new(wanted.is_empty());
    let beds: Vec<Bed> = if takes_beds { Contender::ALL.map(Bed::start).into() } else { Vec::new() };
    for (name, measure) in ROWS {
        if wanted.contains(&name) || wanted.is_empty() && !ON_REQUEST.contains(&name) {
            eprintln!("figures: {name}…");
            match catch_unwind(AssertUnwindSafe(|| measure(&beds))) {
                Ok(rows) => rows.into_iter().for_each(|row| report.add(row)),
                Err(_) => report.fail(name),
            }
        }
    }
    drop(beds);
    report.finish(begun.elapsed());
}
