//! The task API, every call of it: convert, handle, convert. Protobuf goes no deeper than this file.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::shim_async::{Task, create_task};
use containerd_shim_protos::ttrpc::Result;
use containerd_shim_protos::ttrpc::r#async::{Service, TtrpcContext};
use rustix::process::Signal;

use super::Daemon;
use super::create::CreateRequest;
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
        no_exec(&request.exec_id)?;
        let pid = self.0.start(self.0.container(&request.id)?).await?;
        Ok(api::StartResponse { pid, ..Default::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: api::StateRequest) -> Result<api::StateResponse> {
        no_exec(&request.exec_id)?;
        let container = self.0.container(&request.id)?;
        let (phase, pid) = {
            let lifecycle = container.lifecycle();
            (lifecycle.phase(), lifecycle.pid())
        };
        let (status, exit) = match phase {
            Phase::Creating => (api::Status::UNKNOWN, None),
            Phase::Created | Phase::Starting => (api::Status::CREATED, None),
            Phase::Running => (api::Status::RUNNING, None),
            Phase::Stopped(exit) => (api::Status::STOPPED, Some(exit)),
        };
        let streams = container.streams().clone();
        Ok(api::StateResponse {
            id: request.id,
            bundle: container.bundle().dir().to_string_lossy().into_owned(),
            pid,
            status: status.into(),
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| exit.at.into()).into(),
            ..Default::default()
        })
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> Result<api::WaitResponse> {
        no_exec(&request.exec_id)?;
        let exit = self.0.container(&request.id)?.wait().await;
        let exited_at = MessageField::some(exit.at.into());
        Ok(api::WaitResponse { exit_status: exit.status, exited_at, ..Default::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> Result<api::Empty> {
        no_exec(&request.exec_id)?;
        let number = request.signal.cast_signed();
        let signal = Signal::from_named_raw(number);
        let signal = signal.ok_or_else(|| anyhow::anyhow!("there is no signal {number}")).or_invalid()?;
        self.0.container(&request.id)?.kill(signal, request.all)?;
        Ok(api::Empty::new())
    }

    async fn delete(&self, _: &TtrpcContext, request: api::DeleteRequest) -> Result<api::DeleteResponse> {
        no_exec(&request.exec_id)?;
        let (pid, exit) = self.0.delete(&self.0.container(&request.id)?).await?;
        let exited_at = MessageField::some(exit.at.into());
        Ok(api::DeleteResponse { pid, exit_status: exit.status, exited_at, ..Default::default() })
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> Result<api::PidsResponse> {
        let container = self.0.container(&request.id)?;
        let process = |pid: i32| api::ProcessInfo { pid: pid.unsigned_abs(), ..Default::default() };
        let processes = container.made()?.cgroup.pids().into_iter().map(process).collect();
        Ok(api::PidsResponse { processes, ..Default::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: api::StatsRequest) -> Result<api::StatsResponse> {
        let container = self.0.container(&request.id)?;
        let stats = super::stats::collect(&container.made()?.cgroup).map_err(Failure::from)?;
        Ok(api::StatsResponse { stats: MessageField::some(stats), ..Default::default() })
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> Result<api::Empty> {
        no_exec(&request.exec_id)?;
        if request.stdin {
            self.0.container(&request.id)?.kept().close_stdin();
        }
        Ok(api::Empty::new())
    }

    async fn connect(&self, _: &TtrpcContext, request: api::ConnectRequest) -> Result<api::ConnectResponse> {
        let task_pid = self.0.container(&request.id)?.lifecycle().pid();
        Ok(api::ConnectResponse { shim_pid: std::process::id(), task_pid, ..Default::default() })
    }

    async fn shutdown(&self, _: &TtrpcContext, request: api::ShutdownRequest) -> Result<api::Empty> {
        // containerd asks this for every container; the daemon decides for all of them.
        if request.now {
            self.0.idle.leave_now();
        }
        Ok(api::Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, _: api::PauseRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("pause").into())
    }

    async fn resume(&self, _: &TtrpcContext, _: api::ResumeRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("resume").into())
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: api::CheckpointTaskRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("checkpoint").into())
    }

    async fn exec(&self, _: &TtrpcContext, _: api::ExecProcessRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("exec").into())
    }

    async fn resize_pty(&self, _: &TtrpcContext, _: api::ResizePtyRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("resize_pty").into())
    }

    async fn update(&self, _: &TtrpcContext, _: api::UpdateTaskRequest) -> Result<api::Empty> {
        Err(Failure::unimplemented("update").into())
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
            terminal: request.terminal,
            streams: Streams { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr },
            from_checkpoint: !request.checkpoint.is_empty(),
            options: request.options.into_option(),
        }
    }
}

/// Without exec there are no processes but the container's first.
fn no_exec(exec_id: &str) -> std::result::Result<(), Failure> {
    match exec_id {
        "" => Ok(()),
        id => Err(Failure::not_found(format!("process {id} does not exist"))),
    }
}
