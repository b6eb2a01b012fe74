//! An image archive: one tar that `ctr image import` and `docker load` take.

mod odd;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use odd::{OddImage, WASM_LAYER};

use crate::guests::Guest;
use crate::{DEADLINE, finish, product};

/// An image as `wasmedge-engine pack` makes it.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    module: Option<PathBuf>,
    flags: Vec<String>,
}

impl Image {
    /// A classic image: scratch and the guest's module, `/app.wasm`, as its entrypoint.
    pub fn classic(guest: Guest) -> Self {
        let stem = guest.name.split('.').next().unwrap_or_default();
        Self { name: format!("docker.io/library/{stem}:1"), module: Some(guest.path()), flags: Vec::new() }
    }

    /// An image whose layer is the guest's module itself.
    pub fn layer(guest: Guest) -> Self {
        Self::classic(guest).flag("--layer")
    }

    /// An image of files only, with that entrypoint.
    pub fn of_files(name: &str, entrypoint: &str) -> Self {
        let image = Self { name: format!("docker.io/library/{name}:1"), module: None, flags: Vec::new() };
        image.option("--entrypoint", entrypoint)
    }

    /// Another name than the guest's.
    pub fn named(mut self, name: &str) -> Self {
        self.name = format!("docker.io/library/{name}:1");
        self
    }

    /// Its full reference.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a file of this machine to it.
    pub fn add(self, source: &Path, destination: &str) -> Self {
        let pair = format!("{}:{destination}", source.display());
        self.option("--add", &pair)
    }

    /// Adds a flag of `wasmedge-engine pack`.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Adds a flag of `wasmedge-engine pack` and its value.
    pub fn option(self, flag: &str, value: &str) -> Self {
        self.flag(flag).flag(value)
    }

    /// Packs it into an archive in that directory.
    #[track_caller]
    pub fn pack(&self, directory: &Path) -> PathBuf {
        let archive = directory.join(format!("{}.tar", self.name.replace(['/', ':'], "-")));
        let mut pack = Command::new(product("bin/wasmedge-engine"));
        pack.arg("pack")
            .args(&self.module)
            .args(["-t", &self.name])
            .args(&self.flags)
            .arg("-o")
            .arg(&archive);
        finish(&mut pack, DEADLINE).success();
        archive
    }
}
