//! A row: one thing that was measured, a figure for each contender, and what was aimed at.

use std::time::Duration;

use crate::contender::Contender;

/// A figure: the median of some runs, with the quartiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) runs: usize,
}

/// What is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// What we want to reach, with this shim as it is by default.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// No more than this.
    AtMost(f64),
    /// No more than this part of what runc takes.
    OfRunc(f64),
    /// At least this share of runc's speed.
    SpeedOfRunc(f64),
}

/// One thing that was measured.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) figures: Vec<(Contender, Figure)>,
    pub(crate) aim: Option<Aim>,
    pub(crate) notes: Vec<String>,
}

impl Figure {
    /// Of at least one run.
    pub(crate) fn of(mut runs: Vec<f64>) -> Self {
        runs.sort_by(f64::total_cmp);
        let at = |part: usize| runs[(runs.len() - 1) * part / 4];
        Self { median: at(2), low: at(1), high: at(3), runs: runs.len() }
    }

    /// Of times, in milliseconds.
    pub(crate) fn of_times(times: &[Duration]) -> Self {
        Self::of(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// Of something that is the same every time, or too long to be done twice.
    pub(crate) fn once(value: f64) -> Self {
        Self::of(vec![value])
    }
}

impl Row {
    /// A row where less is better.
    pub(crate) fn less(what: impl Into<String>, unit: &'static str) -> Self {
        let (what, better) = (what.into(), Better::Less);
        Self { what, unit, better, figures: Vec::new(), aim: None, notes: Vec::new() }
    }

    /// A row where more is better.
    pub(crate) fn more(what: impl Into<String>, unit: &'static str) -> Self {
        Self { better: Better::More, ..Self::less(what, unit) }
    }

    pub(crate) fn aim(self, aim: Aim) -> Self {
        Self { aim: Some(aim), ..self }
    }

    pub(crate) fn figure(mut self, contender: Contender, figure: Figure) -> Self {
        self.figures.push((contender, figure));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A contender's figure, if it has one.
    pub(crate) fn of(&self, contender: Contender) -> Option<Figure> {
        self.figures.iter().find(|(who, _)| *who == contender).map(|(_, figure)| *figure)
    }

    /// How much better than runc a contender is; 2 is half the time or twice the rate.
    pub(crate) fn advantage(&self, contender: Contender) -> Option<f64> {
        let (own, runc) = (self.of(contender)?.median, self.of(Contender::Runc)?.median);
        Some(if self.better == Better::Less { runc / own } else { own / runc })
    }

    /// Ours, whose figure is held against the aim: as it is by default, even where the interpreter did better, since
    /// the better of two is partly luck.
    pub(crate) fn ours(&self) -> Option<(Contender, f64)> {
        let with = |contender| Some((contender, self.of(contender)?.median));
        with(Contender::Native).or_else(|| with(Contender::Interpreted))
    }

    /// Whether the aim was reached; `None` if it cannot be told.
    pub(crate) fn reached(&self) -> Option<bool> {
        let (contender, value) = self.ours()?;
        match self.aim? {
            Aim::AtMost(most) => Some(value <= most),
            Aim::OfRunc(part) => Some(value <= part * self.of(Contender::Runc)?.median),
            Aim::SpeedOfRunc(share) => Some(self.advantage(contender)? >= share),
        }
    }

    /// The aim in words.
    pub(crate) fn aim_in_words(&self) -> String {
        match self.aim {
            None => String::new(),
            Some(Aim::AtMost(most)) => format!("≤ {most} {}", self.unit),
            Some(Aim::OfRunc(part)) => format!("≤ {part} of runc"),
            Some(Aim::SpeedOfRunc(share)) => format!("≥ {share} of runc's speed"),
        }
    }
}

/// Takes turns: calls `measure` for every contender in each round, and gives each its own results.
pub(crate) fn in_turns<B, T>(beds: &[B], rounds: usize, mut measure: impl FnMut(&B) -> T) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = beds.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        beds.iter().zip(&mut all).for_each(|(bed, own)| own.push(measure(bed)));
    }
    all
}
