//! `create`: makes a container up to the point where its guest only waits to be started.
//!
//! Many creates run at a time and share no lock. One that fails, or whose caller goes away, is undone to the last
//! mount before the answer.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::Code;
use oci_spec::runtime::Hooks;
use wasmedge_messages::{Create, Mode, Reply, Request};

use super::channel::AsyncChannel;
use super::container::{Container, Made};
use super::oom::OomWitness;
use super::request::Enclosed;
use super::rootfs::Mount;
use super::stdio::Streams;
use super::strays::Strays;
use super::wiring::Wiring;
use super::{Daemon, hooks, logging, rootfs, working_directory};
use crate::bundle::{Bundle, Config};
use crate::cgroup::{self, Cgroup};
use crate::failure::{Failure, OrFail, Result};
use crate::options::RuntimeOptions;
use crate::sandbox::Namespaces;
use crate::{limits, remains};

/// What containerd asks for.
#[derive(Debug)]
pub(super) struct CreateRequest {
    pub(super) id: String,
    pub(super) bundle: String,
    pub(super) mounts: Vec<Mount>,
    pub(super) streams: Streams,
    pub(super) from_checkpoint: bool,
    pub(super) options: Option<Any>,
}

/// What a create has done so far, for the case that it must be undone.
#[derive(Debug, Default)]
struct Trail {
    cgroup: Option<Cgroup>,
    /// What has to run after the container's end, once its making has begun, and the version of its configuration.
    hooks: Option<(Hooks, String)>,
    strays: Option<Strays>,
}

/// What a container is made from.
#[derive(Debug)]
struct Prepared {
    options: RuntimeOptions,
    config: Config,
    systemd_cgroup: bool,
    cgroup: Cgroup,
    /// Its pod's namespaces, where the daemon holds them.
    held: Option<Arc<Namespaces>>,
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
        if request.from_checkpoint {
            return Err(Failure::unimplemented("restoring a checkpoint"));
        }
        self.head_start.take();
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
        let created = match self.prepare(container, &request).await {
            Ok(prepared) => tokio::select! {
                created = self.make(container, &request, prepared, &mut trail) => created,
                () = container.cancel.notified() => {
                    Err(Failure::new(Code::CANCELLED, anyhow!("the create was given up")))
                }
            },
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &created {
            log::info!(target: container.id(), "creating container {}: {failure}", container.id());
            self.undo(container, trail).await;
        }
        container.settled.send_replace(true);
        created
    }

    /// What is not left half way when the caller goes: a thread that mounts goes on mounting.
    async fn prepare(&self, container: &Arc<Container>, request: &CreateRequest) -> Result<Prepared> {
        let options = RuntimeOptions::from_any(request.options.as_ref()).or_invalid()?;
        let bundle = container.bundle();
        let mut config = bundle.config().or_invalid()?;
        let systemd_cgroup =
            options.systemd_cgroup.unwrap_or_else(|| config.names_a_scope() && cgroup::has_systemd());
        config.name_cgroup(systemd_cgroup);
        let cgroup = config.cgroup(systemd_cgroup);
        bundle.prepare(systemd_cgroup)?;
        if config.is_completed() {
            config.save()?;
        }
        bundle.share_program(config.pod())?;
        let held = self.enter_pod(container, &mut config, systemd_cgroup)?;
        if !systemd_cgroup {
            cgroup.make_parent().context("making the parent of the container's cgroup")?;
        }
        rootfs::mount(bundle, &request.mounts, &self.zygote).await?;
        working_directory::make(&config).or_invalid()?;
        Ok(Prepared { options, config, systemd_cgroup, cgroup, held })
    }

    async fn make(
        self: &Arc<Self>,
        container: &Arc<Container>,
        request: &CreateRequest,
        prepared: Prepared,
        trail: &mut Trail,
    ) -> Result<u32> {
        let Prepared { options, config, systemd_cgroup, cgroup, held: _held } = prepared;
        let bundle = container.bundle();
        let layer = self.content.layer(&config, container.id(), options.module_size_limit).await?;
        let native = self.native.of(&config, layer.as_deref(), &options).await?;
        let (owner, directory) = (options.stream_owner, self.idle.directory());
        let wiring = Wiring::open_for(owner, &request.streams, directory, self.whose(container)).await?;
        trail.cgroup = Some(cgroup.clone());
        trail.hooks = config.spec.hooks().clone().map(|hooks| (hooks, config.spec.version().clone()));
        let asked = Create {
            id: container.id().to_owned(),
            bundle: bundle.dir().to_owned(),
            state: bundle.state_root(),
            systemd_cgroup,
            layer: layer.as_ref().map(|layer| layer.digest.clone()),
            native: native.asked(),
            module_size_limit: options.module_size_limit,
            console: wiring.console(),
        };
        let witness = OomWitness::of(&config);
        let enclosed =
            Enclosed { opened: &wiring.opened, layer: layer.as_deref(), artifact: native.artifact() };
        let asking = self.ask_for_container(asked, enclosed, trail).await;
        let (pid, replies, mode) = asking.map_err(|failure| witness.explain(failure))?;
        let resources = config.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        resources
            .map_or(Ok(()), |resources| limits::complete(&cgroup, resources))
            .context("limiting the container")?;
        native.settle(container.id(), &container.first, mode);
        wiring.connect(&container.first, config.spec.process().as_ref()).await?;
        self.adopt(container, pid, Made { config, options, cgroup, layer, replies, at: Instant::now() })
    }

    async fn ask_for_container(
        &self,
        create: Create,
        enclosed: Enclosed<'_>,
        trail: &mut Trail,
    ) -> Result<(i32, AsyncChannel, Option<Mode>)> {
        let state = create.state.join(&create.id);
        let forget = || drop(std::fs::remove_dir_all(&state));
        let request = Request::Create(create);
        let heard = self.zygote.ask(&request, enclosed, &mut trail.strays, forget).await?;
        match heard.reply {
            Reply::Created { pid } => Ok((pid, heard.replies, heard.mode)),
            Reply::Failed(failure) => Err(failure.into()),
            Reply::Running | Reply::Loaded(_) | Reply::Hooked | Reply::Tree => {
                Err(anyhow!("the engine says that it runs what is not created").into())
            }
        }
    }

    /// Removes every trace, so that the same id can be used again at once.
    async fn undo(&self, container: &Arc<Container>, trail: Trail) {
        let hooks = trail.hooks.clone();
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
        if let Some((hooks, version)) = hooks {
            // As runc does it when a create has failed.
            hooks::poststop(Some(&hooks), container.bundle(), &version, &self.reaper).await;
        }
        self.unregister(container);
    }
}
