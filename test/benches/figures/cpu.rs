//! Computation: kernels that time themselves, so that only they are measured.

use crate::bed::Bed;
use crate::program::Program;
use crate::row::{Aim, Figure, Row};

const KERNELS: [&str; 10] =
    ["sha256", "deflate", "sort", "map", "json", "regex", "parse", "nbody", "matrix", "sieve"];
/// Machine code is quick enough to be run often.
const ROUNDS: &str = "7";
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
    let mut expected = None;
    beds.iter().fold(Row::less(format!("kernel {kernel}"), "ms"), |row, bed| {
        let rounds = if bed.contender.is_fast() { ROUNDS } else { "1" };
        let said = bed.run(Program::Work, &["kernel", kernel, rounds]).success().stdout;
        let (results, times) = said.lines().map(result_and_time).unzip::<_, _, Vec<_>, Vec<_>>();
        for result in results {
            assert_eq!(
                *expected.get_or_insert(result.clone()),
                result,
                "{kernel} by {}",
                bed.contender.name()
            );
        }
        row.figure(bed.contender, Figure::of(times))
    })
}

/// A line of the program's: its name and result, which must be the same everywhere, and milliseconds.
pub(crate) fn result_and_time(line: &str) -> (String, f64) {
    let (result, nanoseconds) = line.rsplit_once(' ').unwrap();
    (result.to_owned(), nanoseconds.parse::<f64>().unwrap() / 1e6)
}
