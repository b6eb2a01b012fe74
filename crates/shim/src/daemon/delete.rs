//! `delete`: removes a container that has ended, and all that the host had of it.

use std::sync::Arc;

use anyhow::Context;
use rustix::process::Signal;

use super::container::Container;
use super::event::Event;
use super::lifecycle::Phase;
use super::{Daemon, hooks};
use crate::failure::{Failure, Result};
use crate::remains::{self, Exit};

impl Daemon {
    /// Removes a container that has stopped, or was never started; returns its pid and exit.
    pub(super) async fn delete(&self, container: &Arc<Container>) -> Result<(u32, Exit)> {
        let _turn = container.first.turn.lock().await;
        // Another delete may have had the turn before.
        self.container(container.id())?;
        let first = &container.first;
        match first.phase() {
            Phase::Creating => {
                container.cancel.notify_one();
                let _ = container.settled.subscribe().wait_for(|settled| *settled).await;
                return Err(Failure::not_found(format!(
                    "the create of container {} was given up",
                    container.id()
                )));
            }
            // As runc does it: what was never started need not be killed first.
            Phase::Created => drop(first.signal(Signal::KILL)),
            Phase::Starting | Phase::Running | Phase::Paused => {
                let message = format!("container {} must be stopped before it is deleted", container.id());
                return Err(Failure::precondition(message));
            }
            Phase::Stopped(_) => {}
        }
        let exit = first.wait().await;
        let pid = first.lifecycle().pid();
        first.close_console().await;

        let made = container.made()?;
        let (bundle, cgroup) = (container.bundle().clone(), made.cgroup.clone());
        let cleared = tokio::task::spawn_blocking(move || remains::clear(&bundle, Some(&cgroup))).await;
        cleared.context("a worker thread died")?.context("cleaning up after the container")?;
        let spec = &made.config.spec;
        hooks::poststop(spec.hooks().as_ref(), container.bundle(), spec.version(), &self.reaper).await;
        self.unregister(container);
        self.events.publish(container.subject(first), Event::Deleted { pid, exit });
        Ok((pid, exit))
    }
}
