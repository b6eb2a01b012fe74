//! The way to native code: what a container gets of it, by the node's policy and what the cache holds.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use wasmedge_cache::{Artifact, Cache};
use wasmedge_messages::{Mode, Native};

use super::compile::Compiles;
use super::process::Process;
use super::reaper::Reaper;
use crate::bundle::Config;
use crate::compiler::Compiler;
use crate::content::Layer;
use crate::engine::Engine;
use crate::entrypoint::Entrypoint;
use crate::failure::{Failure, Result};
use crate::modules::{Candidate, Digests};
use crate::options::RuntimeOptions;
use crate::settings::{Policy, Settings};

/// All that this daemon has for native code; made when it is first asked for.
#[derive(Debug)]
pub(super) struct NativeCode {
    settings: Settings,
    engine: Engine,
    reaper: Reaper,
    digests: Digests,
    compiles: OnceCell<Arc<Compiles>>,
}

/// What a container gets.
#[derive(Debug)]
pub(super) enum Found {
    /// This.
    Code(Native, Artifact),
    /// Nothing; why, for a person.
    Nothing(String),
    /// It runs no module.
    Program,
}

impl NativeCode {
    pub(super) fn new(settings: Settings, engine: Engine, reaper: Reaper) -> Self {
        Self { settings, engine, reaper, digests: Digests::default(), compiles: OnceCell::new() }
    }

    /// Whether a compile is under way, for which the daemon has to stay.
    pub(super) fn is_busy(&self) -> bool {
        self.compiles.get().is_some_and(|compiles| compiles.is_busy())
    }

    /// Finds or makes the native code of what the container is to run. Fails only where it is required.
    pub(super) async fn of(
        &self,
        config: &Config,
        layer: Option<&Layer>,
        options: &RuntimeOptions,
    ) -> Result<Found> {
        let Some(entrypoint) = Entrypoint::of_first(config) else { return Ok(Found::Program) };
        self.by_policy(&entrypoint, layer, options, self.policy(options)).await
    }

    /// The same for a further process. It is not kept waiting: most are over before a compiler would be.
    pub(super) async fn of_exec(
        &self,
        entrypoint: &Entrypoint<'_>,
        layer: Option<&Layer>,
        options: &RuntimeOptions,
    ) -> Result<Found> {
        let policy = match self.policy(options) {
            Policy::Wait => Policy::Background,
            policy => policy,
        };
        self.by_policy(entrypoint, layer, options, policy).await
    }

    fn policy(&self, options: &RuntimeOptions) -> Policy {
        options.compile.unwrap_or(self.settings.compile)
    }

    async fn by_policy(
        &self,
        entrypoint: &Entrypoint<'_>,
        layer: Option<&Layer>,
        options: &RuntimeOptions,
        policy: Policy,
    ) -> Result<Found> {
        if policy == Policy::Off {
            return Ok(Found::Nothing("compiling is off".to_owned()));
        }
        let why = match self.look(entrypoint, layer, options, policy).await {
            Ok(Found::Nothing(why)) => why,
            Ok(found) => return Ok(found),
            Err(error) => format!("{error:#}"),
        };
        if policy == Policy::Require {
            let name = entrypoint.path().unwrap_or_default();
            let message = format!("{name}: native code is required, and there is none: {why}");
            return Err(Failure::precondition(message));
        }
        Ok(Found::Nothing(why))
    }

    async fn look(
        &self,
        entrypoint: &Entrypoint<'_>,
        layer: Option<&Layer>,
        options: &RuntimeOptions,
        policy: Policy,
    ) -> anyhow::Result<Found> {
        let nothing = |why: &str| Ok(Found::Nothing(why.to_owned()));
        let Some(candidate) = Candidate::of(entrypoint, layer)? else {
            return nothing("the module is no file of the image");
        };
        let (digests, limit) = (self.digests.clone(), options.module_size_limit);
        let identified = tokio::task::spawn_blocking(move || candidate.identify(&digests, limit));
        let Some(module) = identified.await?? else { return Ok(Found::Program) };
        let compiles = self.compiles.get_or_try_init(|| async { self.compiles() }).await?;
        let key = compiles.compiler().key(module.digest);
        let native = Native { module: module.digest.to_string(), required: policy == Policy::Require };
        if let Some(artifact) = find(compiles.cache()?, key).await? {
            return Ok(Found::Code(native, artifact));
        }
        if let Some(why) = compiles.setback(&key) {
            return Ok(Found::Nothing(why));
        }
        let mut compile = compiles.of(key, module);
        let wait = match policy {
            Policy::Off | Policy::Background => return nothing("it is being compiled"),
            Policy::Wait => Duration::from_secs(options.compile_wait.unwrap_or(self.settings.compile_wait)),
            Policy::Require => Duration::from_secs(self.settings.require_wait),
        };
        match compile.ended_within(wait).await? {
            Some(Ok(())) => {}
            Some(Err(why)) => return Ok(Found::Nothing(why.to_string())),
            None => return nothing("it is still being compiled"),
        }
        match find(compiles.cache()?, key).await? {
            Some(artifact) => Ok(Found::Code(native, artifact)),
            None => nothing("its native code vanished from the cache"),
        }
    }

    fn compiles(&self) -> anyhow::Result<Arc<Compiles>> {
        let compiler = Compiler::new(self.engine.clone(), &self.settings)?;
        Ok(Arc::new(Compiles::new(&self.settings, compiler, self.reaper.clone())))
    }
}

impl Found {
    /// What the engine is asked to use.
    pub(super) fn asked(&self) -> Option<Native> {
        match self {
            Self::Code(native, _) => Some(native.clone()),
            Self::Nothing(_) | Self::Program => None,
        }
    }

    /// The descriptor that goes with it.
    pub(super) fn artifact(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Code(_, artifact) => Some(artifact.as_fd()),
            Self::Nothing(_) | Self::Program => None,
        }
    }

    /// Notes and logs how a process of the container runs, now that the engine has told what it did with it.
    pub(super) fn settle(&self, id: &str, process: &Process, told: Option<Mode>) {
        let Some(told) = told else { return };
        let mode = match self {
            Self::Nothing(why) => Mode::Interpreted { why: why.clone() },
            Self::Code(..) | Self::Program => told,
        };
        let exec = process.exec_id().map(|exec| format!("exec {exec} of ")).unwrap_or_default();
        match &mode {
            Mode::Native => log::info!(target: id, "{exec}container {id} runs native code"),
            Mode::Interpreted { why } => {
                log::info!(target: id, "{exec}container {id} runs interpreted: {why}")
            }
        }
        process.set_mode(mode);
    }
}

async fn find(cache: Arc<Cache>, key: wasmedge_cache::Key) -> anyhow::Result<Option<Artifact>> {
    let told = move |fault: &wasmedge_cache::Fault| log::warn!("removed {key} from the cache: {fault}");
    Ok(tokio::task::spawn_blocking(move || cache.find(&key, told)).await?)
}
