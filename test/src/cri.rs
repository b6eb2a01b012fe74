//! Kubernetes' container runtime interface, as a kubelet uses it: pods, their containers, logs, figures.

mod plan;
mod pod;

use std::cell::RefCell;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{PodSandboxStatus, PodSandboxStatusRequest, StatusRequest};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

pub use plan::PodPlan;
pub use pod::{KeptContainer, KeptPod, Pod, PodContainer};

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

    /// A pod under that runtime handler (none: the default, runc).
    pub fn pod(&self, handler: &str) -> PodPlan<'_> {
        PodPlan::new(self, handler)
    }

    /// Runs a pod under that runtime handler.
    #[track_caller]
    pub fn run_pod(&self, handler: &str) -> Pod<'_> {
        self.pod(handler).run()
    }

    /// Whether the kubelet is told that pods under that runtime handler may have users of their own.
    #[track_caller]
    pub fn has_user_namespaces(&self, handler: &str) -> bool {
        let answer =
            self.call(async |mut client| client.status(StatusRequest { verbose: false }).await).unwrap();
        let handler = answer.runtime_handlers.into_iter().find(|known| known.name == handler);
        handler.and_then(|handler| handler.features).is_some_and(|features| features.user_namespaces)
    }

    /// A pod's status, as CRI tells it.
    #[track_caller]
    pub fn status_of(&self, pod: &str) -> PodSandboxStatus {
        self.try_status_of(pod).unwrap()
    }

    fn try_status_of(&self, pod: &str) -> Result<PodSandboxStatus, Status> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: pod.to_owned(), ..Default::default() };
        let answer = self.call(async |mut client| client.pod_sandbox_status(request).await)?;
        Ok(answer.status.unwrap())
    }

    /// A pod's address in the bridge network.
    #[track_caller]
    pub fn address_of(&self, pod: &str) -> String {
        self.status_of(pod).network.map(|network| network.ip).unwrap()
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
