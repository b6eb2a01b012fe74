//! `wasmedge-engine cache warm`: compiles modules before they are first started.

use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use wasmedge_cache::Cache;

use super::open;
use crate::answer::say;
use crate::compiler::Compiler;
use crate::content::Content;
use crate::engine::Engine;
use crate::modules::Module;
use crate::options::RuntimeOptions;

/// Where images are looked for.
struct Store {
    content: Content,
    snapshotter: String,
    runtime: Runtime,
}

/// Compiles all that are named, in order, and fails if one could not be.
pub(super) fn warm(words: &[&str]) -> Result<()> {
    let (store, names) = Store::from_flags(words)?;
    let (cache, settings) = open()?;
    let compiler = Compiler::new(Engine::locate()?, &settings)?;
    let mut failed = 0;
    for (number, name) in names.iter().enumerate() {
        let progress = format!("[{}/{}] {name}: ", number + 1, names.len());
        if std::io::stdout().is_terminal() {
            say(format!("{progress}compiling…\r"))?;
        }
        let begun = Instant::now();
        match store.module(name).and_then(|module| compile(&cache, &compiler, module, name)) {
            Ok(true) => say(format!("{progress}compiled in {:.1} s\n", begun.elapsed().as_secs_f32()))?,
            Ok(false) => say(format!("{progress}was there already\n"))?,
            Err(error) => {
                failed += 1;
                eprintln!("{progress}{error:#}");
            }
        }
    }
    cache.prune(settings.cache_size, None)?;
    if failed > 0 {
        bail!("{failed} of {} modules have no native code", names.len());
    }
    Ok(())
}

impl Store {
    fn from_flags<'a>(mut words: &'a [&'a str]) -> Result<(Self, &'a [&'a str])> {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let mut address = variable("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock");
        let mut namespace = variable("CONTAINERD_NAMESPACE", "default");
        let mut snapshotter = variable("CONTAINERD_SNAPSHOTTER", "overlayfs");
        while let [flag, rest @ ..] = words
            && flag.starts_with('-')
        {
            let setting = match *flag {
                "--address" => &mut address,
                "--namespace" => &mut namespace,
                "--snapshotter" => &mut snapshotter,
                _ => bail!("cache warm {flag}: no such flag; see wasmedge-engine cache --help"),
            };
            let [value, rest @ ..] = rest else { bail!("cache warm {flag}: a value is missing") };
            *setting = (*value).to_owned();
            words = rest;
        }
        if words.is_empty() {
            bail!("cache warm: name an image or a file; see wasmedge-engine cache --help");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the event loop")?;
        Ok((Self { content: Content::new(address, &namespace), snapshotter, runtime }, words))
    }

    fn module(&self, name: &str) -> Result<Module> {
        if Path::new(name).exists() {
            return Module::of_file(Path::new(name));
        }
        let limit = RuntimeOptions::default().module_size_limit;
        self.runtime.block_on(self.content.module_of_image(name, &self.snapshotter, limit))
    }
}

/// Whether there was something to do.
fn compile(cache: &Arc<Cache>, compiler: &Compiler, module: Module, name: &str) -> Result<bool> {
    let digest = module.digest;
    let key = compiler.key(digest);
    let told = |fault: &wasmedge_cache::Fault| eprintln!("removed {key}: {fault}");
    let draft = loop {
        if cache.find(&key, told).is_some() {
            return Ok(false);
        }
        match cache.begin(key)? {
            Some(draft) => break draft,
            None => cache.wait_for_maker(&key)?,
        }
    };
    let mut compiling = compiler.start(module.seal()?, &draft)?;
    let status = compiling.child.wait().context("waiting for the compiler")?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    if let Err(why) = compiling.verdict(code.unsigned_abs()) {
        bail!("{why}");
    }
    draft.publish(digest, name, compiler.identity())?;
    Ok(true)
}
