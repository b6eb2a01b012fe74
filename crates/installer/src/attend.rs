//! `attend`: waits for the end of the installer's pod, and uninstalls if the pod does not end to come back.
//!
//! A pod ends when it is upgraded, when its node reboots, and when nobody wants it any more. Only the last is a reason
//! to take the runtime away: the DaemonSet is gone or going, or selects this node no longer.

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Home;
use crate::uninstall::Uninstall;

/// See [the module](self).
#[derive(Debug, Args)]
pub(crate) struct Attend {
    /// The DaemonSet that the pod is of
    #[arg(long, env = "DAEMON_SET", value_name = "NAME")]
    daemon_set: String,

    #[command(flatten)]
    uninstall: Uninstall,
}

impl Attend {
    /// Returns when the pod is to end and all is done. Fails if uninstalling does.
    pub(crate) fn run(self) -> Result<()> {
        wait_for_the_end()?;
        let home = Home::of(&self.uninstall.settings.identity)?.context("--node-name is missing")?;
        match home.is_wanted_by(&self.daemon_set) {
            Ok(true) => Ok(()),
            Ok(false) => self.uninstall.run(),
            // Not to know is no reason to take anything away.
            Err(error) => Err(error.context("the runtime stays on the node")),
        }
    }
}

fn wait_for_the_end() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("starting the event loop")?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listening for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listening for signals")?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
