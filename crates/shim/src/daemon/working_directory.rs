//! The working directory of a process. A container's need not be there: as under runc, it is made.

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use containerd_shim_protos::ttrpc::Code;
use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;

use crate::bundle::Config;
use crate::failure::Failure;

/// Makes the container's working directory where it is missing: in the root filesystem, or in a directory of the host
/// that is mounted there. Below another mount it cannot be made from outside.
///
/// # Errors
/// When it cannot be made, or something else has its name.
pub(super) fn make(config: &Config) -> Result<()> {
    let Some(process) = config.spec.process() else { return Ok(()) };
    let named = || format!("the working directory {}", process.cwd().display());
    let Some((place, rest)) = place(config, process.cwd()) else { return Ok(()) };
    let root = rustix::fs::open(&place, DIRECTORY, Mode::empty());
    let root = root.with_context(|| format!("opening the root filesystem {}", place.display()))?;
    make_below(&root, &rest).with_context(named)
}

/// Whether a further process of a running container would find its working directory.
pub(super) fn check(pid: u32, cwd: &Path) -> std::result::Result<(), Failure> {
    if !cwd.is_absolute() {
        let message = format!("process.cwd {:?}: Cwd must be an absolute path", cwd.display().to_string());
        return Err(Failure::new(Code::INVALID_ARGUMENT, anyhow::Error::msg(message)));
    }
    let Ok(root) = rustix::fs::open(format!("/proc/{pid}/root"), DIRECTORY, Mode::empty()) else {
        return Ok(());
    };
    let missing = |what: &str| {
        Failure::not_found(format!("chdir to working directory {:?}: {what}", cwd.display().to_string()))
    };
    match open(&root, &in_root(cwd)) {
        Err(Errno::NOENT) => Err(missing("no such file or directory")),
        Err(Errno::NOTDIR) => Err(missing("not a directory")),
        _ => Ok(()),
    }
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The directory of the host in which to make it, and the path in there.
fn place(config: &Config, cwd: &Path) -> Option<(PathBuf, PathBuf)> {
    let Some((mount, rest)) = mount_of(&config.spec, cwd) else {
        return Some((config.root(), cwd.to_owned()));
    };
    let options = mount.options().as_deref().unwrap_or_default();
    let is_bind =
        mount.typ().as_deref() == Some("bind") || options.iter().any(|o| o == "bind" || o == "rbind");
    if !is_bind || options.iter().any(|option| option == "ro") {
        return None;
    }
    mount.source().clone().filter(|source| source.is_dir()).map(|source| (source, rest))
}

/// The last mount that covers the path, and the path below it.
fn mount_of<'a>(spec: &'a Spec, path: &Path) -> Option<(&'a Mount, PathBuf)> {
    let below = |mount: &'a Mount| Some((mount, path.strip_prefix(mount.destination()).ok()?.to_owned()));
    spec.mounts().iter().flatten().filter_map(below).next_back()
}

fn make_below(root: &OwnedFd, path: &Path) -> Result<(), Errno> {
    let mut made = PathBuf::from(".");
    let mut parent = open(root, &made)?;
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        made.push(name);
        parent = match open(root, &made) {
            Err(Errno::NOENT) => {
                mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
                open(root, &made)?
            }
            opened => opened?,
        };
    }
    Ok(())
}

fn open(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    openat2(root, path, DIRECTORY, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// As a relative path, which may be empty otherwise.
fn in_root(path: &Path) -> PathBuf {
    Path::new(".").join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bundle::Bundle;

    fn config(cwd: &str, mounts: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("rootfs/srv")).unwrap();
        fs::create_dir(dir.path().join("volume")).unwrap();
        let json = format!(
            r#"{{"ociVersion":"1.2.0","root":{{"path":"rootfs"}},"mounts":[{mounts}],
                "process":{{"cwd":"{cwd}","user":{{"uid":0,"gid":0}},"args":["x"]}}}}"#
        );
        fs::write(dir.path().join("config.json"), json).unwrap();
        let config = Bundle::new(dir.path(), "c1").unwrap().config().unwrap();
        (dir, config)
    }

    #[test]
    fn a_missing_directory_is_made_in_the_root_filesystem() {
        let (dir, config) = config("/srv/a/b", "");
        make(&config).unwrap();
        assert!(dir.path().join("rootfs/srv/a/b").is_dir());
        make(&config).unwrap();
    }

    #[test]
    fn below_a_volume_it_is_made_in_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        let mount = |options: &str| {
            let source = dir.path().display();
            format!(r#"{{"destination":"/srv","type":"bind","source":"{source}","options":[{options}]}}"#)
        };
        make(&config("/srv/new", &mount(r#""rbind","ro""#)).1).unwrap();
        assert!(!dir.path().join("new").exists());
        make(&config("/srv/new", &mount(r#""rbind""#)).1).unwrap();
        assert!(dir.path().join("new").is_dir());
    }

    #[test]
    fn a_link_of_the_image_does_not_lead_out_of_it() {
        let (dir, config) = config("/link/new", "");
        std::os::unix::fs::symlink("../../volume", dir.path().join("rootfs/link")).unwrap();
        assert!(make(&config).is_err() && !dir.path().join("volume/new").exists());
    }

    #[test]
    fn a_file_of_that_name_is_an_error_that_names_it() {
        let (dir, config) = config("/srv/file/x", "");
        fs::write(dir.path().join("rootfs/srv/file"), "").unwrap();
        let error = format!("{:#}", make(&config).unwrap_err());
        assert_eq!(error, "the working directory /srv/file/x: Not a directory (os error 20)");
    }
}
