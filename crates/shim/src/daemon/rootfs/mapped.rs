//! A root filesystem with mapped users: containerd's mount options `uidmap` and `gidmap`.
//!
//! The kernel maps the users of what an overlay is made of, not of the overlay (containerd's core/mount does it likewise).
//! So the lower directories are cloned with mapped users, and the overlay is made of the clones. These need a place in
//! some mount namespace for that moment: it is one of a thread's own, and goes with the thread.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount,
    open_tree,
};
use wasmedge_messages::{IdMapping, MapUsers, Reply, Request, Users};

use super::Mount;
use crate::daemon::channel::AsyncChannel;
use crate::daemon::zygote::Zygote;

/// The mapping that the options ask for.
///
/// # Errors
/// For one that cannot be read, and for users without groups or the other way round.
pub(super) fn users(options: &[String]) -> Result<Option<Users>> {
    let of = |name| options.iter().find_map(|option| option.strip_prefix(name));
    match (of("uidmap="), of("gidmap=")) {
        (None, None) => Ok(None),
        (Some(uids), Some(gids)) => Ok(Some(Users { uids: mappings(uids)?, gids: mappings(gids)? })),
        _ => bail!("the root filesystem's options have one of uidmap and gidmap, and not the other"),
    }
}

/// `container:host:size`, with commas between several.
fn mappings(text: &str) -> Result<Vec<IdMapping>> {
    let mapping = |words: &str| {
        let numbers: Vec<u32> = words.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [container, host, size] = numbers[..] else { return None };
        Some(IdMapping { container, host, size })
    };
    text.split(',').map(|words| mapping(words).ok_or_else(|| anyhow!("{text:?} maps no users"))).collect()
}

/// The directories that get mapped users.
///
/// # Errors
/// For a filesystem of which nobody knows how to map them.
pub(super) fn sources(mount: &Mount) -> Result<Vec<PathBuf>> {
    match mount.kind.as_str() {
        "bind" => Ok(vec![(&mount.source).into()]),
        "overlay" => {
            let lower = mount.options.iter().find_map(|option| option.strip_prefix(LOWER));
            let lower = lower.context("an overlay without lowerdir")?;
            Ok(lower.split(':').map(PathBuf::from).collect())
        }
        kind => bail!("a filesystem of type {kind:?} with mapped users is not supported"),
    }
}

const LOWER: &str = "lowerdir=";

/// Clones of the directories with mapped users; they are mounted nowhere.
pub(super) async fn trees(zygote: &Zygote, directories: Vec<PathBuf>, users: Users) -> Result<Vec<OwnedFd>> {
    let wanted = directories.len();
    let (replies, theirs) = AsyncChannel::pair().context("making a channel")?;
    zygote.send(&Request::MapUsers(MapUsers { directories, users }), &[theirs.as_fd()]).await?;
    drop(theirs);
    let mut trees = Vec::new();
    while trees.len() < wanted {
        match replies.receive_with_fds().await.context("hearing the engine")? {
            Some((Reply::Tree, fds)) => trees.extend(fds),
            Some((Reply::Failed(failure), _)) => return Err(failure.into()),
            Some(_) => bail!("the engine answers what was not asked"),
            None => bail!("the engine process died while it mapped users"),
        }
    }
    Ok(trees)
}

/// Makes the mount of trees in the place of its sources. Leaves the calling thread in a mount namespace of its own.
pub(super) fn make(mut wanted: Mount, trees: &[OwnedFd], scratch: &Path) -> Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNS).context("leaving the mount namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("making its mounts private")?;
    mount("tmpfs", scratch, "tmpfs", MountFlags::empty(), None)
        .with_context(|| format!("mounting a tmpfs on {}", scratch.display()))?;
    let mut places = Vec::new();
    for (number, tree) in trees.iter().enumerate() {
        let place = directory(scratch, &number.to_string())?;
        move_mount(tree, "", CWD, place.as_path(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .context("mounting a directory with mapped users")?;
        places.push(place.display().to_string());
    }
    wanted.options.retain(|option| !option.starts_with("uidmap=") && !option.starts_with("gidmap="));
    if wanted.kind == "bind" {
        ensure!(places.len() == 1, "a bind mount of {} directories", places.len());
        wanted.source = places.remove(0);
    } else {
        wanted.options.retain(|option| !option.starts_with(LOWER));
        wanted.options.push(format!("{LOWER}{}", places.join(":")));
    }
    let target = directory(scratch, "root")?;
    wanted.apply(&target)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, &target, flags).context("taking it out")
}

fn directory(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerds_options_say_who_is_who() {
        let options = |all: &[&str]| users(&all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        let users = options(&["index=off", "uidmap=0:100000:10,10:0:1", "gidmap=0:5:1"]).unwrap().unwrap();
        assert_eq!(users.uids[1], IdMapping { container: 10, host: 0, size: 1 });
        assert_eq!((users.uids[0].line(), users.gids[0].line()), ("0 100000 10".into(), "0 5 1".into()));
        assert_eq!(options(&["lowerdir=/a:/b"]).unwrap(), None);
        for odd in [&["uidmap=0:1:1"][..], &["uidmap=0:1", "gidmap=0:1:1"], &["uidmap=", "gidmap=0:1:1"]] {
            options(odd).unwrap_err();
        }
    }

    #[test]
    fn a_filesystem_that_is_not_made_of_directories_is_refused_by_its_name() {
        let options = vec!["lowerdir=/a:/b".to_owned(), "upperdir=/u".to_owned()];
        let mount = |kind: &str| Mount {
            kind: kind.to_owned(),
            source: "/source".to_owned(),
            target: String::new(),
            options: options.clone(),
        };
        assert_eq!(sources(&mount("overlay")).unwrap(), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(sources(&mount("bind")).unwrap(), [Path::new("/source")]);
        assert!(sources(&mount("erofs")).unwrap_err().to_string().contains("erofs"));
    }
}
