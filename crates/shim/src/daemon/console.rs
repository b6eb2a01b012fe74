//! A console is the controlling side of a process's terminal. What the process shows is copied to its output, what
//! is typed is copied from its input, until the process ends.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::end::End;
use super::output::{Output, PATIENCE};
use super::stdio::TerminalEnds;

/// How much is copied at a time.
const BLOCK: usize = 16 * 1024;

/// One terminal, as long as the daemon has it open.
#[derive(Debug)]
pub(super) struct Console {
    terminal: Arc<End>,
    input: Option<AbortHandle>,
    output: AbortHandle,
    drained: watch::Receiver<bool>,
    /// Whether somebody read the output from the start.
    attended: bool,
}

impl Console {
    /// Begins to copy.
    pub(super) fn attach(terminal: OwnedFd, ends: TerminalEnds) -> Result<Self> {
        let terminal = Arc::new(End::new(terminal).context("taking the terminal")?);
        let input = match ends.stdin {
            Some(stdin) => {
                let stdin = End::new(stdin).context("taking the standard input")?;
                Some(tokio::spawn(type_in(stdin, terminal.clone())).abort_handle())
            }
            None => None,
        };
        let stdout = End::new(ends.stdout).context("taking the standard output")?;
        let attended = ends.kept.as_ref().is_none_or(Output::is_attended);
        let (done, drained) = watch::channel(false);
        let from = terminal.clone();
        let output = tokio::spawn(async move {
            show(&from, stdout).await;
            drop(from);
            if let Some(kept) = ends.kept
                && let Err(error) = kept.let_go().await
            {
                log::warn!("{error:#}");
            }
            done.send_replace(true);
        });
        Ok(Self { terminal, input, output: output.abort_handle(), drained, attended })
    }

    /// Tells the terminal's size to whoever runs in it.
    pub(super) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let size = Winsize { ws_row: cells(rows), ws_col: cells(columns), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&*self.terminal, size).context("resizing the terminal")
    }

    /// Takes no more input.
    pub(super) fn end_input(&self) {
        if let Some(input) = &self.input {
            input.abort();
        }
    }

    /// Returns when somebody reads what was shown, or has had the time to.
    pub(super) async fn attended(&self) {
        if !self.attended {
            let _ = tokio::time::timeout(PATIENCE, self.drained()).await;
        }
    }

    /// Returns when all that was shown has been passed on.
    pub(super) async fn drained(&self) {
        let _ = self.drained.clone().wait_for(|drained| *drained).await;
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end_input();
        self.output.abort();
    }
}

async fn type_in(stdin: End, terminal: Arc<End>) {
    let mut block = vec![0; BLOCK];
    while let Ok(count @ 1..) = stdin.read(&mut block).await {
        if terminal.write_all(&block[..count]).await.is_err() {
            return;
        }
    }
}

/// The end of a terminal that nobody has open any more is an input/output error. Without a reader the output is still
/// taken away, so that the process does not wait for ever.
async fn show(terminal: &End, stdout: End) {
    let mut block = vec![0; BLOCK];
    let mut told: io::Result<()> = Ok(());
    while let Ok(count @ 1..) = terminal.read(&mut block).await {
        if told.is_ok() {
            told = stdout.write_all(&block[..count]).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetwinsize;

    use super::*;

    fn terminal() -> (OwnedFd, File) {
        let controlling = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controlling).unwrap();
        unlockpt(&controlling).unwrap();
        let name = ptsname(&controlling, Vec::new()).unwrap().into_string().unwrap();
        (controlling, File::options().read(true).write(true).open(name).unwrap())
    }

    #[test]
    fn a_console_copies_both_ways_and_ends_with_its_process() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (controlling, mut process) = terminal();
            let (stdin, mut keyboard) = std::io::pipe().unwrap();
            let (mut screen, stdout) = std::io::pipe().unwrap();
            let ends = TerminalEnds { stdin: Some(stdin.into()), stdout: stdout.into(), kept: None };
            let console = Console::attach(controlling, ends).unwrap();
            console.resize(132, 50).unwrap();
            let size = tcgetwinsize(&process).unwrap();
            assert_eq!((size.ws_col, size.ws_row), (132, 50));

            keyboard.write_all(b"typed\n").unwrap();
            let process = tokio::task::spawn_blocking(move || {
                let mut line = [0; 6];
                process.read_exact(&mut line).unwrap();
                process.write_all(b"seen\n").unwrap();
                line
            });
            assert_eq!(&process.await.unwrap(), b"typed\n");
            console.drained().await;
            drop(console);
            let mut shown = String::new();
            screen.read_to_string(&mut shown).unwrap();
            assert_eq!(shown, "typed\r\nseen\r\n");
        });
    }
}
