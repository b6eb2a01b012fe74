//! A scope is systemd's unit for a container's cgroup.
//!
//! systemd writes the limits that it knows into the cgroup again whenever it reloads, so those that change while the
//! container runs are told to it too. `systemctl` does that, which is wherever systemd is.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::reaper::Reaper;
use crate::limits::Setting;

/// Tells systemd what was written into the cgroup, for as long as the unit lives.
pub(super) async fn tell(cgroup: &Path, settings: &[Setting], reaper: &Reaper) -> Result<()> {
    let unit = cgroup.file_name().context("the cgroup has no name")?;
    let properties: Vec<_> = settings.iter().flat_map(Setting::properties).collect();
    if properties.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("systemctl");
    command.args(["set-property", "--runtime", "--"]).arg(unit).args(properties);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().context("executing systemctl")?;
    let exit = reaper.watch(i32::try_from(child.id()).context("systemctl's pid")?);
    let status = exit.await.context("waiting for systemctl")?.status;
    ensure!(status == 0, "systemctl ended with status {status}");
    Ok(())
}
