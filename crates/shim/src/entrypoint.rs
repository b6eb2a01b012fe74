//! The entrypoint of a process, as far as this side looks: is it a file of the root filesystem, or has it to be a layer?

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use wasmedge_messages::command;

use crate::bundle::Config;

/// What a process is to run, and where to look for it.
#[derive(Debug, Clone)]
pub(crate) struct Entrypoint<'a> {
    root: PathBuf,
    process: &'a Process,
    /// Where something is going to be mounted over the root filesystem.
    covered: Vec<&'a Path>,
}

impl<'a> Entrypoint<'a> {
    /// Of a container's first process, before there is one; `None` if the configuration names no process.
    pub(crate) fn of_first(config: &'a Config) -> Option<Self> {
        let mounts = config.spec.mounts().iter().flatten().map(|mount| mount.destination().as_path());
        let covered = mounts.filter(|destination| *destination != Path::new("/")).collect();
        Some(Self { root: config.root(), process: config.spec.process().as_ref()?, covered })
    }

    /// Of a further process, beside one with this pid.
    pub(crate) fn beside(pid: u32, process: &'a Process) -> Self {
        Self { root: format!("/proc/{pid}/root").into(), process, covered: Vec::new() }
    }

    /// Of a process that would run in this root filesystem.
    pub(crate) fn below(root: &Path, process: &'a Process) -> Self {
        Self { root: root.to_owned(), process, covered: Vec::new() }
    }

    /// Its path, without the function that may be named after it.
    pub(crate) fn path(&self) -> Option<&'a str> {
        let first = command(self.process.args().as_ref()?).first()?;
        Some(first.split_once('#').map_or(first.as_str(), |(path, _)| path))
    }

    /// The file, if it is there, and will be when all is mounted; looked for as the engine will look for it, and opened
    /// as a path only.
    pub(crate) fn file(&self) -> Option<OwnedFd> {
        let whole = command(self.process.args().as_ref()?).first()?;
        self.find(whole).or_else(|| self.find(self.path()?))
    }

    fn find(&self, entrypoint: &str) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.root, flags, Mode::empty()).ok()?;
        let cwd = self.process.cwd().to_string_lossy().into_owned();
        let path = self.process.env().iter().flatten().find_map(|v| v.strip_prefix("PATH="));
        let dirs: Vec<&str> = match entrypoint {
            absolute if absolute.starts_with('/') => vec![""],
            relative if relative.contains('/') => vec![&cwd],
            _ => path.unwrap_or_default().split(':').chain([cwd.as_str()]).collect(),
        };
        dirs.into_iter()
            .map(|dir| format!("./{dir}/{entrypoint}"))
            .find_map(|file| {
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let opened = openat2(&root, &file, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
                Some((file, opened))
            })
            .filter(|(file, _)| !self.is_covered(file))
            .map(|(_, opened)| opened)
    }

    /// Whether a mount hides that file, as its path is written.
    fn is_covered(&self, file: &str) -> bool {
        let mut path = PathBuf::from("/");
        for component in Path::new(file).components() {
            match component {
                Component::Normal(name) => path.push(name),
                Component::ParentDir => drop(path.pop()),
                _ => {}
            }
        }
        self.covered.iter().any(|mount| path.starts_with(mount))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bundle::Bundle;

    fn config(entrypoint: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("rootfs/bin")).unwrap();
        fs::write(dir.path().join("rootfs/bin/app.wasm"), "").unwrap();
        let json = format!(
            r#"{{"ociVersion":"1.2.0","root":{{"path":"rootfs"}},"process":{{"cwd":"/bin",
                "user":{{"uid":0,"gid":0}},"env":["PATH=/usr/bin:/bin"],"args":["{entrypoint}"]}}}}"#
        );
        fs::write(dir.path().join("config.json"), json).unwrap();
        let config = Bundle::new(dir.path(), "c1").unwrap().config().unwrap();
        (dir, config)
    }

    #[test]
    fn an_entrypoint_is_found_by_path_by_name_and_with_its_function() {
        for there in ["/bin/app.wasm", "app.wasm", "./app.wasm", "/bin/app.wasm#run", "../bin/app.wasm"] {
            assert!(Entrypoint::of_first(&config(there).1).unwrap().file().is_some(), "{there}");
        }
        for missing in ["/app.wasm", "other.wasm", "./bin/app.wasm"] {
            assert!(Entrypoint::of_first(&config(missing).1).unwrap().file().is_none(), "{missing}");
        }
    }

    #[test]
    fn a_file_below_a_mount_is_none_of_the_root_filesystem() {
        let (_dir, mut config) = config("../bin/./app.wasm");
        let mut mount = oci_spec::runtime::Mount::default();
        for (destination, hides) in [("/", false), ("/bi", false), ("/bin", true), ("/bin/app.wasm", true)] {
            mount.set_destination(destination.into());
            config.spec.set_mounts(Some(vec![mount.clone()]));
            let file = Entrypoint::of_first(&config).unwrap().file();
            assert_eq!(file.is_none(), hides, "{destination}");
        }
    }

    #[test]
    fn the_entrypoint_is_a_path_without_its_function_and_without_an_init() {
        let (_dir, config) = config("/app.wasm#main");
        assert_eq!(Entrypoint::of_first(&config).unwrap().path(), Some("/app.wasm"));
    }

    #[test]
    fn a_link_in_the_image_does_not_lead_out_of_it() {
        let (dir, config) = config("/outside");
        fs::write(dir.path().join("outside-file"), "").unwrap();
        std::os::unix::fs::symlink("/../outside-file", dir.path().join("rootfs/outside")).unwrap();
        assert!(Entrypoint::of_first(&config).unwrap().file().is_none());
    }
}
