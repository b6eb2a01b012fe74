//! A request of the daemon to the engine: handed to the zygote, answered on a channel of its own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use wasmedge_messages::{CreateFds, Mode, Reply, Request};

use super::channel::AsyncChannel;
use super::stdio::Opened;
use super::strays::Strays;
use super::zygote::Zygote;
use crate::content::Layer;

/// How many zygotes may die of a request, or beside it, before it is given up.
const ATTEMPTS: u32 = 3;

/// How long the engine may take to say that a guest runs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What goes with a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enclosed<'a> {
    pub(super) opened: &'a Opened,
    pub(super) layer: Option<&'a Layer>,
    /// The module's native code.
    pub(super) artifact: Option<BorrowedFd<'a>>,
}

/// What was heard of a request so far.
#[derive(Debug)]
pub(super) struct Heard {
    /// The first reply that says what became of it.
    pub(super) reply: Reply,
    /// How the module is run, if that was told before.
    pub(super) mode: Option<Mode>,
    /// On which more is to come.
    pub(super) replies: AsyncChannel,
}

impl AsyncChannel {
    /// What the engine says next of a process that starts; `None` if it has closed the channel. One that takes long
    /// counts as running: a guest's own start section may take as long as it likes.
    pub(super) async fn hear_of_start(&self) -> Result<Option<Reply>> {
        match tokio::time::timeout(PATIENCE, self.receive()).await {
            Ok(reply) => reply.context("hearing the engine"),
            Err(_) => Ok(Some(Reply::Running)),
        }
    }
}

impl Zygote {
    /// Has the engine serve a request, up to its first reply. A zygote that dies before it has seen the request is
    /// given a successor, after `forget` has removed what an attempt may have left. `strays` are whoever serves it.
    pub(super) async fn ask(
        &self,
        request: &Request,
        enclosed: Enclosed<'_>,
        strays: &mut Option<Strays>,
        forget: impl Fn(),
    ) -> Result<Heard> {
        let Enclosed { opened, layer, artifact } = enclosed;
        for _ in 0..ATTEMPTS {
            let (replies, theirs) = AsyncChannel::pair().context("making a channel")?;
            let theirs = OwnedFd::from(theirs);
            let strays = strays.insert(Strays::holding(&theirs)?);
            let fds = CreateFds {
                reply: theirs.as_fd(),
                stdin: opened.stdin.as_fd(),
                stdout: opened.stdout.as_fd(),
                stderr: opened.stderr.as_fd(),
                layer: layer.map(|layer| layer.module.as_fd()),
                artifact,
            };
            let mut zygote = match self.send(request, &fds.as_array()).await {
                Ok(zygote) => zygote,
                Err(error) => return Err(self.explained(error).await),
            };
            strays.spare(zygote.pid());
            drop(theirs);
            let mut mode = None;
            let reply = loop {
                match replies.receive().await.context("hearing the engine")? {
                    Some(Reply::Loaded(loaded)) => mode = Some(loaded),
                    reply => break reply,
                }
            };
            match reply {
                Some(reply) => return Ok(Heard { reply, mode, replies }),
                None if zygote.ends().await => {
                    strays.kill();
                    forget();
                }
                None => break,
            }
        }
        Err(self.explained(anyhow!("the engine process died while it made the process")).await)
    }

    /// The error, and behind it what the engine wrote last, if it wrote anything.
    async fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        match self.last_words().await {
            Some(words) => anyhow!("{error:#}: {words}"),
            None => error,
        }
    }
}
