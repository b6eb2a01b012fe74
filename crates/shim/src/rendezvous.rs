//! A rendezvous is the directory where the verbs and the daemon of one containerd address, namespace and build meet.
//!
//! ```text
//! /run/containerd-shim-wasmedge/<key>/    0700
//!     lock         held while a daemon is looked for, started, or leaves
//!     shim.sock    0600, the task API
//!     guests.sock  who connects is told what runs
//!     api          the task API version that this containerd understands, 2 or 3
//! ```
//!
//! The key holds the build's identity, so that a new build gets a new daemon and the old one drains.
//! Whoever holds the lock may trust that a daemon that answers will not leave: it takes the lock to do so.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const BASE: &str = "/run/containerd-shim-wasmedge";
const LOCK: &str = "lock";
const SOCKET: &str = "shim.sock";
const GUESTS: &str = "guests.sock";
const API: &str = "api";

/// Which daemon is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whom<'a> {
    /// containerd's gRPC address.
    pub(crate) address: &'a str,
    /// The containerd namespace.
    pub(crate) namespace: &'a str,
    /// The build, see [`build_identity`].
    pub(crate) build: &'a str,
    /// The pod, if each has a daemon of its own.
    pub(crate) pod: Option<&'a str>,
}

/// One daemon's directory.
#[derive(Debug, Clone)]
pub(crate) struct Rendezvous {
    dir: PathBuf,
}

/// The right to start or end the daemon; given up when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Rendezvous {
    pub(crate) fn of(whom: Whom<'_>) -> Self {
        Self::under(Path::new(BASE), whom)
    }

    fn under(base: &Path, whom: Whom<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [whom.address, whom.namespace, whom.build, whom.pod.unwrap_or_default()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { dir: base.join(key) }
    }

    /// All that there are.
    pub(crate) fn all() -> Result<Vec<Self>> {
        match fs::read_dir(BASE) {
            Ok(dirs) => Ok(dirs.flatten().map(|entry| Self { dir: entry.path() }).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context(BASE),
        }
    }

    /// Removes the directories of daemons that died without leaving.
    pub(crate) fn sweep() -> Result<()> {
        Self::sweep_under(Path::new(BASE))
    }

    fn sweep_under(base: &Path) -> Result<()> {
        let Ok(dirs) = fs::read_dir(base) else { return Ok(()) };
        for dir in dirs.flatten().map(|entry| entry.path()) {
            let deserted = Self { dir };
            // Only what is there is opened, lest a daemon that leaves meanwhile finds its directory made anew.
            let Ok(file) = OpenOptions::new().write(true).open(deserted.dir.join(LOCK)) else { continue };
            if file.try_lock().is_ok() && deserted.is_current(&file) && !deserted.is_served() {
                deserted.remove(Lock { file })?;
            }
        }
        Ok(())
    }

    /// The rendezvous that a socket belongs to.
    pub(crate) fn of_socket(socket: &Path) -> Result<Self> {
        let dir = socket.parent().context("the socket has no directory")?;
        Ok(Self { dir: dir.to_owned() })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    pub(crate) fn guests_socket(&self) -> PathBuf {
        self.dir.join(GUESTS)
    }

    /// Waits for the lock, making the directory if need be.
    pub(crate) fn lock(&self) -> Result<Lock> {
        loop {
            let file = match self.open_lock() {
                // A daemon that leaves takes its directory with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.with_context(|| format!("opening {}", self.dir.join(LOCK).display()))?,
            };
            file.lock().with_context(|| format!("locking {}", self.dir.join(LOCK).display()))?;
            if self.is_current(&file) {
                return Ok(Lock { file });
            }
        }
    }

    /// Takes the lock if nobody holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        let file = self.open_lock().with_context(|| format!("opening {}", self.dir.join(LOCK).display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("locking"),
        }
    }

    /// Whether a daemon listens. Only true for as long as the lock is held.
    pub(crate) fn is_served(&self) -> bool {
        UnixStream::connect(self.socket()).is_ok()
    }

    /// Removes what a daemon that died has left.
    pub(crate) fn clear(&self) -> Result<()> {
        for name in [SOCKET, GUESTS, API] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", self.dir.join(name).display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the directory; the lock is void then.
    pub(crate) fn remove(&self, _held: Lock) -> Result<()> {
        fs::remove_dir_all(&self.dir).with_context(|| format!("removing {}", self.dir.display()))
    }

    /// Writes down which task API containerd understands.
    pub(crate) fn set_api(&self, version: i32) -> Result<()> {
        fs::write(self.dir.join(API), version.to_string()).context("writing the task API's version")
    }

    /// The task API that containerd understands; 3, if nobody knows.
    pub(crate) fn api(&self) -> i32 {
        fs::read_to_string(self.dir.join(API)).ok().and_then(|text| text.parse().ok()).unwrap_or(3)
    }

    fn open_lock(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.dir.join(LOCK))
    }

    fn is_current(&self, file: &File) -> bool {
        match (file.metadata(), fs::metadata(self.dir.join(LOCK))) {
            (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
            _ => false,
        }
    }
}

impl Lock {
    /// Notes that a caller was just told the daemon's address and will connect.
    pub(crate) fn promise(&self) -> Result<()> {
        self.file.set_modified(SystemTime::now()).context("touching the lock")
    }

    /// Whether somebody was told the address less than `recently` ago.
    pub(crate) fn is_promised(&self, recently: Duration) -> bool {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed < recently))
    }
}

/// What changes whenever the shim or its engine is replaced: the identity of both files.
pub(crate) fn build_identity(engine: &Path) -> Result<String> {
    let identity = |path: &Path| -> Result<String> {
        let file = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(format!("{}:{}:{}:{}.{};", file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    Ok(identity(Path::new("/proc/self/exe"))? + &identity(engine)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::alone::alone;

    const WHOM: Whom<'_> =
        Whom { address: "/run/containerd/containerd.sock", namespace: "default", build: "1", pod: None };

    #[test]
    fn another_namespace_build_or_pod_is_another_daemon() {
        let dir = |whom| Rendezvous::of(whom).dir;
        assert_eq!(dir(WHOM), dir(WHOM));
        assert_ne!(dir(WHOM), dir(Whom { namespace: "k8s.io", ..WHOM }));
        assert_ne!(dir(WHOM), dir(Whom { build: "2", ..WHOM }));
        assert_ne!(dir(WHOM), dir(Whom { pod: Some("p"), ..WHOM }));
    }

    #[test]
    fn only_its_owner_can_enter_the_directory() {
        let base = tempfile::tempdir().unwrap();
        let rendezvous = Rendezvous::under(base.path(), WHOM);
        let _lock = rendezvous.lock().unwrap();
        assert_eq!(fs::metadata(&rendezvous.dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_not_served() {
        let _alone = alone();
        let base = tempfile::tempdir().unwrap();
        let rendezvous = Rendezvous::under(base.path(), WHOM);
        let _lock = rendezvous.lock().unwrap();
        let listener = UnixListener::bind(rendezvous.socket()).unwrap();
        assert!(rendezvous.is_served());
        drop(listener);
        assert!(!rendezvous.is_served());
        rendezvous.clear().unwrap();
        assert!(!rendezvous.socket().exists());
    }

    #[test]
    fn what_dead_daemons_left_is_swept_and_what_is_in_use_is_not() {
        let _alone = alone();
        let base = tempfile::tempdir().unwrap();
        let [dead, served, starting] = ["dead", "served", "starting"]
            .map(|build| Rendezvous::under(base.path(), Whom { build, ..WHOM }));
        drop([&dead, &served].map(|rendezvous| rendezvous.lock().unwrap()));
        let _held = starting.lock().unwrap();
        drop(UnixListener::bind(dead.socket()).unwrap());
        let _daemon = UnixListener::bind(served.socket()).unwrap();
        Rendezvous::sweep_under(base.path()).unwrap();
        assert!(!dead.dir.exists() && served.dir.exists() && starting.dir.exists());
    }

    #[test]
    fn a_daemon_cannot_leave_while_a_start_is_under_way() {
        let _alone = alone();
        let base = tempfile::tempdir().unwrap();
        let rendezvous = Rendezvous::under(base.path(), WHOM);
        let start = rendezvous.lock().unwrap();
        assert!(rendezvous.try_lock().unwrap().is_none());
        start.promise().unwrap();
        drop(start);
        let leave = rendezvous.try_lock().unwrap().unwrap();
        assert!(leave.is_promised(Duration::from_secs(60)));
        rendezvous.remove(leave).unwrap();
        assert!(!rendezvous.dir.exists());
        rendezvous.lock().unwrap();
    }
}
