//! The report: a table for whoever waits, JSON for programs, a chart for the README.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use wasmedge_shim_tests::repository;

use crate::chart;
use crate::contender::Contender;
use crate::row::{Better, Row};

/// What has been measured so far.
pub(crate) struct Report {
    rows: Vec<Row>,
    failed: Vec<&'static str>,
    whole: bool,
}

impl Report {
    /// An empty one, of all rows or of some. Prints the table's head.
    pub(crate) fn new(whole: bool) -> Self {
        let names = Contender::ALL.map(|contender| format!("{:>11}", contender.name())).join(" ");
        println!("{:56} {:>7} {names}   aim", "", "");
        Self { rows: Vec::new(), failed: Vec::new(), whole }
    }

    /// Prints a row and keeps it.
    pub(crate) fn add(&mut self, row: Row) {
        println!("{}", line(&row));
        row.notes.iter().for_each(|note| println!("    {note}"));
        self.rows.push(row);
    }

    /// Remembers that rows could not be measured.
    pub(crate) fn fail(&mut self, name: &'static str) {
        self.failed.push(name);
    }

    /// Writes the files and says which aims were missed. Only a whole run renews the chart that is in the README.
    pub(crate) fn finish(self, took: Duration) {
        let directory = repository().join("build/figures");
        fs::create_dir_all(&directory).unwrap();
        let load = fs::read_to_string("/proc/loadavg").unwrap();
        let rows: Vec<Value> = self.rows.iter().map(as_json).collect();
        let all = json!({ "seconds": took.as_secs(), "load_at_end": load.trim(), "rows": rows });
        let text = serde_json::to_string_pretty(&all).unwrap();
        let chart = chart::draw(&self.rows);
        fs::write(directory.join("figures.json"), &text).unwrap();
        fs::write(directory.join("figures.svg"), &chart).unwrap();
        if self.whole && self.failed.is_empty() {
            let kept = repository().join("test/benches");
            fs::write(kept.join("figures.json"), text + "\n").unwrap();
            fs::write(kept.join("figures.svg"), chart).unwrap();
        }
        let missed: Vec<_> = self.rows.iter().filter(|row| row.reached() == Some(false)).collect();
        println!("\n{} rows in {} s; aims missed: {}", self.rows.len(), took.as_secs(), missed.len());
        missed.iter().for_each(|row| println!("  {}", line(row)));
        assert!(self.failed.is_empty(), "no figures for {}: see above", self.failed.join(", "));
    }
}

/// Median and, where there is more than one run, the half of the distance between the quartiles.
fn line(row: &Row) -> String {
    let figures = Contender::ALL.map(|contender| match row.of(contender) {
        Some(figure) if figure.runs > 1 => {
            format!(
                "{:>11}",
                format!("{} ±{}", short(figure.median), short((figure.high - figure.low) / 2.0))
            )
        }
        Some(figure) => format!("{:>11}", short(figure.median)),
        None => format!("{:>11}", "—"),
    });
    let verdict = match row.reached() {
        None => String::new(),
        Some(true) => format!("reached: {}", row.aim_in_words()),
        Some(false) => format!("MISSED: {}", row.aim_in_words()),
    };
    let ratio = row.ours().and_then(|(who, _)| row.advantage(who));
    let ratio = ratio.map(|ratio| {
        format!(" ({} times runc)", short(if row.better == Better::Less { 1.0 / ratio } else { ratio }))
    });
    format!("{:56} {:>7} {}   {verdict}{}", row.what, row.unit, figures.join(" "), ratio.unwrap_or_default())
}

/// Three digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn as_json(row: &Row) -> Value {
    let figures = row.figures.iter().map(|(contender, figure)| {
        let values =
            json!({ "median": figure.median, "low": figure.low, "high": figure.high, "runs": figure.runs });
        (contender.name().to_owned(), values)
    });
    json!({
        "what": row.what, "unit": row.unit, "better": format!("{:?}", row.better).to_lowercase(),
        "figures": figures.collect::<serde_json::Map<_, _>>(),
        "aim": row.aim_in_words(), "reached": row.reached(), "notes": row.notes,
    })
}
