//! A compile is the one attempt to get a module's native code, however many containers wait for it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use wasmedge_cache::{Cache, CacheError, Draft, Key};

use super::reaper::Reaper;
use super::setbacks::Setbacks;
use crate::compiler::{Compiler, NoArtifact};
use crate::modules::Module;
use crate::settings::Settings;
use crate::turns::{Taken, Turns};
use crate::waiters::Waiters;

/// All compiles of this daemon.
#[derive(Debug)]
pub(super) struct Compiles {
    path: PathBuf,
    cache_size: u64,
    compiler: Compiler,
    reaper: Reaper,
    patience: Duration,
    turns: Turns,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cache: Option<Arc<Cache>>,
    running: HashMap<Key, Running>,
    setbacks: Setbacks,
}

/// A compile that is under way.
#[derive(Debug, Clone)]
pub(super) struct Running {
    waiters: Waiters,
    done: watch::Receiver<Option<Done>>,
}

/// How a compile ended.
pub(super) type Done = std::result::Result<(), NoArtifact>;

impl Compiles {
    pub(super) fn new(settings: &Settings, compiler: Compiler, reaper: Reaper) -> Self {
        Self {
            path: settings.cache.clone(),
            cache_size: settings.cache_size,
            compiler,
            reaper,
            patience: settings.patience(),
            turns: Turns::new(),
            state: Mutex::default(),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.state().running.is_empty()
    }

    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// The cache, as it is now: somebody may have removed the directory, or opened it to others, or mended it.
    pub(super) fn cache(&self) -> std::result::Result<Arc<Cache>, CacheError> {
        let mut state = self.state();
        if let Some(cache) = state.cache.as_ref().filter(|cache| cache.is_current()) {
            return Ok(cache.clone());
        }
        state.cache = None;
        let cache = Cache::open(&self.path)?;
        state.cache = Some(cache.clone());
        Ok(cache)
    }

    /// Why it is no use to compile this now, if it is none.
    pub(super) fn setback(&self, key: &Key) -> Option<String> {
        self.state().setbacks.against(key, Instant::now())
    }

    /// The compile of this module, which is begun if it is not under way. It goes on if nobody waits.
    pub(super) fn of(self: &Arc<Self>, key: Key, module: Module) -> Running {
        let mut state = self.state();
        if let Some(running) = state.running.get(&key) {
            return running.clone();
        }
        let (sender, done) = watch::channel(None);
        let running = Running { waiters: Waiters::default(), done };
        state.running.insert(key, running.clone());
        let (compiles, waiters) = (self.clone(), running.waiters.clone());
        tokio::spawn(async move {
            let name = module.name.clone();
            let done = match compiles.run(key, module, &waiters).await {
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
        state.setbacks.note(key, done, Instant::now());
    }

    async fn run(&self, key: Key, module: Module, waiters: &Waiters) -> Result<Done> {
        let (cache, module) = (self.cache()?, Arc::new(module));
        while let Some((draft, turn)) = self.begin(&cache, key, module.size, waiters).await? {
            match self.attempt(&cache, &module, &draft, turn, waiters).await? {
                Some(Ok(())) => {
                    self.publish(cache, key, draft, &module).await?;
                    return Ok(Ok(()));
                }
                Some(Err(why)) => return Ok(Err(why)),
                None => log::debug!("compiling {}: begun anew later, nobody waits for it now", module.name),
            }
        }
        Ok(Ok(()))
    }

    /// Runs the compiler; `None` if it had to give up its turn.
    async fn attempt(
        &self,
        cache: &Cache,
        module: &Arc<Module>,
        draft: &Draft,
        mut turn: Taken<'_>,
        waiters: &Waiters,
    ) -> Result<Option<Done>> {
        let size = module.size;
        let module = module.clone();
        let module = tokio::task::spawn_blocking(move || module.seal()).await??;
        let compiling = self.compiler.start(module, draft)?;
        let pid = i32::try_from(compiling.child.id()).context("the compiler's pid")?;
        let mut exit = self.reaper.watch(pid);
        let cut_off = tokio::select! {
            exit = &mut exit => {
                return Ok(Some(compiling.verdict(exit.context("waiting for the compiler")?.status)));
            }
            () = tokio::time::sleep(self.patience) => {
                let patience = self.patience.as_secs();
                Some(Err(NoArtifact::Compiler(format!("it took longer than {patience} s by the clock"))))
            }
            () = turn.is_over(cache, size, waiters) => None,
        };
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
        exit.await.context("waiting for the compiler")?;
        Ok(cut_off)
    }

    async fn publish(&self, cache: Arc<Cache>, key: Key, draft: Draft, module: &Module) -> Result<()> {
        let (size, engine) = (self.cache_size, self.compiler.identity().to_owned());
        let (digest, name) = (module.digest, module.name.clone());
        let pruned = tokio::task::spawn_blocking(move || {
            draft.publish(digest, &name, &engine)?;
            Ok::<_, CacheError>(cache.prune(size, Some(&key)))
        });
        // The artifact is there, whatever becomes of the others.
        match pruned.await?? {
            Ok(pruned) => {
                for evicted in pruned.evicted {
                    log::info!("the cache is full: removed {} ({} bytes)", evicted.key, evicted.size);
                }
                for (key, error) in pruned.stuck {
                    log::warn!("the cache is full, and {key} cannot be removed: {error}");
                }
            }
            Err(error) => log::warn!("making room in the cache: {error}"),
        }
        Ok(())
    }

    /// Waits for a turn and for others that make the same; `None` if one of them has made it.
    async fn begin(
        &self,
        cache: &Arc<Cache>,
        key: Key,
        size: u64,
        waiters: &Waiters,
    ) -> Result<Option<(Draft, Taken<'_>)>> {
        loop {
            let turn = self.turns.take(cache, size, waiters).await?;
            let draft = cache.begin(key)?;
            if cache.find(&key, |_| ()).is_some() {
                return Ok(None);
            }
            if let Some(draft) = draft {
                return Ok(Some((draft, turn)));
            }
            // Another daemon, or a person, makes the same, and has a turn for it.
            drop(turn);
            let cache = cache.clone();
            tokio::task::spawn_blocking(move || cache.wait_for_maker(&key)).await??;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// How it ends; `None` if it has not when the first who waited has done so for so long: the others need not wait as
    /// long again.
    pub(super) async fn ended_within(&mut self, patience: Duration) -> Result<Option<Done>> {
        let waiter = self.waiters.join();
        let left = patience.saturating_sub(waiter.since_the_first());
        match tokio::time::timeout(left, self.done.wait_for(Option::is_some)).await {
            Ok(ended) => Ok(ended.context("the compile died")?.clone()),
            Err(_) => Ok(None),
        }
    }
}
