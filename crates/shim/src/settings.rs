//! Settings are what a node's administrator wants for all its Wasm containers, in one small file.
//!
//! ```toml
//! Compile = "wait"          # or "background", "off", "require"
//! CompileWait = 2           # seconds, for "wait"
//! Cache = "/var/cache/containerd-shim-wasmedge"
//! CacheSize = 4294967296    # bytes
//! CompileMemory = 8589934592
//! CompileTime = 600         # seconds of processor time
//! RequireWait = 100         # seconds, for "require"
//! ```
//!
//! A daemon reads it when it starts. Runtime options can choose otherwise for a runtime; an image can't choose.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Where the file is looked for; the first one is read. The second is for what lasts until the next boot.
const PLACES: [&str; 2] = ["/etc/containerd-shim-wasmedge.toml", "/run/containerd-shim-wasmedge.toml"];

/// The settings, each with its default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Settings {
    /// When modules become native code. Default: [`Policy::Wait`].
    pub(crate) compile: Policy,
    /// For how many seconds a start waits for the compiler. Default: 2.
    pub(crate) compile_wait: u64,
    /// Where native code is kept.
    pub(crate) cache: PathBuf,
    /// How many bytes of it are kept. Default: 4 GiB.
    pub(crate) cache_size: u64,
    /// How many bytes of address space one compile may take. Default: 8 GiB.
    pub(crate) compile_memory: u64,
    /// How many seconds of processor time one compile may take. Default: 600.
    pub(crate) compile_time: u64,
    /// For how many seconds a start waits that requires native code. Default: 100, so that kubelet, which waits for
    /// 120, is told the cause.
    pub(crate) require_wait: u64,
}

/// When a module becomes native code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    /// Before its first start, if that does not take too long.
    Wait,
    /// After its first start.
    Background,
    /// Never.
    Off,
    /// Before its first start; what has no native code does not start.
    Require,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            compile: Policy::Wait,
            compile_wait: 2,
            cache: wasmedge_cache::DEFAULT_DIRECTORY.into(),
            cache_size: wasmedge_cache::DEFAULT_SIZE_LIMIT,
            compile_memory: 8 << 30,
            compile_time: 600,
            require_wait: 100,
        }
    }
}

impl Settings {
    /// Reads the node's file. Fails if there is one that cannot be understood.
    pub(crate) fn read() -> Result<Self> {
        for place in PLACES {
            match fs::read_to_string(place) {
                Ok(text) => return Self::parse(&text).with_context(|| format!("reading {place}")),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("reading {place}")),
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text)?;
        let cache = &settings.cache;
        ensure!(cache.is_absolute(), "Cache = {cache:?}: it must be an absolute path");
        Ok(settings)
    }

    /// How long the compiler may take by the clock; longer than by the processor, since it may have to share that.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.compile_time.saturating_mul(2).saturating_add(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default() {
        let settings: Settings = toml::from_str("Compile = 'background'\nCacheSize = 1000").unwrap();
        assert_eq!((settings.compile, settings.cache_size), (Policy::Background, 1000));
        assert_eq!(settings.cache, Settings::default().cache);
    }

    #[test]
    fn an_unknown_setting_or_policy_is_named() {
        let error = toml::from_str::<Settings>("Compiel = 'off'").unwrap_err().to_string();
        assert!(error.contains("Compiel"), "{error}");
        let error = toml::from_str::<Settings>("Compile = 'sometimes'").unwrap_err().to_string();
        assert!(error.contains("background"), "{error}");
        let error = Settings::parse("Cache = 'relative/dir'").unwrap_err().to_string();
        assert_eq!(error, "Cache = \"relative/dir\": it must be an absolute path");
    }
}
