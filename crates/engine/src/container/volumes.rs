//! A container's volumes: its bind mounts, as far as the builder has to make them.
//!
//! The container's init mounts them, inside the container's user namespace if it has one. There it may not map the users of a
//! mount, and reaches no directory that its users cannot enter. The builder is root of the host: it clones such mounts, and
//! init only puts them in place.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use libcontainer::oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};
use nix::sched::{CloneFlags, setns};
use wasmedge_messages::{IdMapping, Users};

use crate::tree::{self, Extent};
use crate::user_namespace::UserNamespace;

/// Mounts that are mounted nowhere yet, by their place in the configuration.
pub(super) type Volumes = HashMap<usize, OwnedFd>;

/// Those that the container's init cannot make itself.
pub(super) fn of(spec: &Spec) -> Result<Volumes> {
    let has_users = user_namespace(spec).is_some();
    let wanted = spec.mounts().iter().flatten().enumerate();
    let wanted: Vec<_> =
        wanted.filter(|(_, mount)| is_bind(mount) && (has_users || is_mapped(mount))).collect();
    if wanted.is_empty() {
        return Ok(Volumes::new());
    }
    let mut namespaces = Namespaces { spec, made: HashMap::new() };
    for (_, mount) in &wanted {
        namespaces.make_for(mount).with_context(|| named(mount))?;
    }
    // As in a mount namespace of the container's: what the host has made read-only stays so.
    let _inside = has_users.then(LockedMounts::enter).transpose()?;
    let volume = |(place, mount): (usize, &Mount)| {
        let made = clone(mount, &namespaces).with_context(|| named(mount))?;
        Ok((place, made))
    };
    wanted.into_iter().map(volume).collect()
}

fn clone(mount: &Mount, namespaces: &Namespaces<'_>) -> Result<OwnedFd> {
    let Some(source) = mount.source() else { bail!("no source") };
    let extent = |has: bool| if has { Extent::All } else { Extent::One };
    let tree = tree::clone(source, extent(has_option(mount, &["rbind"])))?;
    if let Some(users) = namespaces.of(mount) {
        tree::map(&tree, users, extent(has_option(mount, &["ridmap"]))).context("mapping its users")?;
    }
    Ok(tree)
}

fn named(mount: &Mount) -> String {
    let source = mount.source().as_deref().unwrap_or(Path::new("")).display().to_string();
    format!("mounting {source:?} on {}", mount.destination().display())
}

/// The user namespaces whose mappings mounts have.
struct Namespaces<'a> {
    spec: &'a Spec,
    /// By the mapping; `None` for that of the container.
    made: HashMap<Option<Users>, File>,
}

impl Namespaces<'_> {
    fn of(&self, mount: &Mount) -> Option<&File> {
        if is_mapped(mount) { self.made.get(&own_users(mount)) } else { None }
    }

    fn make_for(&mut self, mount: &Mount) -> Result<()> {
        let users = own_users(mount);
        if !is_mapped(mount) || self.made.contains_key(&users) {
            return Ok(());
        }
        let namespace = match &users {
            Some(users) => UserNamespace::mapping(users),
            None => self.containers(),
        };
        self.made.insert(users, namespace?);
        Ok(())
    }

    /// The runtime specification's default for `idmap` and `ridmap`.
    fn containers(&self) -> Result<File> {
        match user_namespace(self.spec) {
            Some(Some(path)) => File::open(path).with_context(|| format!("opening {}", path.display())),
            Some(None) => {
                let linux = self.spec.linux().as_ref();
                let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
                let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
                UserNamespace::mapping(&users(uids, gids))
            }
            None => bail!("it is to have mapped users, and neither it nor the container says which"),
        }
    }
}

/// This process in a copy of its mount namespace, until this value is dropped.
struct LockedMounts(File);

impl LockedMounts {
    fn enter() -> Result<Self> {
        let copy = UserNamespace::locked_mounts()?;
        let own = File::open("/proc/self/ns/mnt").context("opening this process's mount namespace")?;
        setns(copy, CloneFlags::CLONE_NEWNS).context("entering a copy of the mount namespace")?;
        Ok(Self(own))
    }
}

impl Drop for LockedMounts {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.0, CloneFlags::CLONE_NEWNS) {
            // Nothing that this process does next would be where it is to be.
            eprintln!("returning to the mount namespace: {error}");
            std::process::abort();
        }
    }
}

/// The container's own, if it has one; and where that is, if it is not new.
fn user_namespace(spec: &Spec) -> Option<Option<&Path>> {
    let namespaces = spec.linux().as_ref()?.namespaces().as_ref()?;
    let found = namespaces.iter().find(|namespace| namespace.typ() == LinuxNamespaceType::User)?;
    Some(found.path().as_deref())
}

fn is_bind(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("bind") || has_option(mount, &["bind", "rbind"])
}

fn is_mapped(mount: &Mount) -> bool {
    has_option(mount, &["idmap", "ridmap"]) || own_users(mount).is_some()
}

/// The mapping that the mount has itself.
fn own_users(mount: &Mount) -> Option<Users> {
    Some(users(mount.uid_mappings().as_ref()?, mount.gid_mappings().as_ref()?))
}

fn users(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Users {
    let of = |mapping: &LinuxIdMapping| IdMapping {
        container: mapping.container_id(),
        host: mapping.host_id(),
        size: mapping.size(),
    };
    Users { uids: uids.iter().map(of).collect(), gids: gids.iter().map(of).collect() }
}

fn has_option(mount: &Mount, names: &[&str]) -> bool {
    mount.options().iter().flatten().any(|option| names.contains(&option.as_str()))
}
