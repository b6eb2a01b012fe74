//! Computation: kernels that time themselves, so that only they are measured.

use crate::bed::Bed;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

const KERNELS: [&str; 10] =
    ["sha256", "deflate", "sort", "map", "json", "regex", "parse", "nbody", "matrix", "sieve"];
/// Machine code is quick enough to be run often, in turns; the interpreters are not.
const TURNS: usize = 5;
const ROUNDS: &str = "3";
const AIM: Aim = Aim::SpeedOfRunc(0.9);

pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let kernels: Vec<Row> = KERNELS.iter().map(|kernel| row(beds, kernel)).collect();
    let mean = Row::less("kernels, geometric mean", "ms").aim(AIM);
    let mean = beds.iter().fold(mean, |row, bed| {
        let logs =
            kernels.iter().filter_map(|kernel| kernel.of(bed.contender)).map(|figure| figure.median.ln());
        row.figure(bed.contender, Figure::once((logs.sum::<f64>() / kernels.len() as f64).exp()))
    });
    [mean].into_iter().chain(kernels).collect()
}

fn row(beds: &[Bed], kernel: &str) -> Row {
    let (fast, slow): (Vec<_>, Vec<_>) = beds.iter().partition(|bed| bed.contender.is_fast());
    let mut result: Option<String> = None;
    let mut run = |bed: &Bed, rounds: &str| {
        let said = bed.run(Program::Work, &["kernel", kernel, rounds]).success().stdout;
        let times = said.lines().map(result_and_time).map(|(own, time)| {
            assert_eq!(
                *result.get_or_insert_with(|| own.clone()),
                own,
                "{kernel} by {}",
                bed.contender.name()
            );
            time
        });
        times.collect::<Vec<_>>()
    };
    let quick = in_turns(&fast, TURNS, |bed| run(bed, ROUNDS));
    let long = in_turns(&slow, 1, |bed| run(bed, "1"));
    let row = Row::less(format!("kernel {kernel}"), "ms");
    fast.iter()
        .chain(&slow)
        .zip(quick.into_iter().chain(long))
        .fold(row, |row, (bed, times)| row.figure(bed.contender, Figure::of(times.concat())))
}

/// A line of the program's: its name and result, which must be the same everywhere, and milliseconds.
pub(crate) fn result_and_time(line: &str) -> (String, f64) {
    let (result, nanoseconds) = line.rsplit_once(' ').unwrap();
    (result.to_owned(), nanoseconds.parse::<f64>().unwrap() / 1e6)
}
