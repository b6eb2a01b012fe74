//! The settings are what the person who installs may say about the node; the defaults fit the known layouts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use toml_edit::Value;

use crate::cluster::Identity;
use crate::containerd::Containerd;
use crate::host::Host;
use crate::layout::Layout;
use crate::payload::Versions;
use crate::registration::{Registration, Sandboxer};
use crate::restart::Restart;

/// Where and what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Where the node's root directory is
    #[arg(long, env = "HOST_ROOT", default_value = "/", value_name = "DIR")]
    root: PathBuf,

    /// The installer's directory on the node
    #[arg(long, env = "DIRECTORY", default_value = "/opt/containerd-shim-wasmedge", value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// The name that a RuntimeClass calls its handler
    #[arg(long, env = "HANDLER", default_value = "wasmedge", value_name = "NAME")]
    pub(crate) handler: String,

    /// What holds what the containers of a pod share
    #[arg(long, env = "SANDBOXER", value_enum, default_value_t)]
    sandboxer: Sandboxer,

    /// A runtime option, see the README; can be given several times
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = option)]
    options: Vec<(String, Value)>,

    /// containerd's configuration file on the node [default: as the layout has it]
    #[arg(long, env = "CONTAINERD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// containerd's socket on the node [default: as the layout has it]
    #[arg(long, env = "CONTAINERD_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,

    /// The node's command that restarts containerd [default: its service is restarted]
    #[arg(long, env = "RESTART_COMMAND", value_name = "COMMAND", value_delimiter = ' ')]
    restart_command: Vec<String>,

    /// For how many seconds a containerd that was restarted is waited for
    #[arg(long, default_value = "90", value_name = "SECONDS")]
    patience: u64,

    #[command(flatten)]
    pub(crate) identity: Identity,
}

/// A node as the settings describe it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    pub(crate) containerd: Containerd,
    pub(crate) restart: Restart,
    pub(crate) registration: Registration,
    pub(crate) directory: PathBuf,
    patience: Duration,
}

impl Settings {
    /// Looks at the node.
    pub(crate) fn node(&self) -> Result<Node> {
        let host = Host::new(&self.root);
        let mut layout = Layout::detect(&host);
        // Another configuration file than the layout's is taken as it stands.
        if let Some(config) = &self.config {
            layout = Layout { config: config.clone(), ..Layout::standard() };
        }
        if let Some(socket) = &self.socket {
            layout.socket.clone_from(socket);
        }
        let containerd = Containerd::new(&host.resolve(&layout.socket)?)?;
        let restart = match self.restart_command.is_empty() {
            true => Restart::Services(layout.services),
            false => Restart::Command(self.restart_command.clone()),
        };
        let registration = Registration {
            handler: self.handler.clone(),
            shim: Versions::new(&host, &self.directory).shim(),
            sandboxer: self.sandboxer,
            options: self.options.clone(),
        };
        let (directory, patience) = (self.directory.clone(), Duration::from_secs(self.patience));
        Ok(Node { host, layout, containerd, restart, registration, directory, patience })
    }
}

impl Node {
    /// The versions of the runtime on it.
    pub(crate) fn versions(&self) -> Versions<'_> {
        Versions::new(&self.host, &self.directory)
    }

    /// Restarts containerd and waits until it is back.
    pub(crate) fn restart_containerd(&self) -> Result<()> {
        self.restart.run(&self.host).context("restarting containerd")?;
        self.containerd.wait_until_back(self.patience)
    }

    /// Puts a file there, or takes it away.
    pub(crate) fn put(&self, path: &Path, file: Option<&crate::host::TextFile>) -> Result<()> {
        match file {
            Some(file) => self.host.write(path, file),
            None => self.host.remove(path),
        }
    }
}

/// `NAME=VALUE`, the value in TOML, or else a text.
fn option(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), value.parse().unwrap_or_else(|_| Value::from(value))))
        }
        _ => Err("not of the form NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_options_value_is_toml_or_a_text() {
        assert_eq!(option("DaemonPerPod=true").unwrap().1.as_bool(), Some(true));
        assert_eq!(option("CompileWait=3").unwrap().1.as_integer(), Some(3));
        assert_eq!(option("Compile=off").unwrap().1.as_str(), Some("off"));
        assert!(option("Compile").is_err());
    }
}
