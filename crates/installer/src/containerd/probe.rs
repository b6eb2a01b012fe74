//! The probe is a Wasm container that the node's containerd runs, from create to delete.
//!
//! It goes by containerd's own interface and in a namespace of its own, because the kubelet kills a pod that it does
//! not know; that CRI has the handler is asked beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, DeleteNamespaceRequest,
    DeleteTaskRequest, KillRequest, StartRequest, WaitRequest,
};
use containerd_client::types::Mount;
use prost_types::Any;
use serde_json::{Value, json};
use tonic::Request;
use tonic::transport::Channel;

use super::Containerd;
use crate::host::{Host, TextFile};
use crate::registration::Registration;

const MODULE: &str = include_str!("probe.wat");
/// What the module exits with.
const ANSWER: u32 = 42;
const NAMESPACE: &str = "wasmedge-node-installer";
const ID: &str = "wasmedge-probe";
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// Loading WasmEdge, and compiling the module, on a slow and busy node.
const PATIENCE: Duration = Duration::from_secs(60);

/// The proof that Wasm pods can run here: the handler is known, and a Wasm container has run.
#[derive(Debug)]
pub(crate) struct Verified(());

impl Containerd {
    /// Runs the probe with that shim, from a root filesystem below `directory`, where nothing of it stays. Fails if the
    /// container could not be created or started, or did not end as it should.
    pub(crate) fn try_out(&self, host: &Host, shim: &Path, directory: &Path) -> Result<()> {
        let root = directory.join("probe");
        let status = prepare(host, &root).and_then(|()| self.probe(shim, &root));
        host.remove_tree(&root)?;
        let status = status.context("running a Wasm container")?;
        ensure!(status == ANSWER, "a Wasm container has ended with {status} instead of {ANSWER}");
        Ok(())
    }

    /// Looks for the handler, and runs the probe with its shim. Fails if either is not as it should be.
    pub(crate) fn verify(
        &self,
        host: &Host,
        registration: &Registration,
        directory: &Path,
    ) -> Result<Verified> {
        let handlers = self.handlers()?;
        let names = handlers.iter().cloned().collect::<Vec<_>>().join(", ");
        let handler = &registration.handler;
        ensure!(handlers.contains(handler), "containerd's CRI has no handler {handler}, only {names}");
        self.try_out(host, &registration.shim, directory)?;
        Ok(Verified(()))
    }

    fn probe(&self, shim: &Path, root: &Path) -> Result<u32> {
        let run = self.runtime.block_on(async {
            let channel = containerd_client::connect(&self.socket).await.context("connecting")?;
            // What an installer that was killed has left.
            clean_up(&channel).await;
            let ended = tokio::time::timeout(PATIENCE, run(&channel, shim, root)).await;
            clean_up(&channel).await;
            anyhow::Ok(ended)
        })?;
        run.with_context(|| format!("it has not ended within {} s", PATIENCE.as_secs()))?
    }
}

async fn run(channel: &Channel, shim: &Path, root: &Path) -> Result<u32> {
    let runtime = Runtime { name: shim.display().to_string(), options: None };
    let spec = Any { type_url: SPEC.to_owned(), value: spec().to_string().into_bytes() };
    let container =
        Container { id: ID.to_owned(), runtime: Some(runtime), spec: Some(spec), ..Default::default() };
    let create = CreateContainerRequest { container: Some(container) };
    ContainersClient::new(channel.clone()).create(ours(create)?).await.map_err(said)?;

    let mut tasks = TasksClient::new(channel.clone());
    let rootfs = Mount {
        r#type: "bind".to_owned(),
        source: root.display().to_string(),
        options: vec!["rbind".to_owned(), "ro".to_owned()],
        ..Default::default()
    };
    let create =
        CreateTaskRequest { container_id: ID.to_owned(), rootfs: vec![rootfs], ..Default::default() };
    tasks.create(ours(create)?).await.map_err(said).context("creating it")?;
    let start = StartRequest { container_id: ID.to_owned(), ..Default::default() };
    tasks.start(ours(start)?).await.map_err(said).context("starting it")?;
    let wait = WaitRequest { container_id: ID.to_owned(), ..Default::default() };
    Ok(tasks.wait(ours(wait)?).await.map_err(said).context("waiting for its end")?.into_inner().exit_status)
}

/// Takes away what there is of the probe, and needs nothing of it to be there.
async fn clean_up(channel: &Channel) {
    let mut tasks = TasksClient::new(channel.clone());
    let kill = KillRequest { container_id: ID.to_owned(), signal: 9, all: true, ..Default::default() };
    let wait = WaitRequest { container_id: ID.to_owned(), ..Default::default() };
    let delete = DeleteTaskRequest { container_id: ID.to_owned() };
    let (Ok(kill), Ok(wait), Ok(delete)) = (ours(kill), ours(wait), ours(delete)) else { return };
    if tasks.kill(kill).await.is_ok() {
        let _ = tokio::time::timeout(Duration::from_secs(5), tasks.wait(wait)).await;
    }
    let _ = tasks.delete(delete).await;
    let delete = DeleteContainerRequest { id: ID.to_owned() };
    if let Ok(delete) = ours(delete) {
        let _ = ContainersClient::new(channel.clone()).delete(delete).await;
    }
    let namespace = DeleteNamespaceRequest { name: NAMESPACE.to_owned() };
    let _ = NamespacesClient::new(channel.clone()).delete(namespace).await;
}

fn ours<M>(message: M) -> Result<Request<M>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", NAMESPACE.parse()?);
    Ok(request)
}

/// containerd's words alone.
fn said(status: tonic::Status) -> anyhow::Error {
    anyhow::Error::msg(status.message().to_owned())
}

fn prepare(host: &Host, root: &Path) -> Result<()> {
    for directory in ["proc", "dev"] {
        host.make_directory(&root.join(directory))?;
    }
    host.write(&root.join("probe.wat"), &TextFile::new(MODULE.to_owned()))
}

fn spec() -> Value {
    let kinds = ["pid", "ipc", "uts", "mount", "network"];
    json!({
        "ociVersion": "1.1.0",
        "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/probe.wat"], "cwd": "/", "noNewPrivileges": true },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"] },
        ],
        "linux": {
            "cgroupsPath": cgroup(),
            "namespaces": kinds.map(|kind| json!({ "type": kind })),
        },
    })
}

/// A cgroup that no other probe has: a machine may have several containerds, with an installer each.
fn cgroup() -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    PathBuf::from(format!("/{ID}-{:x}", now.as_nanos()))
}
