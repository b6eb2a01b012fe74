//! A logger is a program of the administrator that takes a process's output: `binary:///path?key=value`.
//!
//! It finds the standard output as descriptor 3, the standard error as 4, and closes 5 when it is ready, as
//! containerd's `runtime/v2/logging` defines it. It ends when the output does.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use command_fds::{CommandFdExt, FdMapping};

use super::end::End;

/// How long a logger may take to get ready, the same as under runc.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose output it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) id: &'a str,
    pub(super) namespace: &'a str,
}

/// What goes into it.
#[derive(Debug)]
pub(super) struct Logger {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// The part of a stream's URI that names a logger.
pub(super) fn named_in(uri: &str) -> Option<&str> {
    uri.strip_prefix("binary://")
}

impl Logger {
    /// Starts the program and waits until it is ready.
    pub(super) async fn start(uri: &str, whose: Whose<'_>) -> Result<Self> {
        let (path, args) = parse(uri);
        ensure!(path.is_absolute(), "the logger {:?} is not an absolute path", path.display());
        let starting = || format!("starting the logger {}", path.display());
        let pipe = || std::io::pipe().with_context(starting);
        let ((from_stdout, stdout), (from_stderr, stderr), (ready, told)) = (pipe()?, pipe()?, pipe()?);
        spawn(&path, &args, whose, from_stdout, from_stderr, told).with_context(starting)?;
        let ready = End::new(ready.into()).with_context(starting)?;
        let mut nothing = [0];
        let closed = tokio::time::timeout(PATIENCE, ready.read(&mut nothing));
        closed.await.context("it does not get ready").with_context(starting)?.with_context(starting)?;
        Ok(Self { stdout: stdout.into(), stderr: stderr.into() })
    }
}

/// It is a child that nobody waits for; the reaper takes it away.
fn spawn(
    path: &PathBuf,
    args: &[String],
    whose: Whose<'_>,
    stdout: PipeReader,
    stderr: PipeReader,
    told: PipeWriter,
) -> Result<()> {
    let mapping = |fd: OwnedFd, child_fd| FdMapping { parent_fd: fd, child_fd };
    Command::new(path)
        .args(args)
        .env_clear()
        .env("CONTAINER_ID", whose.id)
        .env("CONTAINER_NAMESPACE", whose.namespace)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .fd_mappings(vec![mapping(stdout.into(), 3), mapping(stderr.into(), 4), mapping(told.into(), 5)])
        .context("passing its descriptors")?
        .spawn()
        .context("executing it")?;
    Ok(())
}

/// The path, and the query as arguments: each key, followed by its value.
fn parse(uri: &str) -> (PathBuf, Vec<String>) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let words = pairs.flat_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        [key, value].map(|word| String::from_utf8_lossy(&decoded(&word.replace('+', " "))).into_owned())
    });
    (std::ffi::OsString::from_vec(decoded(path)).into(), words.collect())
}

/// Percent signs with two digits are bytes (RFC 3986, section 2.1).
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::alone;

    #[test]
    fn the_query_of_the_uri_is_the_command_line() {
        let (path, args) = parse("/usr/bin/log%20ger?_DATA=%2Fvar%2Flib&verbose&text=a+b%");
        assert_eq!(path, PathBuf::from("/usr/bin/log ger"));
        assert_eq!(args, ["_DATA", "/var/lib", "verbose", "", "text", "a b%"]);
    }

    #[test]
    fn a_logger_that_is_not_there_is_named() {
        let _alone = alone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let whose = Whose { id: "c1", namespace: "default" };
        let error = runtime.block_on(Logger::start("/no/such/logger", whose)).unwrap_err();
        assert!(format!("{error:#}").starts_with("starting the logger /no/such/logger"), "{error:#}");
    }
}
