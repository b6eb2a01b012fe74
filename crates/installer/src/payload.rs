//! The payload is what the node gets: the tarball of `make dist`, unpacked in a directory of its version.
//!
//! ```text
//! DIRECTORY/                     /opt/containerd-shim-wasmedge
//!     versions/0.1.0-1a2b3c4d5e6f/bin, lib, share
//!     current -> versions/0.1.0-1a2b3c4d5e6f
//!     installation.json          see `record`
//! ```
//!
//! containerd is told the path by way of `current`, so an upgrade is one rename. Daemons and guests of the version
//! before run on in theirs, which is removed when the last of them has gone.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::host::Host;

/// The link that containerd is told.
pub(crate) const CURRENT: &str = "current";
const VERSIONS: &str = "versions";
const SHIM: &str = "bin/containerd-shim-wasmedge-v1";

/// A tarball.
#[derive(Debug)]
pub(crate) struct Payload {
    tarball: PathBuf,
    /// The version and the tarball's digest: the same name is the same files.
    name: String,
}

/// The installer's directory on the node.
#[derive(Debug, Clone)]
pub(crate) struct Versions<'a> {
    host: &'a Host,
    directory: PathBuf,
}

impl Payload {
    /// Opens a tarball. Fails if it cannot be read.
    pub(crate) fn open(tarball: &Path) -> Result<Self> {
        let reading = || format!("reading {}", tarball.display());
        let mut hash = Sha256::new();
        io::copy(&mut File::open(tarball).with_context(reading)?, &mut hash).with_context(reading)?;
        let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{digest}", env!("CARGO_PKG_VERSION"));
        Ok(Self { tarball: tarball.to_owned(), name })
    }

    /// Its version's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl<'a> Versions<'a> {
    /// Those in `directory` of the node.
    pub(crate) fn new(host: &'a Host, directory: &Path) -> Self {
        Self { host, directory: directory.to_owned() }
    }

    /// The shim that containerd is told, whatever the version.
    pub(crate) fn shim(&self) -> PathBuf {
        self.directory.join(CURRENT).join(SHIM)
    }

    /// The shim of one version.
    pub(crate) fn shim_of(&self, name: &str) -> PathBuf {
        self.of(name).join(SHIM)
    }

    /// The directory of one version, on the node.
    pub(crate) fn of(&self, name: &str) -> PathBuf {
        self.directory.join(VERSIONS).join(name)
    }

    /// Unpacks a payload. A file that is there already and the same is left alone, since a running daemon may be of it;
    /// one that differs is replaced at once.
    pub(crate) fn unpack(&self, payload: &Payload) -> Result<()> {
        let to = self.of(&payload.name);
        let tarball = || format!("unpacking {} into {}", payload.tarball.display(), to.display());
        let real = self.host.resolve(&to)?;
        (|| {
            let mut archive = tar::Archive::new(GzDecoder::new(File::open(&payload.tarball)?));
            for entry in archive.entries()? {
                let mut entry = entry?;
                ensure!(entry.header().entry_type().is_file(), "{}: not a file", entry.path()?.display());
                let path = relative(&entry.path()?)?;
                let mode = entry.header().mode()? & 0o755;
                let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or_default());
                entry.read_to_end(&mut bytes)?;
                put(&real.join(&path), &bytes, mode).with_context(|| format!("{}", path.display()))?;
            }
            rustix::fs::syncfs(File::open(&real)?)?;
            anyhow::Ok(())
        })()
        .with_context(tarball)
    }

    /// The version that `current` is, if any.
    pub(crate) fn current(&self) -> Option<String> {
        let link = self.host.resolve(&self.directory).ok()?.join(CURRENT);
        Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
    }

    /// Makes `current` that version, at once; `None` takes it away.
    pub(crate) fn switch(&self, name: Option<&str>) -> Result<()> {
        let directory = self.host.resolve(&self.directory)?;
        let (link, draft) = (directory.join(CURRENT), directory.join(".current"));
        let switched = match name {
            Some(name) => {
                let _ = fs::remove_file(&draft);
                symlink(Path::new(VERSIONS).join(name), &draft).and_then(|()| fs::rename(&draft, &link))
            }
            None => fs::remove_file(&link),
        };
        switched.with_context(|| format!("switching {}/{CURRENT}", self.directory.display()))
    }

    /// Removes the versions that are not `current` and that no process runs from; their names.
    pub(crate) fn prune(&self) -> Result<Vec<String>> {
        let keep = self.current();
        let versions = self.host.resolve(&self.directory.join(VERSIONS))?;
        let running = self.processes();
        let mut removed = Vec::new();
        for entry in fs::read_dir(versions).context("listing the versions")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let used = running.iter().any(|process| process.program.starts_with(self.of(&name)));
            if Some(&name) != keep.as_ref() && !used {
                self.host.remove_tree(&self.of(&name))?;
                removed.push(name);
            }
        }
        Ok(removed)
    }

    /// The node's processes whose program is in the installer's directory: daemons, zygotes, guests.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all = pids.filter_map(|pid: u32| {
            Some(Process { pid, program: fs::read_link(format!("/proc/{pid}/exe")).ok()? })
        });
        let versions = self.directory.join(VERSIONS);
        all.filter(|process| process.program.starts_with(&versions)).collect()
    }
}

/// A process of the node's.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) program: PathBuf,
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let is_same = fs::read(path).is_ok_and(|there| there == bytes);
    if is_same {
        return Ok(fs::set_permissions(path, Permissions::from_mode(mode))?);
    }
    let directory = path.parent().context("no directory")?;
    fs::create_dir_all(directory)?;
    let draft = directory.join(".unpacked");
    fs::write(&draft, bytes)?;
    fs::set_permissions(&draft, Permissions::from_mode(mode))?;
    Ok(fs::rename(&draft, path)?)
}

fn relative(path: &Path) -> Result<PathBuf> {
    let plain =
        path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    ensure!(plain, "{}: leads out of the directory", path.display());
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn tarball(directory: &Path, files: &[(&str, &str)]) -> Payload {
        let path = directory.join("dist.tar.gz");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        Payload::open(&path).unwrap()
    }

    #[test]
    fn a_version_is_unpacked_and_switched_to() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let versions = Versions::new(&host, Path::new("/opt/w"));
        let first = tarball(root.path(), &[(SHIM, "one")]);
        versions.unpack(&first).unwrap();
        versions.switch(Some(first.name())).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("opt/w/current").join(SHIM)).unwrap(), "one");
        let second = tarball(root.path(), &[(SHIM, "two")]);
        versions.unpack(&second).unwrap();
        assert_eq!(versions.current().as_deref(), Some(first.name()));
        versions.switch(Some(second.name())).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("opt/w/current").join(SHIM)).unwrap(), "two");
        assert_eq!(versions.prune().unwrap(), [first.name()]);
        versions.switch(None).unwrap();
        assert_eq!(versions.current(), None);
    }

    #[test]
    fn unpacking_again_mends_what_is_damaged_and_leaves_the_rest_alone() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let versions = Versions::new(&host, Path::new("/opt/w"));
        let payload = tarball(root.path(), &[("bin/a", "a"), ("bin/b", "b")]);
        versions.unpack(&payload).unwrap();
        let bin = host.resolve(&versions.of(payload.name())).unwrap().join("bin");
        let kept = fs::metadata(bin.join("a")).unwrap().ino();
        fs::write(bin.join("b"), "damaged").unwrap();
        versions.unpack(&payload).unwrap();
        assert_eq!(fs::metadata(bin.join("a")).unwrap().ino(), kept);
        assert_eq!(fs::read_to_string(bin.join("b")).unwrap(), "b");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        assert!(relative(Path::new("../x")).is_err());
        assert!(relative(Path::new("/x")).is_err());
        assert!(relative(Path::new("./bin/x")).is_ok());
    }
}
