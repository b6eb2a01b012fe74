//! `wasmedge-engine cache warm`: compiles modules before they are first started.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use wasmedge_cache::{Cache, Key};

use super::open;
use super::progress::Progress;
use crate::answer::say;
use crate::compiler::Compiler;
use crate::content::Content;
use crate::engine::Engine;
use crate::modules::Module;
use crate::options::RuntimeOptions;
use crate::turns;

/// Where images are looked for.
struct Store {
    content: Content,
    snapshotter: String,
    runtime: Runtime,
}

/// Compiles all modules of what is named, in order, and fails if one could not be. An image without any is no failure:
/// a node has some, and there is nothing that would not be as fast as it can be.
pub(super) fn warm(words: &[&str]) -> Result<()> {
    let (store, names) = Store::from_flags(words)?;
    let (cache, settings) = open()?;
    let compiler = Compiler::new(Engine::locate()?, &settings)?;
    let (mut all, mut failed) = (names.len(), 0);
    let mut done = 0;
    let mut there = HashMap::new();
    for name in names {
        let modules = match store.modules(name) {
            Ok(modules) => modules,
            Err(error) => {
                (done, failed) = (done + 1, failed + 1);
                eprintln!("{name}: {error:#}");
                continue;
            }
        };
        all = (all + modules.len()).saturating_sub(1);
        if modules.is_empty() {
            say(format!("{name}: no file of it is a Wasm module, there is nothing to compile\n"))?;
        }
        for module in modules {
            let what = if module.name == name { name.to_owned() } else { format!("{name} {}", module.name) };
            let key = compiler.key(module.digest);
            let begun = Instant::now();
            let compiled = {
                let _progress = Progress::show(done, all, what.clone());
                compile(&cache, &compiler, key, module)
            };
            done += 1;
            let said = format!("[{done}/{all}] {what}: ");
            if compiled.is_ok() {
                there.insert(key, what);
            }
            match compiled {
                Ok(true) => say(format!("{said}compiled in {:.1} s\n", begun.elapsed().as_secs_f32()))?,
                Ok(false) => say(format!("{said}was there already\n"))?,
                Err(error) => {
                    failed += 1;
                    eprintln!("{said}{error:#}");
                }
            }
        }
    }
    for evicted in cache.prune(settings.cache_size, None)?.evicted {
        if let Some(what) = there.remove(&evicted.key) {
            failed += 1;
            eprintln!(
                "{what}: its native code was removed again: CacheSize is {} bytes",
                settings.cache_size
            );
        }
    }
    if failed > 0 {
        bail!("{failed} of {all} modules have no native code");
    }
    Ok(())
}

impl Store {
    /// Flags may stand before, between and after the names.
    fn from_flags<'a>(words: &[&'a str]) -> Result<(Self, Vec<&'a str>)> {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let mut address = variable("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock");
        let mut namespace = variable("CONTAINERD_NAMESPACE", "default");
        let mut snapshotter = variable("CONTAINERD_SNAPSHOTTER", "overlayfs");
        let mut names = Vec::new();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let setting = match word {
                "--address" => &mut address,
                "--namespace" => &mut namespace,
                "--snapshotter" => &mut snapshotter,
                flag if flag.starts_with('-') => {
                    bail!("cache warm {flag}: no such flag; see wasmedge-engine cache --help")
                }
                name => {
                    names.push(name);
                    continue;
                }
            };
            let Some(value) = words.next() else { bail!("cache warm {word}: a value is missing") };
            *setting = (*value).to_owned();
        }
        if names.is_empty() {
            bail!("cache warm: name an image or a file; see wasmedge-engine cache --help");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the event loop")?;
        Ok((Self { content: Content::new(address, &namespace), snapshotter, runtime }, names))
    }

    /// An image may have none.
    fn modules(&self, name: &str) -> Result<Vec<Module>> {
        let limit = RuntimeOptions::default().module_size_limit;
        if Path::new(name).exists() {
            return Ok(vec![Module::of_file(Path::new(name), limit)?]);
        }
        self.runtime.block_on(self.content.modules_of_image(name, &self.snapshotter, limit))
    }
}

/// Whether there was something to do.
fn compile(cache: &Arc<Cache>, compiler: &Compiler, key: Key, module: Module) -> Result<bool> {
    let (digest, name) = (module.digest, module.name.clone());
    let told = |fault: &wasmedge_cache::Fault| eprintln!("removed {key}: {fault}");
    let (draft, _turn) = loop {
        if cache.find(&key, told).is_some() {
            return Ok(false);
        }
        let Some(turn) = cache.try_turn(turns::open_to(module.size))? else {
            std::thread::sleep(turns::LOOK);
            continue;
        };
        match cache.begin(key)? {
            Some(draft) => break (draft, turn),
            None => {
                drop(turn);
                cache.wait_for_maker(&key)?;
            }
        }
    };
    let mut compiling = compiler.start(module.seal()?, &draft)?;
    let status = compiling.child.wait().context("waiting for the compiler")?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255);
    if let Err(why) = compiling.verdict(code.unsigned_abs()) {
        bail!("{why}");
    }
    draft.publish(digest, &name, compiler.identity())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_stand_anywhere_among_the_names() {
        let (store, names) = Store::from_flags(&["a", "--snapshotter", "native", "b"]).unwrap();
        assert_eq!((store.snapshotter.as_str(), names), ("native", vec!["a", "b"]));
        let wrong = |words: &[&str]| Store::from_flags(words).err().unwrap().to_string();
        assert!(wrong(&["a", "--namespace"]).contains("--namespace: a value is missing"));
        assert!(wrong(&["a", "--such"]).contains("--such: no such flag"));
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let (store, _) = Store::from_flags(&["a"]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        for path in [fifo.to_str().unwrap(), "/dev/zero"] {
            assert_eq!(store.modules(path).unwrap_err().to_string(), "it is not a regular file");
        }
    }
}
