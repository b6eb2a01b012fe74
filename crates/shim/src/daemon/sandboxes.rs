//! The sandboxes of a daemon: pods that it holds itself, for a containerd whose runtime is configured so.
//!
//! A pod's containers are made by the task API as any others; what makes them members is the pod's id in their
//! configuration.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use rustix::process::Signal;

use super::container::Container;
use super::create::CreateRequest;
use super::stdio::Streams;
use super::{Daemon, logging, stats};
use crate::bundle::{Bundle, Config};
use crate::failure::{Failure, OrFail, Result};
use crate::member::Member;
use crate::remains;
use crate::sandbox::{Namespaces, Pod, Sandbox};

/// What containerd asks for.
#[derive(Debug)]
pub(super) struct SandboxRequest {
    pub(super) id: String,
    pub(super) bundle: String,
    /// The pod's configuration.
    pub(super) options: Option<Any>,
    /// The path of the pod's network namespace; empty for the node's.
    pub(super) network: String,
}

impl Daemon {
    /// Takes a pod that nothing is made for yet.
    pub(super) fn create_sandbox(&self, request: &SandboxRequest) -> Result<()> {
        let pod = Pod::from_options(request.options.as_ref(), &request.network).or_invalid()?;
        let bundle = Bundle::new(&request.bundle, &request.id).or_invalid()?;
        let mut sandboxes = self.sandboxes();
        if sandboxes.contains_key(&request.id) {
            return Err(Failure::already_exists(format!("pod {} already exists", request.id)));
        }
        logging::attach(&bundle);
        sandboxes.insert(request.id.clone(), Arc::new(Sandbox::new(bundle, pod)));
        Ok(())
    }

    /// Makes what the pod's containers share; when that was.
    pub(super) async fn start_sandbox(self: &Arc<Self>, id: &str) -> Result<SystemTime> {
        let sandbox = self.sandbox(id)?;
        let since = sandbox.start().await?;
        if sandbox.configure_init()? {
            self.start_init(sandbox).await?;
        }
        Ok(since)
    }

    /// Runs the pod's init, a container that has the pod's id. Its end is the pod's.
    async fn start_init(self: &Arc<Self>, sandbox: Arc<Sandbox>) -> Result<()> {
        let request = CreateRequest {
            id: sandbox.id().to_owned(),
            bundle: sandbox.bundle().dir().display().to_string(),
            mounts: Vec::new(),
            streams: Streams::default(),
            from_checkpoint: false,
            options: None,
        };
        sandbox.set_init(self.create(request).await?);
        let init = self.container(sandbox.id())?;
        self.start(init.clone()).await?;
        tokio::spawn(async move {
            init.first.wait().await;
            if let Err(error) = sandbox.stop() {
                log::warn!(target: sandbox.id(), "{error:#}");
            }
        });
        Ok(())
    }

    /// Kills what still runs in the pod, and lets go what its containers share.
    pub(super) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let sandbox = self.sandbox(id)?;
        let is_member = |container: &&Arc<Container>| container.pod().is_some_and(|pod| pod.id() == id);
        let members: Vec<_> = self.all().values().filter(is_member).cloned().collect();
        for member in members.iter().filter(|member| member.made().is_ok()) {
            // One that has ended needs no signal.
            let _ = member.kill(&member.first, Signal::KILL, true);
            member.first.wait().await;
        }
        if let Ok(init) = self.container(id) {
            let _ = init.first.signal(Signal::KILL);
            init.first.wait().await;
        }
        Ok(sandbox.stop()?)
    }

    /// Removes the pod; its containers are removed before.
    pub(super) async fn shut_sandbox_down(&self, id: &str) -> Result<()> {
        let sandbox = self.sandbox(id)?;
        self.stop_sandbox(id).await?;
        if let Ok(init) = self.container(id) {
            self.delete(&init).await?;
        }
        let bundle = sandbox.bundle().clone();
        let cleared = tokio::task::spawn_blocking(move || remains::clear(&bundle, None)).await;
        cleared.context("a worker thread died")?.context("cleaning up after the pod")?;
        self.sandboxes().remove(id);
        logging::detach(id);
        self.idle.changed();
        Ok(())
    }

    /// What the kernel says of the pod's use of the machine, in containerd's messages.
    pub(super) fn sandbox_stats(&self, id: &str) -> Result<Any> {
        let cgroup = self.sandbox(id)?.cgroup();
        let cgroup = cgroup.ok_or_else(|| Failure::not_found(format!("pod {id} has no cgroup")))?;
        Ok(stats::collect(&cgroup)?)
    }

    /// The sandbox with this id.
    pub(super) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        let found = self.sandboxes().get(id).cloned();
        found.ok_or_else(|| Failure::not_found(format!("pod {id} does not exist")))
    }

    /// Makes a container a member of its pod, if this daemon has that: notes it in the pod's bundle, where the delete
    /// verb finds it, and completes its configuration if the pod is a sandbox. What is returned is to be kept until the
    /// container is made.
    pub(super) fn enter_pod(
        &self,
        container: &Container,
        config: &mut Config,
        systemd_cgroup: bool,
    ) -> Result<Option<Arc<Namespaces>>> {
        let pod = config.pod().to_owned();
        if pod == container.id() {
            return Ok(None);
        }
        let member = Member::of(container.bundle(), config, systemd_cgroup);
        if let Ok(sandbox) = self.sandbox(&pod) {
            let completed = sandbox.complete(&mut config.spec);
            let held = completed.map_err(|error| Failure::precondition(format!("{error:#}")))?;
            config.save()?;
            container.enter(sandbox.bundle(), &member)?;
            return Ok(Some(held));
        }
        if let Ok(pause) = self.container(&pod) {
            container.enter(pause.bundle(), &member)?;
        }
        Ok(None)
    }

    pub(super) fn sandboxes(&self) -> MutexGuard<'_, HashMap<String, Arc<Sandbox>>> {
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
