//! The task API, every call of it: convert, handle, convert. Protobuf goes no deeper than this file.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc::Result;
use containerd_shim_protos::ttrpc::r#async::{Service, TtrpcContext};
use rustix::process::Signal;
use rustix_libc_wrappers::process::SignalExt;

use super::Daemon;
use super::create::CreateRequest;
use super::event::any;
use super::exec::ExecRequest;
use super::lifecycle::Phase;
use super::rootfs::Mount;
use super::stdio::Streams;
use crate::failure::{Failure, OrFail};

/// The service of the task API under both its names; the messages are the same.
pub(super) fn services(daemon: &Arc<Daemon>) -> [HashMap<String, Service>; 2] {
    let table = || create_task(Arc::new(Table(daemon.clone())));
    let v2 = table().into_values().map(|service| ("containerd.task.v2.Task".to_owned(), service)).collect();
    [table(), v2]
}

struct Table(Arc<Daemon>);

#[async_trait]
impl Task for Table {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> Result<api::CreateTaskResponse> {
        let pid = self.0.create(request.into()).await?;
        Ok(api::CreateTaskResponse { pid, ..Default::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: api::StartRequest) -> Result<api::StartResponse> {
        let container = self.0.container(&request.id)?;
        let pid = match request.exec_id.as_str() {
            "" => self.0.start(container).await?,
            exec_id => self.0.start_exec(container, exec_id).await?,
        };
        Ok(api::StartResponse { pid, ..Default::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: api::StateRequest) -> Result<api::StateResponse> {
        let container = self.0.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let (phase, pid) = {
            let lifecycle = process.lifecycle();
            (lifecycle.phase(), lifecycle.pid())
        };
        let (status, exit) = match phase {
            Phase::Creating => (api::Status::UNKNOWN, None),
            Phase::Created | Phase::Starting => (api::Status::CREATED, None),
            // A paused container's execs are paused as well.
            Phase::Running | Phase::Paused if container.first.phase() == Phase::Paused => {
                (api::Status::PAUSED, None)
            }
            Phase::Running | Phase::Paused => (api::Status::RUNNING, None),
            Phase::Stopped(exit) => (api::Status::STOPPED, Some(exit)),
        };
        let streams = process.streams().clone();
        Ok(api::StateResponse {
            id: request.id,
            bundle: container.bundle().dir().to_string_lossy().into_owned(),
            pid,
            status: status.into(),
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
            terminal: streams.terminal,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| exit.at.into()).into(),
            exec_id: request.exec_id,
            ..Default::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> Result<api::WaitResponse> {
        let process = self.0.container(&request.id)?.process(&request.exec_id)?;
        let exit = process.wait().await;
        let exited_at = MessageField::some(exit.at.into());
        Ok(api::WaitResponse { exit_status: exit.status, exited_at, ..Default::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Result<api::Empty> {
        let container = self.0.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let number = request.signal.cast_signed();
        let signal = Signal::from_raw(number);
        let signal =
            signal.ok_or_else(|| anyhow::anyhow!("there is no signal {number} to send")).or_invalid()?;
        container.kill(&process, signal, request.all)?;
        Ok(api::Empty::new())
    }

    async fn delete(&self, _: &TtrpcContext, request: api::DeleteRequest) -> Result<api::DeleteResponse> {
        let container = self.0.container(&request.id)?;
        let (pid, exit) = match request.exec_id.as_str() {
            "" => self.0.delete(&container).await?,
            exec_id => self.0.delete_exec(&container, exec_id).await?,
        };
        let exited_at = MessageField::some(exit.at.into());
        Ok(api::DeleteResponse { pid, exit_status: exit.status, exited_at, ..Default::default() })
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Result<api::PidsResponse> {
        let container = self.0.container(&request.id)?;
        let mut execs = container.execs.pids();
        let mut processes = Vec::new();
        for pid in container.made()?.cgroup.pids().into_iter().map(i32::unsigned_abs) {
            let details = execs.remove(&pid).map(|exec_id| ProcessDetails { exec_id, ..Default::default() });
            let info = details.map(|details| any(&details)).transpose().map_err(Failure::from)?;
            processes.push(api::ProcessInfo { pid, info: info.into(), ..Default::default() });
        }
        Ok(api::PidsResponse { processes, ..Default::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: api::StatsRequest) -> Result<api::StatsResponse> {
        let container = self.0.container(&request.id)?;
        let stats = super::stats::collect(&container.made()?.cgroup).map_err(Failure::from)?;
        Ok(api::StatsResponse { stats: MessageField::some(stats), ..Default::default() })
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Result<api::Empty> {
        let process = self.0.container(&request.id)?.process(&request.exec_id)?;
        if request.stdin {
            process.kept().close_stdin();
        }
        Ok(api::Empty::new())
    }

    async fn connect(&self, _: &TtrpcContext, request: api::ConnectRequest) -> Result<api::ConnectResponse> {
        let task_pid = match self.0.container(&request.id) {
            // containerd, when it has restarted, asks this of a sandbox to see whether the shim is there.
            Err(_) if self.0.sandbox(&request.id).is_ok() => 0,
            container => container?.first.lifecycle().pid(),
        };
        Ok(api::ConnectResponse { shim_pid: std::process::id(), task_pid, ..Default::default() })
    }

    async fn shutdown(&self, _: &TtrpcContext, request: api::ShutdownRequest) -> Result<api::Empty> {
        // containerd asks this for every container; the daemon decides for all of them.
        if request.now {
            self.0.idle.leave_now();
        }
        Ok(api::Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, request: api::PauseRequest) -> Result<api::Empty> {
        self.0.pause(self.0.container(&request.id)?).await?;
        Ok(api::Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: api::ResumeRequest) -> Result<api::Empty> {
        self.0.resume(self.0.container(&request.id)?).await?;
        Ok(api::Empty::new())
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: api::CheckpointTaskRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("checkpoint").into())
    }

    async fn exec(&self, _: &TtrpcContext, request: api::ExecProcessRequest) -> Result<api::Empty> {
        let container = self.0.container(&request.id)?;
        self.0.exec(&container, request.into())?;
        Ok(api::Empty::new())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: api::ResizePtyRequest) -> Result<api::Empty> {
        let process = self.0.container(&request.id)?.process(&request.exec_id)?;
        process.resize(request.width, request.height)?;
        Ok(api::Empty::new())
    }

    async fn update(&self, _: &TtrpcContext, request: api::UpdateTaskRequest) -> Result<api::Empty> {
        self.0.update(self.0.container(&request.id)?, request.resources.into_option()).await?;
        Ok(api::Empty::new())
    }
}

impl From<api::CreateTaskRequest> for CreateRequest {
    fn from(request: api::CreateTaskRequest) -> Self {
        let mount = |mount: api::Mount| Mount {
            kind: mount.type_,
            source: mount.source,
            target: mount.target,
            options: mount.options,
        };
        Self {
            id: request.id,
            bundle: request.bundle,
            mounts: request.rootfs.into_iter().map(mount).collect(),
            streams: Streams {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            },
            from_checkpoint: !request.checkpoint.is_empty(),
            options: request.options.into_option(),
        }
    }
}

impl From<api::ExecProcessRequest> for ExecRequest {
    fn from(request: api::ExecProcessRequest) -> Self {
        Self {
            exec_id: request.exec_id,
            streams: Streams {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            },
            process: request.spec.into_option(),
        }
    }
}
