//! A compile is the one attempt to get a module's native code, however many containers wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Semaphore, watch};
use wasmedge_cache::{Cache, Key};

use super::reaper::Reaper;
use crate::compiler::{Compiler, NoArtifact};
use crate::modules::Module;

/// All compiles of this daemon.
#[derive(Debug)]
pub(super) struct Compiles {
    cache: Arc<Cache>,
    cache_size: u64,
    compiler: Compiler,
    reaper: Reaper,
    patience: Duration,
    /// One for each processor.
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<Key, Running>,
    refused: HashMap<Key, String>,
}

/// A compile that is under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// Since when.
    pub(super) begun: Instant,
    /// How it ends, when it does.
    pub(super) done: watch::Receiver<Option<Done>>,
}

/// How a compile ended.
pub(super) type Done = std::result::Result<(), NoArtifact>;

impl Compiles {
    pub(super) fn new(
        cache: Arc<Cache>,
        cache_size: u64,
        compiler: Compiler,
        reaper: Reaper,
        patience: Duration,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Semaphore::new(processors);
        Self { cache, cache_size, compiler, reaper, patience, turns, state: Mutex::default() }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.state().running.is_empty()
    }

    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    pub(super) fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Why this was found not to compile before, if it was.
    pub(super) fn refusal(&self, key: &Key) -> Option<String> {
        self.state().refused.get(key).cloned()
    }

    /// The compile of this module, which is begun if it is not under way. It goes on if nobody waits.
    pub(super) fn of(self: &Arc<Self>, key: Key, module: Module) -> Running {
        let mut state = self.state();
        if let Some(running) = state.running.get(&key) {
            return running.clone();
        }
        let (sender, done) = watch::channel(None);
        let running = Running { begun: Instant::now(), done };
        state.running.insert(key, running.clone());
        let compiles = self.clone();
        tokio::spawn(async move {
            let name = module.name.clone();
            let done = match compiles.run(key, module).await {
                Ok(done) => done,
                Err(error) => Err(NoArtifact::Compiler(format!("{error:#}"))),
            };
            if let Err(why) = &done {
                log::warn!("compiling {name}: {why}");
            }
            compiles.ended(key, &done);
            sender.send_replace(Some(done));
        });
        running
    }

    fn ended(&self, key: Key, done: &Done) {
        let mut state = self.state();
        state.running.remove(&key);
        if let Err(NoArtifact::Module(why)) = done {
            state.refused.insert(key, why.clone());
        }
    }

    async fn run(&self, key: Key, module: Module) -> Result<Done> {
        let _turn = self.turns.acquire().await.context("waiting for a processor")?;
        let (digest, name) = (module.digest, module.name.clone());
        let draft = loop {
            if let Some(draft) = self.cache.begin(key)? {
                break draft;
            }
            // Another daemon, or a person, makes the same.
            let cache = self.cache.clone();
            tokio::task::spawn_blocking(move || cache.wait_for_maker(&key)).await??;
            if self.cache.find(&key, |_| ()).is_some() {
                return Ok(Ok(()));
            }
        };
        // Made between the look into the cache and the beginning.
        if self.cache.find(&key, |_| ()).is_some() {
            return Ok(Ok(()));
        }
        let module = tokio::task::spawn_blocking(move || module.seal()).await??;
        let compiling = self.compiler.start(module, &draft)?;
        let pid = i32::try_from(compiling.child.id()).context("the compiler's pid")?;
        let mut exit = self.reaper.watch(pid);
        let status = match tokio::time::timeout(self.patience, &mut exit).await {
            Ok(exit) => exit.context("waiting for the compiler")?.status,
            Err(_) => {
                if let Some(pid) = Pid::from_raw(pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                exit.await.context("waiting for the compiler")?.status
            }
        };
        if let Err(why) = compiling.verdict(status) {
            return Ok(Err(why));
        }
        let (cache, size, engine) =
            (self.cache.clone(), self.cache_size, self.compiler.identity().to_owned());
        let evicted = tokio::task::spawn_blocking(move || {
            draft.publish(digest, &name, &engine)?;
            cache.prune(size, Some(&key))
        });
        for evicted in evicted.await?? {
            log::info!("the cache is full: removed {} ({} bytes)", evicted.key, evicted.size);
        }
        Ok(Ok(()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
