//! The root filesystem of a container, as far as containerd leaves the mounting to the shim.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

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
pub(super) async fn mount(bundle: &Bundle, mounts: Vec<Mount>) -> Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    let rootfs = bundle.rootfs();
    // It may change the working directory, to fit many layers into the kernel's page of options.
    own_thread::run(move || mounts.iter().try_for_each(|mount| mount.apply(&rootfs))).await
}

impl Mount {
    fn apply(&self, rootfs: &std::path::Path) -> Result<()> {
        // containerd's own options, for a pod with users of its own (Kubernetes' `hostUsers: false`).
        if let Some(map) = self.options.iter().find(|option| option.starts_with("uidmap=")) {
            bail!("the root filesystem is to be mounted with mapped users ({map}), which is not supported");
        }
        let target: PathBuf = rootfs.join(self.target.trim_start_matches('/'));
        std::fs::create_dir_all(&target).with_context(|| format!("making {}", target.display()))?;
        let (kind, source) = (Some(self.kind.as_str()), Some(self.source.as_str()));
        containerd_shim::mount::mount_rootfs(kind, source, &self.options, &target)
            .with_context(|| format!("mounting the root filesystem on {}", target.display()))
    }
}
