//! A restart makes containerd read its configuration again, by whatever keeps it running on this node.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use crate::host::Host;

/// How containerd is restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Restart {
    /// By a command of the node's, which returns when containerd was started.
    Command(Vec<String>),
    /// By the node's service manager: the one of these services that is active.
    Services(&'static [&'static str]),
}

impl Restart {
    /// Restarts. Fails if there is no way to, or if the service does not start.
    pub(crate) fn run(&self, host: &Host) -> Result<()> {
        let words = match self {
            Self::Command(words) => words.clone(),
            Self::Services(services) => by_service_manager(host, services)?,
        };
        let (program, arguments) = words.split_first().context("the command for a restart is empty")?;
        let mut command = host.command(program);
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().with_context(|| format!("running {}", words.join(" ")))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}: {}", words.join(" "), output.status, complaint.trim());
        Ok(())
    }
}

/// systemd's command, or OpenRC's.
fn by_service_manager(host: &Host, services: &[&str]) -> Result<Vec<String>> {
    let is_active = |words: &[&str]| {
        let mut command = host.command(words[0]);
        let status =
            command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        status.status().is_ok_and(|status| status.success())
    };
    let owned = |words: [&str; 3]| words.map(str::to_owned).to_vec();
    for service in services {
        if is_active(&["systemctl", "is-active", "--quiet", service]) {
            return Ok(owned(["systemctl", "restart", service]));
        }
        if is_active(&["rc-service", service, "status"]) {
            return Ok(owned(["rc-service", service, "restart"]));
        }
    }
    bail!("none of the services {} is active, so containerd cannot be restarted", services.join(", "))
}
