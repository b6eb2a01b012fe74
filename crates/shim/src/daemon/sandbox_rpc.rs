//! The sandbox API, every call of it: convert, handle, convert, as in the table of the task API.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::sandbox_api as api;
use containerd_shim_protos::sandbox_async::{Sandbox, create_sandbox};
use containerd_shim_protos::ttrpc::Result;
use containerd_shim_protos::ttrpc::r#async::{Service, TtrpcContext};
use containerd_shim_protos::types::platform::Platform;

use super::Daemon;
use super::sandboxes::SandboxRequest;

/// CRI's `PodSandboxState`.
const READY: &str = "SANDBOX_READY";
const NOT_READY: &str = "SANDBOX_NOTREADY";

/// The service of the sandbox API.
pub(super) fn service(daemon: &Arc<Daemon>) -> HashMap<String, Service> {
    create_sandbox(Arc::new(Table(daemon.clone())))
}

struct Table(Arc<Daemon>);

#[async_trait]
impl Sandbox for Table {
    async fn create_sandbox(
        &self,
        _: &TtrpcContext,
        request: api::CreateSandboxRequest,
    ) -> Result<api::CreateSandboxResponse> {
        self.0.create_sandbox(&request.into())?;
        Ok(api::CreateSandboxResponse::new())
    }

    async fn start_sandbox(
        &self,
        _: &TtrpcContext,
        request: api::StartSandboxRequest,
    ) -> Result<api::StartSandboxResponse> {
        let created_at = time(Some(self.0.start_sandbox(&request.sandbox_id).await?));
        // The process that holds the namespaces. What containerd makes of it, a container's create puts right.
        Ok(api::StartSandboxResponse { pid: std::process::id(), created_at, ..Default::default() })
    }

    async fn platform(
        &self,
        _: &TtrpcContext,
        request: api::PlatformRequest,
    ) -> Result<api::PlatformResponse> {
        self.0.sandbox(&request.sandbox_id)?;
        let (os, architecture) = ("linux".to_owned(), "amd64".to_owned());
        let platform = Platform { os, architecture, ..Default::default() };
        Ok(api::PlatformResponse { platform: MessageField::some(platform), ..Default::default() })
    }

    async fn stop_sandbox(
        &self,
        _: &TtrpcContext,
        request: api::StopSandboxRequest,
    ) -> Result<api::StopSandboxResponse> {
        self.0.stop_sandbox(&request.sandbox_id).await?;
        Ok(api::StopSandboxResponse::new())
    }

    async fn wait_sandbox(
        &self,
        _: &TtrpcContext,
        request: api::WaitSandboxRequest,
    ) -> Result<api::WaitSandboxResponse> {
        let exit = self.0.sandbox(&request.sandbox_id)?.wait().await;
        let (exit_status, exited_at) = (exit.status, time(Some(exit.at)));
        Ok(api::WaitSandboxResponse { exit_status, exited_at, ..Default::default() })
    }

    async fn sandbox_status(
        &self,
        _: &TtrpcContext,
        request: api::SandboxStatusRequest,
    ) -> Result<api::SandboxStatusResponse> {
        let sandbox = self.0.sandbox(&request.sandbox_id)?;
        let (state, pid) = match sandbox.ready_since() {
            Some(_) => (READY, std::process::id()),
            None => (NOT_READY, 0),
        };
        Ok(api::SandboxStatusResponse {
            sandbox_id: request.sandbox_id,
            pid,
            state: state.to_owned(),
            created_at: time(sandbox.started()),
            exited_at: time(sandbox.stopped()),
            ..Default::default()
        })
    }

    async fn ping_sandbox(&self, _: &TtrpcContext, request: api::PingRequest) -> Result<api::PingResponse> {
        self.0.sandbox(&request.sandbox_id)?;
        Ok(api::PingResponse::new())
    }

    async fn shutdown_sandbox(
        &self,
        _: &TtrpcContext,
        request: api::ShutdownSandboxRequest,
    ) -> Result<api::ShutdownSandboxResponse> {
        self.0.shut_sandbox_down(&request.sandbox_id).await?;
        Ok(api::ShutdownSandboxResponse::new())
    }

    async fn sandbox_metrics(
        &self,
        _: &TtrpcContext,
        request: api::SandboxMetricsRequest,
    ) -> Result<api::SandboxMetricsResponse> {
        let stats = self.0.sandbox_stats(&request.sandbox_id)?;
        let mut response = api::SandboxMetricsResponse::new();
        let metrics = response.metrics.mut_or_insert_default();
        metrics.id = request.sandbox_id;
        metrics.timestamp = time(Some(SystemTime::now()));
        metrics.data = MessageField::some(stats);
        Ok(response)
    }
}

fn time(at: Option<SystemTime>) -> MessageField<Timestamp> {
    at.map(Timestamp::from).into()
}

impl From<api::CreateSandboxRequest> for SandboxRequest {
    fn from(request: api::CreateSandboxRequest) -> Self {
        Self {
            id: request.sandbox_id,
            bundle: request.bundle_path,
            options: request.options.into_option(),
            network: request.netns_path,
        }
    }
}
