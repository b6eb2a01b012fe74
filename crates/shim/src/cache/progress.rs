//! Progress: what a person at a terminal sees of a work of many steps, in one line that is drawn again and again.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::answer::say;

/// How long the bar is, in characters.
const LENGTH: usize = 24;
/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);
/// Clears the line (ECMA-48, "erase in line").
const CLEAR: &str = "\r\x1b[K";

/// A line that is drawn until this is dropped; nothing, if nobody looks.
pub(super) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows that `done` of `all` steps are done, and for how long `step` has been at work.
    pub(super) fn show(done: usize, all: usize, step: String) -> Self {
        if !std::io::stdout().is_terminal() {
            return Self(None);
        }
        let (ended, end) = channel();
        let drawing = std::thread::spawn(move || {
            let begun = Instant::now();
            loop {
                let line = line(done, all, &step, begun.elapsed());
                if say(format!("{CLEAR}{line}")).is_err()
                    || end.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout)
                {
                    break;
                }
            }
            let _ = say(CLEAR);
        });
        Self(Some((ended, drawing)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((ended, drawing)) = self.0.take() {
            let _ = ended.send(());
            let _ = drawing.join();
        }
    }
}

fn line(done: usize, all: usize, step: &str, since: Duration) -> String {
    let full = LENGTH * done / all.max(1);
    let bar: String = (0..LENGTH).map(|at| if at < full { '#' } else { '.' }).collect();
    format!("[{bar}] {done}/{all}  {step}  {:.1} s", since.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let line = line(1, 4, "app.wasm", Duration::from_millis(1500));
        assert_eq!(line, "[######..................] 1/4  app.wasm  1.5 s");
    }
}
