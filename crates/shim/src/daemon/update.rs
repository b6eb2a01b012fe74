//! `update`: gives a container other limits.

use std::sync::Arc;

use anyhow::Context;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use oci_spec::runtime::LinuxResources;

use super::Daemon;
use super::container::Container;
use super::lifecycle::Phase;
use super::scope;
use crate::cgroup::Cgroup;
use crate::failure::{Failure, OrFail, Result};
use crate::limits;

impl Daemon {
    /// Takes the resources in JSON, as a `config.json` has them.
    pub(super) async fn update(&self, container: Arc<Container>, resources: Option<Any>) -> Result<()> {
        if let Phase::Stopped(_) = container.first.phase() {
            return Err(Failure::precondition("cannot update a stopped container"));
        }
        let any = resources.context("the update names no resources").or_invalid()?;
        let resources: LinuxResources =
            serde_json::from_slice(&any.value).context("reading the resources").or_invalid()?;
        let cgroup = container.made()?.cgroup.clone();
        // The kernel takes its time to free what is above a new memory limit.
        let place = cgroup.clone();
        let updated = tokio::task::spawn_blocking(move || limits::update(&place, &resources)).await;
        let settings = updated.context("a worker thread died")?.context("updating the container's limits")?;
        if let (Cgroup::V2(dir), true) = (&cgroup, container.bundle().has_scope()) {
            scope::tell(dir, &settings, &self.reaper)
                .await
                .context("telling systemd the container's limits")?;
        }
        Ok(())
    }
}
