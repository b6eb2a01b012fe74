//! Files, in a volume.

use std::collections::BTreeMap;
use std::fs;

use crate::bed::Bed;
use crate::cpu::result_and_time;
use crate::program::Program;
use crate::row::{Aim, Figure, Row, in_turns};

const ROUNDS: usize = 5;

pub(crate) fn rows(beds: &[Bed]) -> Vec<Row> {
    let said = in_turns(beds, ROUNDS, |bed| {
        let volume = bed.containerd.cell().directory().join("volume");
        fs::create_dir_all(&volume).unwrap();
        let mount = format!("type=bind,src={},dst=/data,options=rbind:rw", volume.display());
        let container = bed.container(Program::Work, &["files", "/data"]).flags(&["--mount", &mount]);
        container.run().success().stdout
    });
    let mut rows = BTreeMap::new();
    for (bed, said) in beds.iter().zip(said) {
        let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (result, time) in said.iter().flat_map(|said| said.lines()).map(result_and_time) {
            times.entry(result).or_default().push(time);
        }
        for (result, times) in times {
            assert_eq!(times.len(), ROUNDS, "{} does {result} differently", bed.contender.name());
            let work = result.split(' ').next().unwrap_or_default();
            let what = match work {
                "small" => "1,000 files of 4 KiB, written and read",
                "large" => "a file of 64 MiB, written and read twice",
                _ => "1,000 files created, renamed, looked at, removed",
            };
            let new = || Row::less(format!("volume: {what}"), "ms").aim(Aim::SpeedOfRunc(0.9));
            rows.entry(result).or_insert_with(new).figures.push((bed.contender, Figure::of(times)));
        }
    }
    assert_eq!(rows.len(), 3, "all contenders have the same results: {:?}", rows.keys());
    rows.into_values().collect()
}
