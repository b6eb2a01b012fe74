//! `create`: makes a container up to the point where its guest only waits to be started.
//!
//! Many creates run at a time and share no lock. One that fails, or whose caller goes away, is undone to the last
//! mount before the answer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use anyhow::Context;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::Code;
use wasmedge_messages::{Create, CreateFds, Mode, Reply, Request};

use super::channel::AsyncChannel;
use super::container::Container;
use super::layers::Layer;
use super::oom::OomWitness;
use super::rootfs::Mount;
use super::stdio::{self, Opened, Streams};
use super::strays::Strays;
use super::{Daemon, logging, rootfs};
use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::failure::{Failure, OrFail, Result};
use crate::options::RuntimeOptions;
use crate::remains;

/// How many zygotes may die of a request, or beside it, before it is given up.
const ATTEMPTS: u32 = 3;

/// What containerd asks for.
#[derive(Debug)]
pub(super) struct CreateRequest {
    pub(super) id: String,
    pub(super) bundle: String,
    pub(super) mounts: Vec<Mount>,
    pub(super) terminal: bool,
    pub(super) streams: Streams,
    pub(super) from_checkpoint: bool,
    pub(super) options: Option<Any>,
}

/// What a create has done so far, for the case that it must be undone.
#[derive(Debug, Default)]
struct Trail {
    cgroup: Option<Cgroup>,
    strays: Option<Strays>,
}

/// A create that ends with its caller.
struct CancelOnDrop(Arc<Container>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel.notify_one();
    }
}

impl Daemon {
    /// Returns the pid of the container's process.
    pub(super) async fn create(self: &Arc<Self>, request: CreateRequest) -> Result<u32> {
        if request.terminal {
            return Err(Failure::unimplemented("a terminal"));
        }
        if request.from_checkpoint {
            return Err(Failure::unimplemented("restoring a checkpoint"));
        }
        let bundle = Bundle::new(&request.bundle, &request.id).or_invalid()?;
        let container = Container::new(bundle, request.streams.clone());
        self.register(&container)?;
        logging::attach(container.bundle());

        // A task of its own, so that it is undone in order even when the caller is gone.
        let _cancel = CancelOnDrop(container.clone());
        let daemon = self.clone();
        let create = tokio::spawn(async move { daemon.create_or_undo(&container, request).await });
        create.await.context("the create died")?
    }

    async fn create_or_undo(
        self: &Arc<Self>,
        container: &Arc<Container>,
        request: CreateRequest,
    ) -> Result<u32> {
        let _expected = self.reaper.expect();
        let mut trail = Trail::default();
        let created = tokio::select! {
            created = self.make(container, request, &mut trail) => created,
            () = container.cancel.notified() => {
                Err(Failure::new(Code::CANCELLED, anyhow::anyhow!("the create was given up")))
            }
        };
        if let Err(failure) = &created {
            log::info!(target: container.id(), "creating container {}: {failure}", container.id());
            self.undo(container, trail).await;
        }
        container.settled.send_replace(true);
        created
    }

    async fn make(
        self: &Arc<Self>,
        container: &Arc<Container>,
        request: CreateRequest,
        trail: &mut Trail,
    ) -> Result<u32> {
        let options = RuntimeOptions::from_any(request.options.as_ref()).or_invalid()?;
        let bundle = container.bundle();
        let config = bundle.config().or_invalid()?;
        let cgroup = config.cgroup(options.systemd_cgroup);
        bundle.prepare(options.systemd_cgroup)?;
        rootfs::mount(bundle, request.mounts).await?;
        let layer = self.content.layer(&config, container.id(), options.module_size_limit).await?;
        let native = self.native.of(&config, layer.as_ref(), &options).await?;
        let (opened, kept) = stdio::open(&request.streams)?;
        trail.cgroup = Some(cgroup.clone());
        let asked = Create {
            id: container.id().to_owned(),
            bundle: bundle.dir().to_owned(),
            state: bundle.state_root(),
            systemd_cgroup: options.systemd_cgroup,
            layer: layer.as_ref().map(|layer| layer.digest.clone()),
            native: native.asked(),
            module_size_limit: options.module_size_limit,
        };
        let witness = OomWitness::of(&config);
        let asking = self.ask(&asked, &opened, layer.as_ref(), native.artifact(), trail).await;
        let (pid, replies, mode) = asking.map_err(|failure| witness.explain(failure))?;
        *container.kept() = kept;
        native.log(container.id(), mode);
        self.adopt(container, pid, config, cgroup, replies)
    }

    /// Has the engine make the container; a zygote that dies before it has seen the request is given a successor.
    async fn ask(
        &self,
        create: &Create,
        opened: &Opened,
        layer: Option<&Layer>,
        artifact: Option<BorrowedFd<'_>>,
        trail: &mut Trail,
    ) -> Result<(i32, AsyncChannel, Option<Mode>)> {
        let request = Request::Create(create.clone());
        for _ in 0..ATTEMPTS {
            let (replies, theirs) = AsyncChannel::pair().context("making a channel")?;
            let theirs = OwnedFd::from(theirs);
            let strays = trail.strays.insert(Strays::holding(&theirs)?).clone();
            let fds = CreateFds {
                reply: theirs.as_fd(),
                stdin: opened.stdin.as_fd(),
                stdout: opened.stdout.as_fd(),
                stderr: opened.stderr.as_fd(),
                layer: layer.map(|layer| layer.module.as_fd()),
                artifact,
            };
            let mut zygote = self.zygote.send(&request, &fds.as_array()).await?;
            drop(theirs);
            let mut mode = None;
            let reply = loop {
                match replies.receive().await.context("hearing the engine")? {
                    Some(Reply::Loaded(loaded)) => mode = Some(loaded),
                    reply => break reply,
                }
            };
            match reply {
                Some(Reply::Created { pid }) => return Ok((pid, replies, mode)),
                Some(Reply::Failed(failure)) => return Err(failure.into()),
                Some(Reply::Running | Reply::Loaded(_)) => {
                    return Err(anyhow::anyhow!("the engine says that it runs what is not created").into());
                }
                None if zygote.ends().await => {
                    strays.kill();
                    let _ = std::fs::remove_dir_all(create.state.join(&create.id));
                }
                None => break,
            }
        }
        Err(anyhow::anyhow!("the engine process died while it made the container").into())
    }

    /// Removes every trace, so that the same id can be used again at once.
    async fn undo(&self, container: &Arc<Container>, trail: Trail) {
        let bundle = container.bundle().clone();
        let undone = tokio::task::spawn_blocking(move || {
            if let Some(strays) = &trail.strays {
                strays.kill();
            }
            remains::clear(&bundle, trail.cgroup.as_ref())
        });
        match undone.await.context("a worker thread died").and_then(|cleared| cleared) {
            Ok(()) => {}
            Err(error) => log::error!(target: container.id(), "undoing the create: {error:#}"),
        }
        self.unregister(container);
    }
}
