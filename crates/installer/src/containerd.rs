//! The node's containerd, asked by its own and by Kubernetes' interface.

mod probe;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use containerd_client::services::v1::version_client::VersionClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{StatusRequest, StatusResponse};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::registration::ConfigVersion;
use crate::retry::until_it_succeeds;
pub(crate) use probe::Verified;

/// How long it may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A containerd, which need not run.
#[derive(Debug)]
pub(crate) struct Containerd {
    /// From here.
    socket: PathBuf,
    runtime: Runtime,
}

/// What decides how it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// containerd 1.x
    One,
    /// containerd 2.0 and later
    Two,
}

impl Generation {
    /// The version of a configuration file that is made for it.
    pub(crate) fn config_version(self) -> ConfigVersion {
        match self {
            Self::One => ConfigVersion::Two,
            Self::Two => ConfigVersion::Three,
        }
    }

    fn of(version: &str) -> Self {
        match version.trim_start_matches('v').starts_with("1.") {
            true => Self::One,
            false => Self::Two,
        }
    }
}

impl Containerd {
    /// The one behind that socket.
    pub(crate) fn new(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { socket: socket.to_owned(), runtime: runtime.context("starting the event loop")? })
    }

    /// Its generation. Fails if it does not answer.
    pub(crate) fn generation(&self) -> Result<Generation> {
        let asked =
            self.ask(async |channel| Ok(VersionClient::new(channel).version(()).await?.into_inner().version));
        let version = asked.with_context(|| format!("containerd at {}", self.socket.display()))?;
        Ok(Generation::of(&version))
    }

    /// The runtime handlers that its CRI has.
    pub(crate) fn handlers(&self) -> Result<BTreeSet<String>> {
        let status = self.ask(async |channel| {
            let mut client = RuntimeServiceClient::new(channel);
            Ok(client.status(StatusRequest { verbose: true }).await?.into_inner())
        });
        handlers_in(&status.context("asking containerd's CRI for its runtime handlers")?)
    }

    /// Waits until it answers and its CRI is there, for that long at most.
    pub(crate) fn wait_until_back(&self, patience: Duration) -> Result<()> {
        let answered = until_it_succeeds(patience, || self.handlers().map(drop));
        answered.with_context(|| {
            format!("containerd does not answer, {} s after its restart", patience.as_secs())
        })
    }

    fn ask<A>(&self, question: impl AsyncFnOnce(Channel) -> Result<A>) -> Result<A> {
        self.in_time(async {
            question(containerd_client::connect(&self.socket).await.context("connecting")?).await
        })
    }

    fn in_time<A>(&self, work: impl Future<Output = Result<A>>) -> Result<A> {
        self.runtime.block_on(async {
            match tokio::time::timeout(PATIENCE, work).await {
                Ok(done) => done,
                Err(_) => bail!("no answer within {} s", PATIENCE.as_secs()),
            }
        })
    }
}

/// containerd 2.x names its handlers; 1.7 has them in the configuration that a verbose answer holds.
fn handlers_in(status: &StatusResponse) -> Result<BTreeSet<String>> {
    if !status.runtime_handlers.is_empty() {
        return Ok(status.runtime_handlers.iter().map(|handler| handler.name.clone()).collect());
    }
    let config = status.info.get("config").context("containerd's CRI does not tell its configuration")?;
    let config: serde_json::Value = serde_json::from_str(config).context("reading CRI's configuration")?;
    let runtimes = config["containerd"]["runtimes"].as_object();
    Ok(runtimes.context("CRI's configuration has no runtimes")?.keys().cloned().collect())
}

#[cfg(test)]
mod tests {
    use k8s_cri::v1::RuntimeHandler;

    use super::*;

    #[test]
    fn a_generation_is_told_by_the_version() {
        assert_eq!(Generation::of("1.7.24~ds1"), Generation::One);
        assert_eq!(Generation::of("v2.1.9"), Generation::Two);
    }

    #[test]
    fn handlers_are_found_in_new_and_old_answers() {
        let handler = RuntimeHandler { name: "wasmedge".to_owned(), features: None };
        let new = StatusResponse { runtime_handlers: vec![handler], ..Default::default() };
        assert!(handlers_in(&new).unwrap().contains("wasmedge"));
        let config = r#"{"containerd": {"runtimes": {"runc": {}, "wasmedge": {}}}}"#;
        let info = [("config".to_owned(), config.to_owned())].into();
        let old = StatusResponse { info, ..Default::default() };
        assert!(handlers_in(&old).unwrap().contains("wasmedge"));
        assert!(handlers_in(&StatusResponse::default()).is_err());
    }
}
