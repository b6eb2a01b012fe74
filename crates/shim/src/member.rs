//! A member is a container of a pod, as it is noted in the bundle of the pod for the case that the daemon dies.
//!
//! containerd then runs the delete verb for the pod alone, and removes the bundles of its containers meanwhile; so the
//! note says all that it takes to clean up after one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, Config};
use crate::cgroup::Cgroup;
use crate::remains;

/// One note.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    id: String,
    bundle: PathBuf,
    cgroups_path: PathBuf,
    systemd_cgroup: bool,
}

impl Member {
    /// The container with this configuration.
    pub(crate) fn of(bundle: &Bundle, config: &Config, systemd_cgroup: bool) -> Self {
        let (id, bundle) = (bundle.id().to_owned(), bundle.dir().to_owned());
        Self { id, bundle, cgroups_path: config.cgroups_path(), systemd_cgroup }
    }

    /// Notes it in the pod's bundle, whose directory has been prepared.
    pub(crate) fn note(&self, pod: &Bundle) -> Result<()> {
        let dir = pod.members();
        let text = serde_json::to_vec(self).context("encoding it")?;
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(dir.join(&self.id), text))
            .with_context(|| format!("noting container {} in {}", self.id, dir.display()))
    }

    /// Removes the note, if there is one.
    pub(crate) fn forget(pod: &Bundle, id: &str) {
        let _ = fs::remove_file(pod.members().join(id));
    }

    /// All that are noted.
    pub(crate) fn all(pod: &Bundle) -> Vec<Self> {
        let notes = fs::read_dir(pod.members()).into_iter().flatten().flatten();
        notes.filter_map(|note| serde_json::from_slice(&fs::read(note.path()).ok()?).ok()).collect()
    }

    /// Kills, unmounts and removes what is left of it.
    pub(crate) fn clear(&self) -> Result<()> {
        let cgroup = Cgroup::at(&self.cgroups_path, self.systemd_cgroup);
        Bundle::new(&self.bundle, &self.id)
            .and_then(|bundle| remains::clear(&bundle, Some(&cgroup)))
            .with_context(|| format!("cleaning up after container {}", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_although_its_bundle_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = |name: &str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            Bundle::new(dir.path().join(name), name).unwrap()
        };
        let (pod, container) = (bundle("pod"), bundle("c1"));
        let config = r#"{"ociVersion":"1.2.0","linux":{"cgroupsPath":"/kubepods/pod1/c1"}}"#;
        fs::write(container.dir().join("config.json"), config).unwrap();
        let member = Member::of(&container, &container.config().unwrap(), false);
        member.note(&pod).unwrap();
        fs::remove_dir_all(container.dir()).unwrap();
        assert_eq!(member.cgroups_path, std::path::Path::new("/kubepods/pod1/c1"));
        assert_eq!(Member::all(&pod), [member]);
        Member::forget(&pod, "c1");
        assert!(Member::all(&pod).is_empty());
    }
}
