//! A sandbox is a pod whose containers need no pause container: the daemon holds what they share.
//!
//! That is the pod's namespaces, as open descriptors, and a few files that each container of it sees. A container is
//! told of them by its configuration, which names the namespaces of the sandbox's process, the daemon, and no such
//! files; see [`Sandbox::complete`].

mod files;
mod init;
mod membership;
mod namespaces;
mod pod;

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use oci_spec::runtime::Spec;
use tokio::sync::watch;

pub(crate) use self::namespaces::Namespaces;
pub(crate) use self::pod::Pod;
use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::own_thread;
use crate::remains::Exit;

/// One pod, from CreateSandbox to ShutdownSandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    bundle: Bundle,
    pod: Pod,
    phase: Mutex<Phase>,
    exit: watch::Sender<Option<Exit>>,
}

/// Where a sandbox is in its life.
#[derive(Debug)]
enum Phase {
    Created,
    Ready { since: SystemTime, namespaces: Arc<Namespaces> },
    Stopped { since: Option<SystemTime> },
}

impl Sandbox {
    /// A sandbox that holds nothing yet.
    pub(crate) fn new(bundle: Bundle, pod: Pod) -> Self {
        Self { bundle, pod, phase: Mutex::new(Phase::Created), exit: watch::Sender::new(None) }
    }

    pub(crate) fn id(&self) -> &str {
        self.bundle.id()
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Makes the namespaces and the files; when that was. What is made when it fails goes when the pod is removed.
    pub(crate) async fn start(&self) -> Result<SystemTime> {
        ensure!(matches!(*self.phase(), Phase::Created), "pod {} is already started", self.id());
        self.bundle.prepare(false)?;
        let (pod, bundle) = (self.pod.clone(), self.bundle.clone());
        let namespaces = own_thread::run(move || {
            files::make(&pod, &bundle).context("making the pod's files")?;
            Namespaces::make(&pod).context("making the pod's namespaces")
        });
        let namespaces = namespaces.await?;
        let since = SystemTime::now();
        *self.phase() = Phase::Ready { since, namespaces: Arc::new(namespaces) };
        Ok(since)
    }

    /// Configures the bundle as that of the pod's init, if it needs one; whether it does.
    pub(crate) fn configure_init(&self) -> Result<bool> {
        let phase = self.phase();
        let Phase::Ready { namespaces, .. } = &*phase else { return Ok(false) };
        if self.pod.shares_processes {
            let root = self.bundle.init_root();
            fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
            self.bundle.configure(&init::configuration(&self.bundle, &self.pod, namespaces)?)?;
        }
        Ok(self.pod.shares_processes)
    }

    /// The process in whose namespace the containers' processes are to be.
    pub(crate) fn set_init(&self, pid: u32) {
        if let Phase::Ready { namespaces, .. } = &*self.phase() {
            namespaces.set_init(pid);
        }
    }

    /// Gives a container of the pod what its configuration leaves to the sandbox. The paths in there are good for as
    /// long as the answer is kept, even if the pod is stopped meanwhile. Fails if the pod does not run.
    pub(crate) fn complete(&self, spec: &mut Spec) -> Result<Arc<Namespaces>> {
        let phase = self.phase();
        let Phase::Ready { namespaces, .. } = &*phase else {
            anyhow::bail!("pod {} does not run", self.id());
        };
        membership::join(spec, namespaces);
        membership::show(spec, &files::seen_in_containers(&self.bundle));
        Ok(namespaces.clone())
    }

    /// Lets the namespaces and the files go. One that has stopped already stays as it is.
    pub(crate) fn stop(&self) -> Result<()> {
        let mut phase = self.phase();
        let since = match &*phase {
            Phase::Stopped { .. } => return Ok(()),
            Phase::Ready { since, .. } => Some(*since),
            Phase::Created => None,
        };
        *phase = Phase::Stopped { since };
        drop(phase);
        self.exit.send_replace(Some(Exit::now(0)));
        files::unmount(&self.bundle)
    }

    /// Waits until it has stopped.
    pub(crate) async fn wait(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        match exit.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            _ => Exit::now(0),
        }
    }

    /// Since when it is ready, `None` if it is not.
    pub(crate) fn ready_since(&self) -> Option<SystemTime> {
        match *self.phase() {
            Phase::Ready { since, .. } => Some(since),
            _ => None,
        }
    }

    /// When it was started, if ever.
    pub(crate) fn started(&self) -> Option<SystemTime> {
        match *self.phase() {
            Phase::Ready { since, .. } => Some(since),
            Phase::Stopped { since } => since,
            Phase::Created => None,
        }
    }

    /// When it stopped, if it has.
    pub(crate) fn stopped(&self) -> Option<SystemTime> {
        self.exit.borrow().map(|exit| exit.at)
    }

    /// The pod's cgroup, which its containers' are below; the kubelet makes it.
    pub(crate) fn cgroup(&self) -> Option<Cgroup> {
        self.pod.cgroup.as_ref().map(|path| Cgroup::at(path, false))
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
