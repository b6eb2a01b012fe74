//! Hello, as a user waits for it: from the command to its prompt.

use std::fs;
use std::time::{Duration, Instant};

use wasmedge_shim_tests::{Dockerd, Store};

use crate::bed::Bed;
use crate::contender::Contender;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

pub(crate) const HELLO: &str = "hello from wasm\n";

pub(crate) fn by_ctr(beds: &[Bed]) -> Vec<Row> {
    let times =
        in_turns(beds, 50, |bed| timed(|| drop(bed.run(Program::Hello, &[]).success().printing(HELLO))));
    let row = Row::less("ctr run --rm hello", "ms").aim(Aim::OfRunc(0.35));
    let figures = beds.iter().zip(times).map(|(bed, times)| (bed.contender, Figure::of_times(&times)));
    vec![figures.fold(row, |row, (contender, figure)| row.figure(contender, figure))]
}

/// With the default network. A shim of runwasi has no process for Docker to give a network to: it would wait for ever.
pub(crate) fn by_docker(_beds: &[Bed]) -> Vec<Row> {
    let dockerd = Dockerd::shared(Store::Docker);
    let settings = dockerd.cell().outside("/run/containerd-shim-wasmedge.toml");
    fs::write(settings, Contender::Native.settings()).unwrap();
    let images = [Contender::Runc, Contender::Native].map(|contender| {
        let image = Bed::image(contender, Program::Hello).named(&format!("hello-{}", contender.name()));
        (contender, dockerd.load(&image))
    });
    let run = |(contender, image): &(Contender, String)| {
        let runtime = if *contender == Contender::Runc { "runc" } else { contender.runtime() };
        timed(|| {
            let words = ["run", "--rm", &format!("--runtime={runtime}"), image];
            dockerd.docker(&words).success().printing(HELLO);
        })
    };
    in_turns(&images, 1, run);
    let times = in_turns(&images, 20, run);
    let row = Row::less("docker run --rm hello", "ms").aim(Aim::OfRunc(1.0));
    let figures =
        images.iter().zip(times).map(|((contender, _), times)| (*contender, Figure::of_times(&times)));
    vec![figures.fold(row, |row, (contender, figure)| row.figure(contender, figure))]
}

pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
