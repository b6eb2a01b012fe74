//! Captured output: everything that came out of a pipe so far, and a way to wait for more.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::here;

/// The output of something that still runs. Clones see the same output.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    length: usize,
    ended: bool,
}

impl Captured {
    /// Captures what `open` opens, on a thread of its own (opening a FIFO blocks).
    pub fn from_opening<R: Read>(open: impl FnOnce() -> R + Send + 'static) -> Self {
        Self::keeping(usize::MAX, open)
    }

    /// Counts what `open` opens, without keeping any of it.
    pub fn counting<R: Read>(open: impl FnOnce() -> R + Send + 'static) -> Self {
        Self::keeping(0, open)
    }

    /// Output that nobody captures: at its end from the start.
    pub fn nothing() -> Self {
        let captured = Self::default();
        captured.update(|state| state.ended = true);
        captured
    }

    fn keeping<R: Read>(most: usize, open: impl FnOnce() -> R + Send + 'static) -> Self {
        let captured = Self::default();
        let writer = captured.clone();
        thread::spawn(move || {
            let mut from = open();
            let mut block = [0; 65536];
            while let Ok(length @ 1..) = from.read(&mut block) {
                writer.update(|state| {
                    state.length += length;
                    state.bytes.extend(&block[..length.min(most)]);
                });
            }
            writer.update(|state| state.ended = true);
        });
        captured
    }

    /// Captures a pipe.
    pub fn from_reader(from: impl Read + Send + 'static) -> Self {
        Self::from_opening(move || from)
    }

    /// What came so far.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// How many bytes came so far.
    pub fn length(&self) -> usize {
        self.0.0.lock().unwrap().length
    }

    /// Waits until the text has come. Panics with what did come if it ends or the deadline passes first.
    #[track_caller]
    pub fn wait_for(&self, text: &str, deadline: Duration) {
        self.wait(deadline, |state| state.ended || contains(&state.bytes, text.as_bytes()));
        let so_far = self.so_far();
        assert!(
            so_far.contains(text),
            "not within {deadline:?} or before its end: {text:?}; but read:\n{so_far}"
        );
    }

    /// Waits until all writers have closed and returns everything.
    #[track_caller]
    pub fn to_end(&self, deadline: Duration) -> String {
        assert!(
            self.wait(deadline, |state| state.ended),
            "still open after {deadline:?}:\n{}",
            self.so_far()
        );
        self.so_far()
    }

    fn wait(&self, deadline: Duration, is_enough: impl Fn(&State) -> bool) -> bool {
        let end = Instant::now() + here(deadline);
        let (mutex, changed) = &*self.0;
        let mut state = mutex.lock().unwrap();
        while !is_enough(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}
