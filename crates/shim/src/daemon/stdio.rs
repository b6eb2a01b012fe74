//! The stdio of a container: what containerd names in the create request, opened and handed to the container as it
//! is. The daemon copies nothing.
//!
//! Of every FIFO the daemon keeps the other end too. A guest can go on writing while containerd restarts and nobody
//! reads, and its standard input ends when containerd says so, not when a client comes late.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FileType, Gid, OFlags, Uid, fchown, fcntl_setfl, fstat};
use rustix::io::Errno;

use super::output::Output;
use crate::failure::{self, OrFail};

/// Where the three streams go, in containerd's words: a FIFO's path, a URI, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Streams {
    pub(super) stdin: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether a terminal is behind all three.
    pub(super) terminal: bool,
}

/// The container's ends.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Opened {
    /// Makes the FIFOs and pipes among them another user's and group's, so that a program can open them again by their
    /// names in `/dev` and `/proc`.
    pub(super) fn give_to(&self, (uid, gid): (u32, u32)) -> Result<()> {
        for stream in [&self.stdin, &self.stdout, &self.stderr] {
            let kind = FileType::from_raw_mode(fstat(stream)?.st_mode);
            if kind == FileType::Fifo {
                fchown(stream, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                    .with_context(|| format!("giving the streams to user {uid}"))?;
            }
        }
        Ok(())
    }
}

/// The ends that the daemon keeps for as long as the container lives.
#[derive(Debug, Default)]
pub(super) struct Kept {
    stdin: Option<OwnedFd>,
    outputs: Vec<Output>,
}

impl Kept {
    /// Lets the container's standard input end once its clients have closed it.
    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Lets go of all, of each output as [`Output::let_go`] does.
    pub(super) async fn let_go(self) {
        drop(self.stdin);
        for letting_go in
            self.outputs.into_iter().map(|output| tokio::spawn(output.let_go())).collect::<Vec<_>>()
        {
            if let Ok(Err(error)) = letting_go.await {
                log::warn!("{error:#}");
            }
        }
    }
}

/// Opens all three.
pub(super) fn open(streams: &Streams) -> failure::Result<(Opened, Kept)> {
    let (stdin, kept_stdin) = open_input(&streams.stdin)?;
    let (stdout, kept_stdout) = open_output(&streams.stdout)?;
    let (stderr, kept_stderr) = open_output(&streams.stderr)?;
    let kept = Kept { stdin: kept_stdin, outputs: kept_stdout.into_iter().chain(kept_stderr).collect() };
    Ok((Opened { stdin, stdout, stderr }, kept))
}

/// The ends between which and a terminal the daemon copies.
#[derive(Debug)]
pub(super) struct TerminalEnds {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    /// The other end of the output, kept until all is copied.
    pub(super) kept: Option<Output>,
}

/// Opens what a terminal is connected to: the input, and the output for all that is shown. The process itself gets
/// nothing of it.
pub(super) fn open_terminal(streams: &Streams) -> failure::Result<(Opened, TerminalEnds, Kept)> {
    let (stdin, kept_stdin) = open_input(&streams.stdin)?;
    let (stdout, kept) = open_output(&streams.stdout)?;
    let stdin = (!streams.stdin.is_empty()).then_some(stdin);
    let nothing = Opened { stdin: open_null()?, stdout: open_null()?, stderr: open_null()? };
    let ends = TerminalEnds { stdin, stdout, kept };
    Ok((nothing, ends, Kept { stdin: kept_stdin, outputs: Vec::new() }))
}

/// What one of the request's strings means.
enum Stream<'a> {
    Nowhere,
    Fifo(&'a Path),
    File(&'a Path),
}

fn parse(text: &str) -> failure::Result<Stream<'_>> {
    match text.split_once("://") {
        None if text.is_empty() => Ok(Stream::Nowhere),
        None => Ok(Stream::Fifo(Path::new(text))),
        Some(("fifo", path)) => Ok(Stream::Fifo(Path::new(path))),
        Some(("file", path)) => Ok(Stream::File(Path::new(path))),
        Some((scheme, _)) => Err(anyhow::anyhow!("{scheme}:// is nothing to log to")).or_invalid(),
    }
}

fn open_input(text: &str) -> failure::Result<(OwnedFd, Option<OwnedFd>)> {
    match parse(text)? {
        Stream::Nowhere => Ok((open_ended()?, None)),
        Stream::File(path) => {
            let file = OpenOptions::new().read(true).open(path);
            Ok((file.with_context(|| format!("opening {}", path.display()))?.into(), None))
        }
        Stream::Fifo(path) => {
            let (reader, writer, _) = open_fifo(path)?;
            block(&reader)?;
            Ok((reader, Some(writer)))
        }
    }
}

fn open_output(text: &str) -> failure::Result<(OwnedFd, Option<Output>)> {
    match parse(text)? {
        Stream::Nowhere => Ok((open_null()?, None)),
        Stream::File(path) => {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            }
            let file = OpenOptions::new().create(true).append(true).open(path);
            Ok((file.with_context(|| format!("opening {}", path.display()))?.into(), None))
        }
        Stream::Fifo(path) => {
            let (reader, writer, attended) = open_fifo(path)?;
            block(&writer)?;
            Ok((writer, Some(Output::new(reader, attended))))
        }
    }
}

/// Both ends, without waiting for anybody, and whether somebody else reads already: only then can the writing one be opened
/// first.
fn open_fifo(path: &Path) -> Result<(OwnedFd, OwnedFd, bool)> {
    let opening = || format!("opening {}", path.display());
    if !fs::metadata(path).with_context(opening)?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a FIFO")).with_context(opening);
    }
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let open = |options: &mut OpenOptions| options.custom_flags(nonblocking).open(path);
    let early = match open(OpenOptions::new().write(true)) {
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => None,
        opened => Some(opened.with_context(opening)?),
    };
    let reader = open(OpenOptions::new().read(true)).with_context(opening)?;
    let attended = early.is_some();
    let writer = early.map_or_else(|| open(OpenOptions::new().write(true)), Ok).with_context(opening)?;
    Ok((reader.into(), writer.into(), attended))
}

/// A guest expects a stream that blocks.
fn block(fd: &OwnedFd) -> Result<()> {
    fcntl_setfl(fd.as_fd(), OFlags::empty()).context("making a stream block")
}

/// At its end from the start. To a guest `/dev/null` would look like a terminal, since it is a character device.
fn open_ended() -> Result<OwnedFd> {
    Ok(std::io::pipe().context("making a pipe")?.0.into())
}

fn open_null() -> Result<OwnedFd> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").context("opening /dev/null")?;
    Ok(null.into())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use containerd_shim_protos::ttrpc::Code;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_fifo_outlives_its_readers_and_ends_when_the_writer_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let streams = Streams { stdout: path.to_str().unwrap().into(), ..Default::default() };
        let (opened, kept) = open(&streams).unwrap();
        let mut stdout = File::from(opened.stdout);
        stdout.write_all(b"nobody reads").unwrap();
        let mut reader = File::open(&path).unwrap();
        drop((stdout, kept));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "nobody reads");
    }

    #[test]
    fn standard_input_ends_when_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdin");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let streams = Streams { stdin: path.to_str().unwrap().into(), ..Default::default() };
        let (opened, mut kept) = open(&streams).unwrap();
        kept.close_stdin();
        assert_eq!(File::from(opened.stdin).read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_file_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/stdout");
        let streams = Streams { stdout: format!("file://{}", path.display()), ..Default::default() };
        for _ in 0..2 {
            File::from(open(&streams).unwrap().0.stdout).write_all(b"x").unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"xx");
    }

    #[test]
    fn an_unknown_scheme_is_refused_by_its_name() {
        let streams = Streams { stdout: "http://x".into(), ..Default::default() };
        let failure = open(&streams).unwrap_err();
        assert_eq!(failure.code(), Code::INVALID_ARGUMENT);
        assert!(failure.to_string().contains("http://"), "{failure}");
    }
}
