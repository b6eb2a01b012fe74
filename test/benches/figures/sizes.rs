//! Sizes of images, as an archive of them has it.

use std::fs;

use crate::bed::Bed;
use crate::contender::Contender;
use crate::program::Program;
use crate::row::{Aim, Figure, Row};

pub(crate) fn rows(_beds: &[Bed]) -> Vec<Row> {
    let directory = tempfile::tempdir().unwrap();
    let rows = [Program::Hello, Program::Http].map(|program| {
        let row = Row::less(format!("image of {}", program.name()), "KiB").aim(Aim::OfRunc(0.1));
        [Contender::Runc, Contender::Native].into_iter().fold(row, |row, contender| {
            let archive = Bed::image(contender, program).pack(directory.path());
            row.figure(contender, Figure::once(fs::metadata(archive).unwrap().len() as f64 / 1024.0))
        })
    });
    rows.into()
}
