//! An image that is in containerd's store and need not be run: which modules are in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{RemoveSnapshotRequest, ViewSnapshotRequest};
use containerd_client::services::v1::{CreateRequest, DeleteRequest};
use containerd_client::tonic::transport::Channel;
use containerd_client::types::Mount;
use nix::sched::{CloneFlags, unshare};
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{Process, ProcessBuilder};
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::layers::Image;
use super::{Content, MAX_DOCUMENT, ensure_size, in_time, in_words};
use crate::entrypoint::Entrypoint;
use crate::modules::{Candidate, Digests, Module};

/// How long a view may be looked into.
const LEASE: Duration = Duration::minutes(5);
/// How many files and directories of an image are looked at.
const MOST_ENTRIES: usize = 200_000;
/// How many bytes of a file are looked at.
const FIRST_BYTES: u64 = 512;
/// How many modules of an image are taken besides its entrypoint.
const MOST_MODULES: usize = 64;

impl Content {
    /// The modules of this image, first the one that a container of it would run; others may be for execs. Of an image
    /// of files a view is mounted for a moment, in a mount namespace that this process enters for it. An image of native
    /// programs has none.
    ///
    /// # Errors
    /// When the image is not there, not unpacked, or neither files nor a module; the message says which.
    pub(crate) async fn modules_of_image(
        &self,
        name: &str,
        snapshotter: &str,
        limit: u64,
    ) -> Result<Vec<Module>> {
        let channel = in_time(self.connect()).await?;
        let mut target = None;
        for name in full_names(name) {
            target = self.target(&channel, &name).await?;
            if target.is_some() {
                break;
            }
        }
        let Some(target) = target else {
            bail!("there is no such file, and no such image in containerd's store");
        };
        let candidates = match self.image(&channel, target).await? {
            Image::Module(module) => {
                let layer = self.fetch(&channel, module, limit).await?;
                vec![Candidate::of_layer(&layer)?]
            }
            Image::Files(config) => {
                ensure_size(&config, MAX_DOCUMENT)?;
                let mut document = Vec::new();
                self.read(&channel, &config.digest, &mut document).await?;
                let config =
                    ImageConfiguration::from_reader(&document[..]).context("reading its configuration")?;
                self.look_into(&channel, &config, snapshotter).await?
            }
            Image::Other(types) => bail!("no layer of it is a Wasm module: it has {types}"),
            Image::Unknown => bail!("it has no image for this platform"),
        };
        let mut modules: Vec<Module> = Vec::new();
        for candidate in candidates {
            let Some(module) = candidate.identify(&Digests::default(), limit)? else { continue };
            if modules.iter().all(|known| known.digest != module.digest) {
                modules.push(module);
            }
        }
        Ok(modules)
    }

    async fn look_into(
        &self,
        channel: &Channel,
        config: &ImageConfiguration,
        snapshotter: &str,
    ) -> Result<Vec<Candidate>> {
        let mut snapshots = SnapshotsClient::new(channel.clone());
        let lease = self.lease(channel).await?;
        let (snapshotter, key) = (snapshotter.to_owned(), lease.clone());
        let parent = chain_id(config.rootfs().diff_ids());
        let (labels, view) = (Default::default(), (snapshotter.clone(), key.clone()));
        let view = ViewSnapshotRequest { snapshotter: view.0, key: view.1, parent, labels };
        let mut view = self.request(view);
        view.metadata_mut().insert("containerd-lease", lease.parse().context("naming a lease")?);
        let view = in_time(async { snapshots.view(view).await.map_err(in_words) }).await;
        let found = match view {
            Ok(view) => {
                let found = process(config).and_then(|it| open_modules(&view.into_inner().mounts, &it));
                let remove = self.request(RemoveSnapshotRequest { snapshotter, key });
                let removed = in_time(async { snapshots.remove(remove).await.map_err(in_words) }).await;
                found.and_then(|found| removed.map(|_| found).context("removing the view of it"))
            }
            Err(error) => Err(error.context(format!("it is not unpacked by {snapshotter}"))),
        };
        let delete = self.request(DeleteRequest { id: lease, sync: false });
        let ended =
            in_time(async { LeasesClient::new(channel.clone()).delete(delete).await.map_err(in_words) })
                .await;
        found.and_then(|found| ended.map(|_| found).context("ending the lease of its view"))
    }

    /// A lease of a name of its own: a view that nobody has leased is garbage, which containerd may remove at any moment.
    /// It ends by itself if this process cannot end it.
    async fn lease(&self, channel: &Channel) -> Result<String> {
        let now = OffsetDateTime::now_utc();
        let id = format!("wasmedge-engine-{}-{}", std::process::id(), now.unix_timestamp_nanos());
        let end = (now + LEASE).format(&Rfc3339).context("telling the time")?;
        let labels = [("containerd.io/gc.expire".to_owned(), end)].into();
        let create = self.request(CreateRequest { id: id.clone(), labels });
        in_time(async { LeasesClient::new(channel.clone()).create(create).await.map_err(in_words) })
            .await
            .context("leasing a view of it")?;
        Ok(id)
    }
}

fn open_modules(mounts: &[Mount], process: &Process) -> Result<Vec<Candidate>> {
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace (are you root?)")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("making the mount namespace private")?;
    // A mount needs a directory to be on, and hides what is there from this process only.
    let root = Path::new("/run");
    for mount in mounts {
        let (kind, source) = (Some(mount.r#type.as_str()), Some(mount.source.as_str()));
        containerd_shim::mount::mount_rootfs(kind, source, &mount.options, root)
            .context("mounting its files")?;
    }
    let mut found: Vec<_> = Candidate::of_file(&Entrypoint::below(root, process)).into_iter().collect();
    found.extend(modules_below(root));
    for _ in mounts {
        unmount(root, UnmountFlags::DETACH).context("unmounting its files")?;
    }
    Ok(found)
}

/// The files below a directory that begin as a module does, on its own filesystem and no more than a bounded number. A
/// text is one if its name says so, too: other files begin as it does. Links are not followed.
fn modules_below(root: &Path) -> Vec<Candidate> {
    let (mut dirs, mut entries, mut found) = (vec![root.to_owned()], 0, Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MOST_ENTRIES || found.len() == MOST_MODULES {
                return found;
            }
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file() && begins_as_a_module(&path) {
                let name = format!("/{}", path.strip_prefix(root).unwrap_or(&path).display());
                let opened = open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
                found.extend(opened.ok().map(|path| Candidate::File { name, path }));
            }
        }
    }
    found
}

fn begins_as_a_module(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST_BYTES).read_to_end(&mut start));
    let is_text = || {
        let start = start.trim_ascii_start();
        start.starts_with(b"(") || start.starts_with(b";;")
    };
    read.is_ok()
        && (start.starts_with(b"\0asm") || path.extension().is_some_and(|it| it == "wat") && is_text())
}

/// What a container of the image would run, if nothing else is asked for.
fn process(config: &ImageConfiguration) -> Result<Process> {
    let config = config.config().clone().unwrap_or_default();
    let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let args = [words(config.entrypoint()), words(config.cmd())].concat();
    let cwd = config.working_dir().clone().filter(|cwd| !cwd.is_empty()).unwrap_or_else(|| "/".to_owned());
    let process = ProcessBuilder::default().args(args).env(words(config.env())).cwd(cwd);
    process.build().context("reading its configuration")
}

/// The name under which a snapshot of these layers is kept (image-spec, "Layer ChainID").
fn chain_id(diff_ids: &[String]) -> String {
    let chain = |chain: String, next: &String| {
        let digest = Sha256::digest(format!("{chain} {next}"));
        format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let mut layers = diff_ids.iter();
    let first = layers.next().cloned().unwrap_or_default();
    layers.fold(first, chain)
}

/// The name as it is, and as Docker's users mean it.
fn full_names(name: &str) -> Vec<String> {
    let docker = match name.split_once('/') {
        None => Some(format!("docker.io/library/{name}")),
        Some((domain, _)) if domain.contains(['.', ':']) || domain == "localhost" => None,
        Some(_) => Some(format!("docker.io/{name}")),
    };
    std::iter::once(name.to_owned()).chain(docker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_of_one_layer_is_its_own_name_and_of_two_a_digest() {
        assert_eq!(chain_id(&["sha256:a".to_owned()]), "sha256:a");
        let two = chain_id(&["sha256:a".to_owned(), "sha256:b".to_owned()]);
        assert_eq!(two.len(), "sha256:".len() + 64);
        assert_ne!(two, chain_id(&["sha256:b".to_owned(), "sha256:a".to_owned()]));
    }

    #[test]
    fn modules_are_found_by_their_content_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(root.join("lib/a"), b"\0asm\x01\0\0\0").unwrap();
        std::fs::write(root.join("text.wasm"), "no module").unwrap();
        std::fs::write(root.join("lib/notes.wat"), "no module").unwrap();
        std::fs::write(root.join("lib/lisp"), "(module)").unwrap();
        std::fs::write(root.join("lib/b.wat"), "\n(module)").unwrap();
        std::fs::write(dir.path().join("outside"), b"\0asm\x01\0\0\0").unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        let mut names: Vec<_> = modules_below(&root)
            .into_iter()
            .map(|found| match found {
                Candidate::File { name, .. } => name,
                Candidate::Layer { digest, .. } => digest,
            })
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["/lib/a", "/lib/b.wat"]);
    }

    #[test]
    fn a_short_name_is_dockers() {
        assert_eq!(full_names("hello:1"), ["hello:1", "docker.io/library/hello:1"]);
        assert_eq!(full_names("me/hello:1"), ["me/hello:1", "docker.io/me/hello:1"]);
        assert_eq!(full_names("localhost:5000/hello"), ["localhost:5000/hello"]);
    }
}
