//! Hooks are programs of the administrator that the configuration wants run on the host at points of a container's
//! life. libcontainer runs those up to the start; the daemon runs those after it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use oci_spec::runtime::{Hook, Hooks};
use rustix::process::{Pid, Signal, kill_process};

use super::reaper::Reaper;
use crate::bundle::Bundle;

/// What a hook is told of the container (OCI runtime specification, "State").
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State<'a> {
    pub(super) oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) status: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) pid: u32,
    pub(super) bundle: &'a Path,
}

fn is_zero(pid: &u32) -> bool {
    *pid == 0
}

/// Runs the poststart hooks one after the other; the first that fails is the error.
pub(super) async fn poststart(hooks: Option<&Hooks>, state: &State<'_>, reaper: &Reaper) -> Result<()> {
    for hook in hooks.and_then(|hooks| hooks.poststart().as_ref()).into_iter().flatten() {
        run("poststart", hook, state, reaper).await?;
    }
    Ok(())
}

/// Runs the poststop hooks one after the other, those after one that fails too; the failures are logged.
pub(super) async fn poststop(hooks: Option<&Hooks>, bundle: &Bundle, oci_version: &str, reaper: &Reaper) {
    let (id, bundle) = (bundle.id(), bundle.dir());
    let state = State { oci_version, id, status: "stopped", pid: 0, bundle };
    for hook in hooks.and_then(|hooks| hooks.poststop().as_ref()).into_iter().flatten() {
        if let Err(error) = run("poststop", hook, &state, reaper).await {
            log::warn!(target: id, "{error:#}");
        }
    }
}

async fn run(kind: &str, hook: &Hook, state: &State<'_>, reaper: &Reaper) -> Result<()> {
    let run = execute(hook, state, reaper).await;
    run.with_context(|| format!("running the {kind} hook {}", hook.path().display()))
}

async fn execute(hook: &Hook, state: &State<'_>, reaper: &Reaper) -> Result<()> {
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        std::os::unix::process::CommandExt::arg0(&mut command, name).args(args);
    }
    let env = hook.env().iter().flatten().filter_map(|variable| variable.split_once('='));
    command.env_clear().envs(env).current_dir(state.bundle).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("executing it")?;
    let pid = i32::try_from(child.id()).context("its pid")?;
    let exit = reaper.watch(pid);
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read; the state fits into the pipe.
        let _ = stdin.write_all(&serde_json::to_vec(state).context("encoding the state")?);
    }
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let exit = match limit {
        None => exit.await,
        Some(limit) => match tokio::time::timeout(limit, exit).await {
            Ok(exit) => exit,
            Err(_) => {
                let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
                bail!("it took more than {} s", limit.as_secs());
            }
        },
    };
    let status = exit.context("waiting for it")?.status;
    ensure!(status == 0, "it ended with status {status}");
    Ok(())
}
