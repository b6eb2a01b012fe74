//! The log goes where containerd looks for it: into the FIFO `log` of a bundle, which it copies to its own log.
//!
//! A line about a container (its target is the container's id) goes into that container's bundle, any other into
//! the newest that takes it. What none takes, for want of containers, is kept for the next; nothing ever waits.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;

use crate::RUNTIME_NAME;
use crate::bundle::Bundle;

/// How many lines are kept that no FIFO took.
const MOST: usize = 64;

static FIFOS: Fifos = Fifos { open: Mutex::new(Vec::new()), kept: Mutex::new(VecDeque::new()) };

struct Fifos {
    open: Mutex<Vec<(String, File)>>,
    kept: Mutex<VecDeque<String>>,
}

/// Sends this process's log records to the bundles' FIFOs from now on.
pub(super) fn init(debug: bool) {
    if log::set_logger(&FIFOS).is_ok() {
        log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
    }
}

/// Opens a bundle's FIFO; without a reader there is none, and its lines go elsewhere.
pub(super) fn attach(bundle: &Bundle) {
    let flags = OFlags::NONBLOCK.union(OFlags::CLOEXEC).bits();
    if let Ok(file) = OpenOptions::new().write(true).custom_flags(flags.cast_signed()).open(bundle.log()) {
        let mut fifos = FIFOS.all();
        let mut kept = FIFOS.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(line) = kept.front() {
            if (&file).write_all(line.as_bytes()).is_err() {
                break;
            }
            kept.pop_front();
        }
        fifos.push((bundle.id().to_owned(), file));
    }
}

/// Closes the FIFO of a container that has gone.
pub(super) fn detach(id: &str) {
    FIFOS.all().retain(|(of, _)| of != id);
}

impl Fifos {
    fn all(&self) -> MutexGuard<'_, Vec<(String, File)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Fifos {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // ttrpc reports every closed connection.
        !metadata.target().starts_with("ttrpc") || metadata.level() < Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(record);
        let fifos = self.all();
        let own = fifos.iter().filter(|(id, _)| id == record.target());
        let others = fifos.iter().rev().filter(|(id, _)| id != record.target());
        if own.chain(others).any(|(_, file)| (&*file).write_all(line.as_bytes()).is_ok()) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MOST {
            kept.pop_front();
        }
        kept.push_back(line);
    }

    fn flush(&self) {}
}

/// In the form of containerd's own lines.
fn line(record: &Record<'_>) -> String {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let message = record.args().to_string();
    format!("level={level} msg={message:?} runtime={RUNTIME_NAME} about={:?}\n", record.target())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn fifo() -> (tempfile::TempDir, Bundle) {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(
            dir.path(),
            dir.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.'),
        );
        let bundle = bundle.unwrap();
        mknodat(CWD, bundle.log(), FileType::Fifo, Mode::RWXU, 0).unwrap();
        (dir, bundle)
    }

    #[test]
    fn a_containers_lines_go_to_its_own_fifo_and_a_lost_reader_harms_nobody() {
        let (_dir, bundle) = fifo();
        attach(&bundle);
        assert!(FIFOS.all().iter().all(|(id, _)| id != bundle.id()), "there is no reader yet");

        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(bundle.log()).unwrap();
        attach(&bundle);
        let write = || {
            FIFOS.log(
                &Record::builder()
                    .level(Level::Warn)
                    .target(bundle.id())
                    .args(format_args!("a \"b\""))
                    .build(),
            );
        };
        write();
        let mut text = [0; 256];
        let length = reader.read(&mut text).unwrap();
        let text = std::str::from_utf8(&text[..length]).unwrap();
        assert!(
            text.starts_with(r#"level=warning msg="a \"b\"" runtime=io.containerd.wasmedge.v1"#),
            "{text}"
        );

        drop(reader);
        write();
        detach(bundle.id());
        assert!(FIFOS.all().iter().all(|(id, _)| id != bundle.id()));

        let (_dir, next) = fifo();
        let mut reader = OpenOptions::new().read(true).custom_flags(flags).open(next.log()).unwrap();
        attach(&next);
        let mut text = [0; 1024];
        let length = reader.read(&mut text).unwrap();
        let text = std::str::from_utf8(&text[..length]).unwrap();
        assert!(text.contains(bundle.id()), "what nobody took is told later: {text}");
        detach(next.id());
    }
}
