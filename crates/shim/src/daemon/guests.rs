//! The guests of a daemon, told to whoever connects to a socket beside the task API's: `wasmedge-engine ps`.
//!
//! The answer is one JSON array of [`Guest`]s, then the end. Only root can reach the socket.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use super::Daemon;
use super::container::Container;
use super::lifecycle::Phase;
use super::process::Process;
use crate::ps::Guest;

/// Answers for as long as the daemon runs.
pub(super) fn tell(daemon: &Arc<Daemon>) -> Result<()> {
    let socket = daemon.idle.guests_socket();
    let listener =
        UnixListener::bind(&socket).with_context(|| format!("listening on {}", socket.display()))?;
    let daemon = Arc::downgrade(daemon);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(daemon) = daemon.upgrade() else { return };
            let guests = serde_json::to_vec(&daemon.guests()).unwrap_or_default();
            // A task of its own: one that does not read keeps nobody waiting.
            tokio::spawn(async move { stream.write_all(&guests).await });
        }
    });
    Ok(())
}

impl Daemon {
    fn guests(&self) -> Vec<Guest> {
        let containers: Vec<_> = self.all().values().cloned().collect();
        let of = |container: &Arc<Container>| {
            let execs = container.execs.all().into_iter().map(|exec| exec.process.clone());
            let processes = std::iter::once(container.first.clone()).chain(execs);
            processes.filter_map(|process| self.guest(container, &process)).collect::<Vec<_>>()
        };
        containers.iter().flat_map(of).collect()
    }

    /// `None` for a native program, and for one that does not run.
    fn guest(&self, container: &Container, process: &Process) -> Option<Guest> {
        let mode = process.mode()?;
        let is_there =
            matches!(process.phase(), Phase::Created | Phase::Starting | Phase::Running | Phase::Paused);
        is_there.then(|| Guest {
            namespace: self.namespace.clone(),
            container: container.id().to_owned(),
            exec: process.exec_id().map(str::to_owned),
            pid: process.lifecycle().pid(),
            mode,
        })
    }
}
