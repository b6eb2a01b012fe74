//! The daemon is the process that containerd talks to: it makes, watches and removes the containers of one
//! containerd namespace. One thread; it loads no WasmEdge and reads no guest's bytes but to pass them on.

mod channel;
mod compile;
mod console;
mod container;
mod create;
mod delete;
mod end;
mod event;
mod events;
mod exec;
mod execs;
mod guests;
mod head_start;
mod hooks;
mod idle;
mod lifecycle;
mod logger;
mod logging;
mod native;
mod oom;
mod output;
mod pause;
mod process;
mod reaper;
mod request;
mod rootfs;
mod rpc;
mod sandbox_rpc;
mod sandboxes;
mod scope;
mod setbacks;
mod start;
mod stats;
mod stats_files;
mod stats_hugetlb;
mod stats_pressure;
mod stats_v1;
mod stats_v2;
mod stdio;
mod strays;
mod update;
mod wiring;
mod working_directory;
mod zygote;

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use containerd_shim_protos::ttrpc::asynchronous::Server;
use containerd_shim_protos::ttrpc::asynchronous::transport::Listener;
use futures_util::stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::container::Container;
use self::events::Events;
use self::head_start::HeadStart;
use self::idle::{Idle, Signals};
use self::native::NativeCode;
use self::reaper::Reaper;
use self::zygote::Zygote;
use crate::content::Content;
use crate::engine::Engine;
use crate::failure::{self, Failure};
use crate::rendezvous::Rendezvous;
use crate::sandbox::Sandbox;
use crate::settings::Settings;

/// What a daemon tells the `start` that waits for it.
pub(crate) const READY: &str = "ready";

/// What a daemon has to know.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) namespace: String,
    pub(crate) grpc_address: String,
    pub(crate) ttrpc_address: String,
    pub(crate) rendezvous: Rendezvous,
    pub(crate) engine: Engine,
    pub(crate) debug: bool,
}

/// The daemon's state; every RPC is a method of it.
struct Daemon {
    containers: Mutex<HashMap<String, Arc<Container>>>,
    sandboxes: Mutex<HashMap<String, Arc<Sandbox>>>,
    reaper: Reaper,
    zygote: Zygote,
    native: NativeCode,
    events: Events,
    content: Content,
    namespace: String,
    idle: Idle,
    head_start: HeadStart,
}

/// Serves the task and the sandbox API until nobody needs it, and calls `ready` when it does.
pub(crate) fn serve(setup: Setup, listener: UnixListener, ready: impl FnOnce()) -> Result<()> {
    logging::init(setup.debug);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("starting the event loop")?;
    runtime.block_on(run(setup, listener, ready))
}

async fn run(setup: Setup, listener: UnixListener, ready: impl FnOnce()) -> Result<()> {
    let signals = Signals::listen()?;
    let reaper = Reaper::start()?;
    let native = NativeCode::new(Settings::read()?, setup.engine.clone(), reaper.clone());
    let zygote = Zygote::new(setup.engine, reaper.clone(), raise_file_limit());
    zygote.warm().await?;
    let content = Content::new(setup.grpc_address, &setup.namespace);
    setup.rendezvous.set_api(content.task_api().await)?;
    let daemon = Arc::new(Daemon {
        containers: Mutex::default(),
        sandboxes: Mutex::default(),
        reaper,
        zygote,
        native,
        events: Events::start(setup.ttrpc_address, setup.namespace.clone()),
        namespace: setup.namespace,
        content,
        idle: Idle::new(setup.rendezvous),
        head_start: HeadStart::new(),
    });

    let listener = connections(listener, daemon.head_start.clone()).context("taking the socket")?;
    let mut server = Server::new().add_listener(listener);
    for service in rpc::services(&daemon).into_iter().chain([sandbox_rpc::service(&daemon)]) {
        server = server.register_service(service);
    }
    server.start().await.context("serving the task and the sandbox API")?;
    guests::tell(&daemon)?;
    ready();

    // A compile that is under way is wanted by the next container, even if there is none now.
    let is_idle = || daemon.all().is_empty() && daemon.sandboxes().is_empty() && !daemon.native.is_busy();
    daemon.idle.until_left(signals, is_idle).await?;
    daemon.events.flush().await;
    let _ = server.shutdown().await;
    Ok(())
}

/// Whoever connects is likely to want a container next.
fn connections(listener: UnixListener, head_start: HeadStart) -> Result<Listener> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(Listener::new(stream::unfold((listener, head_start), |(listener, head_start)| async move {
        let accepted = listener.accept().await.map(|(connection, _address)| connection);
        head_start.take();
        Some((accepted, (listener, head_start)))
    })))
}

/// Six files per container: the usual limit of 1,024 would be too few for hundreds. Returns the limit that was.
fn raise_file_limit() -> Rlimit {
    let inherited = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: inherited.maximum, maximum: inherited.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::warn!("raising the limit of open files: {error}");
    }
    inherited
}

impl Daemon {
    /// The container with this id.
    fn container(&self, id: &str) -> failure::Result<Arc<Container>> {
        self.all()
            .get(id)
            .cloned()
            .ok_or_else(|| Failure::not_found(format!("container {id} does not exist")))
    }

    fn register(&self, container: &Arc<Container>) -> failure::Result<()> {
        let id = container.id();
        let mut all = self.all();
        if all.contains_key(id) {
            return Err(Failure::already_exists(format!("container {id} already exists")));
        }
        all.insert(id.to_owned(), container.clone());
        Ok(())
    }

    fn unregister(&self, container: &Container) {
        self.all().remove(container.id());
        container.leave_pod();
        logging::detach(container.id());
        self.idle.changed();
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Container>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
