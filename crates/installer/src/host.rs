//! The host is the node's file system and its programs, seen from wherever the installer runs.
//!
//! In a pod, the host's root is mounted at a directory. Paths given here are the node's own; symbolic links are
//! followed as the node would follow them, so that `/etc/x -> /usr/etc/x` leads to the node's file and not to the
//! pod's.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Links that are followed for one path, as the kernel's own limit.
const MOST_LINKS: u32 = 40;

/// The node.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    root: PathBuf,
}

/// A text file's content with all that [`Host::write`] puts back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextFile {
    pub(crate) text: String,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl TextFile {
    /// A file of root's that everyone may read.
    pub(crate) fn new(text: String) -> Self {
        Self { text, mode: 0o644, uid: 0, gid: 0 }
    }
}

impl Host {
    /// The node whose root is mounted there.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where the node's path is from here, with every symbolic link followed. A path that does not exist is the place
    /// where it would be made. Fails for a loop of links.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let mut todo: Vec<PathBuf> = components(path);
        let (mut done, mut links) = (PathBuf::new(), 0);
        while let Some(next) = todo.pop() {
            if next == Path::new("..") {
                done.pop();
                continue;
            }
            let candidate = done.join(&next);
            let Ok(target) = fs::read_link(self.root.join(&candidate)) else {
                done = candidate;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                bail!("{}: too many symbolic links", path.display());
            }
            if target.is_absolute() {
                done = PathBuf::new();
            }
            todo.extend(components(&target));
        }
        Ok(self.root.join(done))
    }

    /// Whether the node has that path.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.resolve(path).is_ok_and(|path| path.exists())
    }

    /// A text file, or `None` if there is no such file. Fails if it cannot be read or is not UTF-8.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<TextFile>> {
        let reading = || format!("reading {}", path.display());
        let real = self.resolve(path)?;
        let text = match fs::read_to_string(&real) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(reading),
        };
        let metadata = fs::metadata(&real).with_context(reading)?;
        let mode = metadata.mode() & 0o7777;
        Ok(Some(TextFile { text, mode, uid: metadata.uid(), gid: metadata.gid() }))
    }

    /// Replaces a file at once and durably, or leaves it as it was. Its directory must exist.
    pub(crate) fn write(&self, path: &Path, file: &TextFile) -> Result<()> {
        let real = self.resolve(path)?;
        let draft = draft_of(&real)?;
        let written = (|| {
            let mut out = File::create(&draft)?;
            out.write_all(file.text.as_bytes())?;
            chown(&draft, Some(file.uid), Some(file.gid))?;
            out.set_permissions(Permissions::from_mode(file.mode))?;
            out.sync_all()?;
            fs::rename(&draft, &real)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written.with_context(|| format!("writing {}", path.display()))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(self.resolve(path)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The directories on the way to `path` that do not exist yet, outermost first.
    pub(crate) fn missing_directories(&self, path: &Path) -> Vec<PathBuf> {
        let mut missing: Vec<_> =
            path.ancestors().take_while(|above| !self.has(above)).map(Path::to_owned).collect();
        missing.reverse();
        missing
    }

    /// Makes a directory and all above it.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(self.resolve(path)?).with_context(|| format!("making {}", path.display()))
    }

    /// Removes a directory with all that is in it, if it is there.
    pub(crate) fn remove_tree(&self, path: &Path) -> Result<()> {
        match fs::remove_dir_all(self.resolve(path)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// A program of the node's, as the node itself would run it. It takes `CAP_SYS_ADMIN` and the node's pid namespace,
    /// if the installer is not on the node already.
    pub(crate) fn command(&self, program: &str) -> Command {
        if self.root == Path::new("/") {
            return Command::new(program);
        }
        let mut command = Command::new("/proc/self/exe");
        command.args(["enter", "--", program]);
        command
    }
}

/// The names in a path, last first; `/` and `.` say nothing.
fn components(path: &Path) -> Vec<PathBuf> {
    let meaning =
        |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(meaning).map(|component| component.as_os_str().into()).collect()
}

fn draft_of(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().context("a file needs a name")?;
    Ok(path.with_file_name(format!(".{}.wasmedge-node-installer", name.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn host() -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        (root, host)
    }

    #[test]
    fn an_absolute_link_stays_on_the_node() {
        let (root, host) = host();
        fs::create_dir_all(root.path().join("usr/etc")).unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("usr/etc/config.toml"), "here").unwrap();
        symlink("/usr/etc/config.toml", root.path().join("etc/config.toml")).unwrap();
        assert_eq!(host.read(Path::new("/etc/config.toml")).unwrap().unwrap().text, "here");
        host.write(Path::new("/etc/config.toml"), &TextFile::new("changed".to_owned())).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("usr/etc/config.toml")).unwrap(), "changed");
        assert!(root.path().join("etc/config.toml").is_symlink());
    }

    #[test]
    fn a_link_upwards_ends_at_the_nodes_root() {
        let (root, host) = host();
        symlink("../../../../etc", root.path().join("link")).unwrap();
        assert_eq!(host.resolve(Path::new("/link/x")).unwrap(), root.path().join("etc/x"));
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let (root, host) = host();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        assert!(host.resolve(Path::new("/a")).unwrap_err().to_string().contains("too many symbolic links"));
    }

    #[test]
    fn a_file_keeps_its_mode_and_leaves_no_draft() {
        let (root, host) = host();
        let path = root.path().join("f");
        fs::write(&path, "1").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let mut file = host.read(Path::new("/f")).unwrap().unwrap();
        file.text = "2".to_owned();
        host.write(Path::new("/f"), &file).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_directories_are_told_outermost_first() {
        let (root, host) = host();
        fs::create_dir(root.path().join("etc")).unwrap();
        let missing = host.missing_directories(Path::new("/etc/a/b"));
        assert_eq!(missing, [Path::new("/etc/a"), Path::new("/etc/a/b")]);
    }
}
