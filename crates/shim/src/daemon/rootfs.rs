//! The root filesystem of a container, as far as containerd leaves the mounting to the shim.

mod mapped;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, move_mount};
use wasmedge_messages::Users;

use super::zygote::Zygote;
use crate::bundle::Bundle;
use crate::own_thread;

/// One mount of the create request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The filesystem, as `overlay` or `bind`.
    pub(super) kind: String,
    pub(super) source: String,
    /// Where below the root filesystem; usually nothing.
    pub(super) target: String,
    pub(super) options: Vec<String>,
}

/// Mounts all of them, in order; what is mounted when it fails is the caller's to unmount.
pub(super) async fn mount(bundle: &Bundle, mounts: &[Mount], zygote: &Zygote) -> Result<()> {
    for mount in mounts.iter().cloned() {
        let target = mount.make_target(&bundle.rootfs())?;
        let on = target.display().to_string();
        let mounted = match mapped::users(&mount.options)? {
            None => mount.on(target).await,
            Some(users) => mount.mapped_on(&target, users, bundle, zygote).await,
        };
        mounted.with_context(|| format!("mounting the root filesystem on {on}"))?;
    }
    Ok(())
}

impl Mount {
    fn make_target(&self, rootfs: &Path) -> Result<PathBuf> {
        let target = rootfs.join(self.target.trim_start_matches('/'));
        std::fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
        Ok(target)
    }

    async fn on(self, target: PathBuf) -> Result<()> {
        // It may change the working directory, to fit many layers into the kernel's page of options.
        own_thread::run(move || self.apply(&target)).await
    }

    /// With the users of what it is made of mapped, as containerd asks for it where a pod has users of its own.
    async fn mapped_on(self, target: &Path, users: Users, bundle: &Bundle, zygote: &Zygote) -> Result<()> {
        let sources = mapped::sources(&self)?;
        let trees = mapped::trees(zygote, sources, users).await?;
        let scratch = bundle.state_root();
        let tree: OwnedFd = own_thread::run(move || mapped::make(self, &trees, &scratch)).await?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, "", CWD, target, flags).context("putting it in place")
    }

    fn apply(&self, target: &Path) -> Result<()> {
        let (kind, source) = (Some(self.kind.as_str()), Some(self.source.as_str()));
        Ok(containerd_shim::mount::mount_rootfs(kind, source, &self.options, target)?)
    }
}
