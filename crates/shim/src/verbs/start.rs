//! `start`: finds the daemon that is to serve a container, or starts it, and tells containerd its address.

use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::umask;

use crate::bootstrap::{self, Question};
use crate::bundle::Bundle;
use crate::daemon::READY;
use crate::engine::Engine;
use crate::invocation::Invocation;
use crate::options::RuntimeOptions;
use crate::rendezvous::{Rendezvous, Whom, build_identity};

/// How long a daemon may take to say that it serves.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Returns the answer to containerd once a daemon serves.
pub(crate) fn start(invocation: &Invocation, input: &[u8]) -> Result<Vec<u8>> {
    let question = Question::read(input, invocation)?;
    let bundle = Bundle::new(invocation.bundle_dir()?, &invocation.id)?;
    let options = RuntimeOptions::from_any(question.options.as_ref()).unwrap_or_default();
    let build = build_identity(&Engine::locate()?.executable())?;
    let pod = if options.daemon_per_pod { Some(pod_of(&bundle)?) } else { None };
    let rendezvous = Rendezvous::of(Whom {
        address: &question.grpc_address,
        namespace: &invocation.namespace,
        build: &build,
        pod: pod.as_deref(),
    });

    let lock = rendezvous.lock()?;
    if !rendezvous.is_served() {
        spawn_daemon(invocation, &question, &rendezvous).context("starting the shim's daemon")?;
    }
    lock.promise()?;

    let address = format!("unix://{}", rendezvous.socket().display());
    let api = rendezvous.api();
    if api < 3 {
        // Where a containerd of that age looks for the address after its own restart.
        fs::write(bundle.dir().join("address"), &address).context("writing the address into the bundle")?;
    }
    bootstrap::answer(question.dialect, api, &address)
}

/// A sandbox is started without a configuration, and its id is the pod's.
fn pod_of(bundle: &Bundle) -> Result<String> {
    match bundle.has_config() {
        true => Ok(bundle.config()?.pod().to_owned()),
        false => Ok(bundle.id().to_owned()),
    }
}

/// The daemon inherits the listening socket as its standard input and a pipe to say that it is ready as its standard
/// output; so containerd can connect from the moment on that it is told the address.
fn spawn_daemon(invocation: &Invocation, question: &Question, rendezvous: &Rendezvous) -> Result<()> {
    rendezvous.clear()?;
    umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(rendezvous.socket())
        .with_context(|| format!("listening on {}", rendezvous.socket().display()))?;
    umask(Mode::from_raw_mode(0o022));
    let (ready, told) = std::io::pipe().context("making a pipe")?;
    let executable = std::env::current_exe().context("finding the shim's executable")?;
    let mut command = Command::new(&executable);
    command
        .args(["-namespace", &invocation.namespace, "-address", &question.grpc_address])
        .arg("-socket")
        .arg(rendezvous.socket())
        .args(invocation.debug.then_some("-debug"))
        .arg("daemon")
        .env_clear()
        .env("TTRPC_ADDRESS", &question.ttrpc_address)
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir("/")
        .stdin(OwnedFd::from(listener))
        .stdout(told)
        .stderr(Stdio::null());
    command.spawn().with_context(|| format!("running {}", executable.display()))?;
    drop(command);
    await_ready(ready)
}

fn await_ready(mut ready: PipeReader) -> Result<()> {
    let readable =
        poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&PATIENCE)).context("waiting for it")?;
    ensure!(readable > 0, "it did not get ready within {} s", PATIENCE.tv_sec);
    let mut said = String::new();
    ready.read_to_string(&mut said).context("listening to it")?;
    match said.as_str() {
        READY => Ok(()),
        "" => bail!("it died"),
        error => bail!("{error}"),
    }
}
