//! A rush: many tasks at once, and one after the other for a minute, by a client that costs next to nothing itself.

use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::client::{Client, driver};
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

const AT_ONCE: usize = 100;
const LASTING: Duration = Duration::from_secs(60);
const SLICE: Duration = Duration::from_secs(10);
/// Tasks on their way at a time, for the rate.
const LANES: usize = 4;

pub(crate) fn at_once(beds: &[Bed]) -> Vec<Row> {
    let driver = driver();
    let times = in_turns(beds, 3, |bed| {
        driver.block_on(async {
            let client = Client::to(bed, Program::Hello, &["wait"]).await;
            let mut ids = Vec::new();
            for _ in 0..AT_ONCE {
                ids.push(client.declare().await);
            }
            let begun = Instant::now();
            let starting = ids.into_iter().map(|id| {
                let client = client.clone();
                tokio::spawn(async move { client.start(id).await })
            });
            let starting: Vec<_> = starting.collect();
            let mut tasks = Vec::new();
            for task in starting {
                tasks.push(task.await.unwrap());
            }
            let took = begun.elapsed();
            for task in &tasks {
                client.kill(task).await;
            }
            took
        })
    });
    let row = Row::less(format!("{AT_ONCE} starts at once, all running"), "ms").aim(Aim::OfRunc(0.333));
    let figures = beds.iter().zip(times).map(|(bed, times)| (bed.contender, Figure::of_times(&times)));
    vec![figures.fold(row, |row, (contender, figure)| row.figure(contender, figure))]
}

/// Create, start, wait and delete hello, over and over. The figures are of the slices of ten seconds.
pub(crate) fn per_second(beds: &[Bed]) -> Vec<Row> {
    let what = format!("tasks per second, for {} s", LASTING.as_secs());
    let mut row = Row::more(what, "/s").aim(Aim::SpeedOfRunc(3.0));
    for bed in beds {
        let rates = rates(bed);
        row = row.note(format!(
            "{}: {:.1} /s in the first {} s, {:.1} /s in the last",
            bed.contender.name(),
            rates[0],
            SLICE.as_secs(),
            rates[rates.len() - 1]
        ));
        row = row.figure(bed.contender, Figure::of(rates));
    }
    vec![row]
}

fn rates(bed: &Bed) -> Vec<f64> {
    let driver = driver();
    let mut done = vec![0u32; (LASTING.as_secs() / SLICE.as_secs()) as usize];
    driver.block_on(async {
        let client = Client::to(bed, Program::Hello, &[]).await;
        let begun = Instant::now();
        let lanes: Vec<_> = (0..LANES)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut ends = Vec::new();
                    while begun.elapsed() < LASTING {
                        let task = client.start(client.declare().await).await;
                        assert_eq!(client.end(&task).await, 0);
                        ends.push(begun.elapsed());
                    }
                    ends
                })
            })
            .collect();
        for lane in lanes {
            for end in lane.await.unwrap() {
                if let Some(slice) = done.get_mut((end.as_secs() / SLICE.as_secs()) as usize) {
                    *slice += 1;
                }
            }
        }
    });
    done.iter().map(|count| f64::from(*count) / SLICE.as_secs_f64()).collect()
}
