//! `pause` and `resume`: the kernel gives a container's processes no time, and gives it again.

use std::sync::Arc;

use anyhow::Context;

use super::Daemon;
use super::container::Container;
use super::lifecycle::Phase;
use crate::failure::{Failure, Result};

impl Daemon {
    /// Returns once nothing in the container runs.
    pub(super) async fn pause(&self, container: Arc<Container>) -> Result<()> {
        let _turn = container.first.turn.lock().await;
        match container.first.phase() {
            Phase::Running => {}
            Phase::Paused => return Err(Failure::precondition("cannot pause a paused container")),
            Phase::Stopped(_) => return Err(Failure::precondition("cannot pause a stopped container")),
            Phase::Creating | Phase::Created | Phase::Starting => {
                return Err(Failure::precondition("cannot pause task in created state"));
            }
        }
        let cgroup = container.made()?.cgroup.clone();
        let frozen = tokio::task::spawn_blocking(move || cgroup.freeze()).await;
        frozen.context("a worker thread died")?.context("freezing the container's cgroup")?;
        let events = container.first.lifecycle().paused();
        self.publish(&container, &container.first, events);
        Ok(())
    }

    /// Lets it go on.
    pub(super) async fn resume(&self, container: Arc<Container>) -> Result<()> {
        let _turn = container.first.turn.lock().await;
        match container.first.phase() {
            Phase::Paused => {}
            Phase::Stopped(_) => return Err(Failure::precondition("cannot resume a stopped container")),
            _ => return Err(Failure::precondition("cannot resume a running process")),
        }
        container.made()?.cgroup.thaw().context("thawing the container's cgroup")?;
        let events = container.first.lifecycle().resumed();
        self.publish(&container, &container.first, events);
        Ok(())
    }
}
