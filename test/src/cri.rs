//! Kubernetes' container runtime interface, as a kubelet uses it: pods, their containers, logs, figures.

mod pod;

use std::cell::RefCell;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, PodSandboxStatusRequest, RunPodSandboxRequest,
};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

pub use pod::{Pod, PodContainer};

use crate::{Containerd, DEADLINE, here};

/// A connection to a containerd's CRI.
pub struct Cri<'a> {
    containerd: &'a Containerd,
    runtime: Runtime,
    client: RefCell<RuntimeServiceClient<Channel>>,
}

impl<'a> Cri<'a> {
    /// Connects to a containerd that was booted with CRI.
    pub fn of(containerd: &'a Containerd) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let socket = containerd.socket();
        let connect = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://containerd").timeout(here(DEADLINE));
        let channel = runtime.block_on(endpoint.connect_with_connector(connect)).unwrap();
        Self { containerd, runtime, client: RefCell::new(RuntimeServiceClient::new(channel)) }
    }

    /// Runs a pod's sandbox under that runtime handler (none: the default, runc).
    #[track_caller]
    pub fn run_pod(&self, handler: &str) -> Pod<'_> {
        self.try_run_pod(handler, pod::namespaces()).unwrap()
    }

    /// Runs one with namespaces of its own choice, which all its containers have too, or tells why CRI would not.
    #[track_caller]
    pub fn try_run_pod(&self, handler: &str, namespaces: NamespaceOption) -> Result<Pod<'_>, Status> {
        let name = self.containerd.new_id();
        let logs = self.containerd.cell().directory().join("logs").join(&name);
        std::fs::create_dir_all(&logs).unwrap();
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.clone(),
                uid: name,
                namespace: "stories".to_owned(),
                attempt: 0,
            }),
            log_directory: logs.display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", self.containerd.cell().name()),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(namespaces.clone()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.to_owned() };
        let id = self.call(async |mut client| client.run_pod_sandbox(request).await)?.pod_sandbox_id;
        Ok(Pod::new(self, id, config, namespaces))
    }

    /// A pod's address in the bridge network.
    #[track_caller]
    pub fn address_of(&self, pod: &str) -> String {
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.to_owned(), ..Default::default() };
        let answer = self.call(async |mut client| client.pod_sandbox_status(request).await).unwrap();
        answer.status.and_then(|status| status.network).map(|network| network.ip).unwrap()
    }

    /// Makes one call; its answer.
    fn call<A>(
        &self,
        call: impl AsyncFnOnce(RuntimeServiceClient<Channel>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let client = self.client.borrow().clone();
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(here(DEADLINE) + Duration::from_secs(5), call(client)).await;
            answer.expect("CRI answers in time").map(Response::into_inner)
        })
    }
}
