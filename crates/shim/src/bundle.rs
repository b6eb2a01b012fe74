//! A bundle is the directory that containerd makes for one container: `config.json`, `rootfs`, the `log` FIFO.
//!
//! ```text
//! <bundle>/config.json
//! <bundle>/rootfs/             mounted by the daemon, if the create request brings mounts
//! <bundle>/wasmedge/           ours
//!     <id>/                    libcontainer's state: state.json, notify.sock, …
//!     .exec/<exec id>/         process.json, and libcontainer's state of an exec
//!     .members/<id>            a note of each container, if this is a pod's
//!     .pod/                    what the containers of a sandbox share
//!     systemd                  there if systemd manages the cgroup
//!     exit                     the exit status, once there is one
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use oci_spec::runtime::Spec;

use crate::cgroup::Cgroup;
use crate::known_capabilities;

/// The annotation in which CRI names the pod that a container belongs to.
const SANDBOX_ANNOTATION: &str = "io.kubernetes.cri.sandbox-id";

/// The file in which containerd notes the path of a shim's program (its core/runtime/v2/shim_manager.go).
const PROGRAM: &str = "shim-binary-path";

/// One container's bundle; that the directory exists is not promised.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    dir: PathBuf,
    id: String,
}

impl Bundle {
    /// Fails if the id cannot be a file's name or the directory is not absolute.
    pub(crate) fn new(dir: impl Into<PathBuf>, id: &str) -> Result<Self> {
        let dir = dir.into();
        ensure!(is_file_name(id), "{id:?} is not a container id");
        ensure!(dir.is_absolute(), "the bundle {} is not an absolute path", dir.display());
        Ok(Self { dir, id: id.to_owned() })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the request's mounts go.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The FIFO that containerd copies to its own log.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// libcontainer's root: the parent of the container's state.
    pub(crate) fn state_root(&self) -> PathBuf {
        self.dir.join("wasmedge")
    }

    /// libcontainer's directory for the container.
    pub(crate) fn state(&self) -> PathBuf {
        self.state_root().join(&self.id)
    }

    /// The directory of an exec. Fails if the id cannot be a file's name.
    pub(crate) fn exec(&self, id: &str) -> Result<PathBuf> {
        ensure!(is_file_name(id), "{id:?} is not an exec id");
        // No container's id begins with a dot.
        Ok(self.state_root().join(".exec").join(id))
    }

    /// The directory of the files that a sandbox's containers share.
    pub(crate) fn pod_files(&self) -> PathBuf {
        self.state_root().join(".pod")
    }

    /// Where their shared memory is mounted.
    pub(crate) fn pod_shm(&self) -> PathBuf {
        self.pod_files().join("shm")
    }

    /// The root filesystem of a pod's init; containerd wants its own, `rootfs`, back as empty as it was.
    pub(crate) fn init_root(&self) -> PathBuf {
        self.pod_files().join("root")
    }

    /// The directory of the notes of a pod's containers, see [`crate::member`].
    pub(crate) fn members(&self) -> PathBuf {
        self.state_root().join(".members")
    }

    pub(crate) fn exit_file(&self) -> PathBuf {
        self.state_root().join("exit")
    }

    /// Makes our directory, and notes what the delete verb cannot know otherwise.
    pub(crate) fn prepare(&self, systemd_cgroup: bool) -> Result<()> {
        let root = self.state_root();
        let made = fs::create_dir_all(&root).and_then(|()| match systemd_cgroup {
            true => fs::write(root.join("systemd"), ""),
            false => Ok(()),
        });
        made.with_context(|| format!("making {}", root.display()))
    }

    /// Copies what containerd has noted of the shim's program in the pod's bundle, if anything. It notes it (for a runtime
    /// with a `runtime_path`) only where it starts a shim; a container that joins its pod's would be given up when
    /// containerd restarts and does not find the program by the runtime's name.
    pub(crate) fn share_program(&self, pod: &str) -> Result<()> {
        let (Some(bundles), true) = (self.dir.parent(), is_file_name(pod) && pod != self.id) else {
            return Ok(());
        };
        let (from, to) = (bundles.join(pod).join(PROGRAM), self.dir.join(PROGRAM));
        if to.exists() {
            return Ok(());
        }
        match fs::copy(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("copying {} to {}", from.display(), to.display()))
            }
            _ => Ok(()),
        }
    }

    /// Removes our directory.
    pub(crate) fn forget(&self) -> Result<()> {
        match fs::remove_dir_all(self.state_root()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", self.state_root().display()))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is a `config.json`; a sandbox has none.
    pub(crate) fn has_config(&self) -> bool {
        self.dir.join("config.json").exists()
    }

    /// Reads `config.json`. An error names the file, and the line if it is malformed.
    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.dir.join("config.json");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let known = known_capabilities::only(&bytes);
        for name in known.iter().flat_map(|known| &known.dropped) {
            log::warn!(target: &self.id, "{}: ignoring the unknown capability {name}", path.display());
        }
        let json = known.as_ref().map_or(&bytes, |known| &known.json);
        let spec = serde_json::from_slice(json).with_context(|| format!("reading {}", path.display()))?;
        Ok(Config { spec, bundle: self.clone(), completed: known.is_some() })
    }

    /// Writes `config.json`, whole or not at all: the delete verb may read it at any time.
    pub(crate) fn configure(&self, spec: &Spec) -> Result<()> {
        let path = self.dir.join("config.json");
        let draft = self.state_root().join("config.json");
        let text = serde_json::to_vec(spec).context("encoding the configuration")?;
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// The container's cgroup as far as the bundle tells it; an unreadable configuration has none.
    pub(crate) fn cgroup(&self) -> Option<Cgroup> {
        let systemd = self.has_scope();
        self.config().ok().map(|config| config.cgroup(systemd))
    }

    /// Whether systemd manages the container's cgroup.
    pub(crate) fn has_scope(&self) -> bool {
        self.state_root().join("systemd").exists()
    }
}

fn is_file_name(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !id.is_empty() && !id.starts_with('.') && id.bytes().all(allowed)
}

/// A bundle's `config.json`.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) spec: Spec,
    bundle: Bundle,
    completed: bool,
}

impl Config {
    /// Writes it back into the bundle, for all who read it from now on.
    pub(crate) fn save(&self) -> Result<()> {
        self.bundle.configure(&self.spec)
    }

    /// The pod's id; the container's own if it is in no pod.
    pub(crate) fn pod(&self) -> &str {
        let annotations = self.spec.annotations().as_ref();
        annotations.and_then(|all| all.get(SANDBOX_ANNOTATION)).map_or(self.bundle.id(), String::as_str)
    }

    /// The root filesystem's directory on the host.
    pub(crate) fn root(&self) -> PathBuf {
        let path = self.spec.root().as_ref().map_or(Path::new("rootfs"), |root| root.path());
        self.bundle.dir.join(path)
    }

    /// Whether the cgroup's path is one of systemd's, `slice:prefix:name`. Docker writes such paths where systemd is its
    /// driver (the default with version 2), and says so to runc alone.
    pub(crate) fn names_a_scope(&self) -> bool {
        let path = self.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
        let parts: Vec<_> = path.and_then(|path| path.to_str()).unwrap_or_default().split(':').collect();
        matches!(parts[..], [slice, _, name] if slice.ends_with(".slice") && !slice.contains('/') && !name.is_empty())
    }

    /// The directories in which the kernel meters and limits the container.
    pub(crate) fn cgroup(&self, systemd: bool) -> Cgroup {
        Cgroup::at(&self.cgroups_path(), systemd)
    }

    /// The path of its cgroup, as it was asked for.
    pub(crate) fn cgroups_path(&self) -> PathBuf {
        let path = self.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
        path.unwrap_or_else(|| format!("/{}", self.bundle.id).into())
    }

    /// Writes the cgroup's path into a configuration that has none, as runc would have it: libcontainer would give it a name
    /// of its own.
    pub(crate) fn name_cgroup(&mut self, systemd: bool) {
        let Some(linux) = self.spec.linux_mut().as_mut().filter(|linux| linux.cgroups_path().is_none())
        else {
            return;
        };
        let id = &self.bundle.id;
        linux.set_cgroups_path(Some(match systemd {
            true => format!("system.slice:runc:{id}").into(),
            false => format!("/{id}").into(),
        }));
        self.completed = true;
    }

    /// Whether it is another than the bundle has, so that it must be saved before anybody else reads it.
    pub(crate) fn is_completed(&self) -> bool {
        self.completed
    }

    /// The most memory that the container may use, in bytes.
    pub(crate) fn memory_limit(&self) -> Option<i64> {
        let resources = self.spec.linux().as_ref()?.resources().as_ref()?;
        resources.memory().as_ref()?.limit().filter(|limit| *limit > 0)
    }

    /// Whether the container has process ids of its own, so that the kernel ends all with the first.
    pub(crate) fn has_pid_namespace(&self) -> bool {
        use oci_spec::runtime::LinuxNamespaceType::Pid;
        let namespaces = self.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
        namespaces.is_some_and(|all| {
            all.iter().any(|namespace| namespace.typ() == Pid && namespace.path().is_none())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(config: &str) -> (tempfile::TempDir, Bundle) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        let bundle = Bundle::new(dir.path(), "c1").unwrap();
        (dir, bundle)
    }

    #[test]
    fn a_container_of_a_pod_has_the_program_that_containerd_noted_for_the_pod() {
        let bundles = tempfile::tempdir().unwrap();
        let [pod, member] = ["pod", "member"].map(|id| {
            fs::create_dir(bundles.path().join(id)).unwrap();
            Bundle::new(bundles.path().join(id), id).unwrap()
        });
        member.share_program("pod").unwrap();
        assert!(!member.dir.join(PROGRAM).exists(), "containerd has noted none");
        fs::write(pod.dir.join(PROGRAM), "/opt/shim").unwrap();
        for pod in ["pod", "member", "../pod"] {
            member.share_program(pod).unwrap();
        }
        assert_eq!(fs::read_to_string(member.dir.join(PROGRAM)).unwrap(), "/opt/shim");
    }

    #[test]
    fn a_malformed_configuration_is_refused_with_file_and_line() {
        let (dir, bundle) = bundle("{\n  \"ociVersion\": }\n");
        let error = format!("{:#}", bundle.config().unwrap_err());
        assert!(error.contains(dir.path().join("config.json").to_str().unwrap()), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn an_id_cannot_leave_its_directory() {
        for id in ["", ".", "..", "a/b", "../x"] {
            assert!(Bundle::new("/b", id).is_err(), "{id:?}");
        }
        assert!(Bundle::new("/b", "0a_B-c.d").is_ok());
    }

    #[test]
    fn a_scope_is_told_from_a_directory_by_its_name() {
        let names_a_scope = |path: &str| {
            let (_dir, bundle) =
                bundle(&format!(r#"{{"ociVersion":"1.2.0","linux":{{"cgroupsPath":"{path}"}}}}"#));
            bundle.config().unwrap().names_a_scope()
        };
        assert!(names_a_scope("system.slice:docker:c1") && names_a_scope("a-b.slice:cri-containerd:c1"));
        for path in ["/docker/c1", "c1", ":youki:c1", "a:b:c", "/a.slice:b:c", "a.slice:b:", "a.slice:b"] {
            assert!(!names_a_scope(path), "{path}");
        }
    }

    #[test]
    fn a_configuration_tells_its_pod_and_its_root() {
        let (_dir, bundle) = bundle(
            r#"{"ociVersion":"1.2.0","root":{"path":"rootfs"},
                "process":{"cwd":"/","user":{"uid":0,"gid":0},"args":["/app.wasm#main","x"]},
                "annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#,
        );
        let config = bundle.config().unwrap();
        assert_eq!(config.pod(), "pod");
        assert_eq!(config.root(), bundle.dir().join("rootfs"));
        assert!(!config.has_pid_namespace());
    }
}
