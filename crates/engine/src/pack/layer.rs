//! A layer: the files of an image's root filesystem, as one tar.
//!
//! Everything belongs to root and was last changed at the beginning of time; directories that nobody
//! described are open to all, as `mkdir -p` makes them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};
use tar::{Builder, EntryType, Header};

const DIRECTORY_MODE: u32 = 0o755;
const MODULE_MODE: u32 = 0o755;

/// Files by their path in the image (relative, as tar wants it), parents before what they hold.
#[derive(Debug, Default)]
pub(super) struct Layer {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug)]
enum Entry {
    Directory { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Symlink { target: PathBuf },
}

impl Layer {
    /// Puts a file at `destination`, readable and executable for all.
    pub(super) fn file(&mut self, destination: &Path, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.insert(destination, Entry::File { mode: MODULE_MODE, bytes })
    }

    /// Puts the host's file or directory `source`, with all that it holds, at `destination`.
    pub(super) fn copy(&mut self, source: &Path, destination: &Path) -> anyhow::Result<()> {
        let metadata = fs::metadata(source)?;
        self.copy_as(source, destination, &metadata)
    }

    /// The tar, the same for the same files.
    pub(super) fn into_tar(self) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in self.entries {
            let mut header = Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            match entry {
                Entry::Directory { mode } => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(mode);
                    header.set_size(0);
                    // The slash at the end is how old readers know a directory.
                    tar.append_data(&mut header, path.join(""), io::empty())?;
                }
                Entry::File { mode, bytes } => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_mode(mode);
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, bytes.as_slice())?;
                }
                Entry::Symlink { target } => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    tar.append_link(&mut header, path, target)?;
                }
            }
        }
        tar.into_inner()
    }

    fn copy_as(&mut self, source: &Path, destination: &Path, metadata: &fs::Metadata) -> anyhow::Result<()> {
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_dir() {
            self.insert(destination, Entry::Directory { mode })?;
            for child in fs::read_dir(source)? {
                let child = child?;
                let path = child.path();
                self.copy_as(&path, &destination.join(child.file_name()), &child.metadata()?)
                    .with_context(|| format!("{}", path.display()))?;
            }
            return Ok(());
        }
        let entry = match metadata.file_type() {
            kind if kind.is_file() => Entry::File { mode, bytes: fs::read(source)? },
            kind if kind.is_symlink() => Entry::Symlink { target: fs::read_link(source)? },
            _ => bail!("neither a file nor a directory nor a symbolic link"),
        };
        self.insert(destination, entry)
    }

    fn insert(&mut self, destination: &Path, entry: Entry) -> anyhow::Result<()> {
        let path = relative(destination)?;
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            let above =
                self.entries.entry(parent.to_owned()).or_insert(Entry::Directory { mode: DIRECTORY_MODE });
            ensure!(
                matches!(above, Entry::Directory { .. }),
                "/{} is to be a file as well as a directory",
                parent.display()
            );
        }
        if path.as_os_str().is_empty() {
            ensure!(matches!(entry, Entry::Directory { .. }), "a file needs a name in the image, not /");
            return Ok(());
        }
        let replaced = self.entries.insert(path.clone(), entry);
        let (was, is) = (replaced.as_ref(), self.entries.get(&path));
        let mixed = was.is_some_and(Entry::is_directory) != is.is_some_and(Entry::is_directory);
        ensure!(was.is_none() || !mixed, "/{} is to be a file as well as a directory", path.display());
        Ok(())
    }
}

impl Entry {
    fn is_directory(&self) -> bool {
        matches!(self, Self::Directory { .. })
    }
}

/// The path below the image's root. An entrypoint may well be relative: to the root then.
fn relative(path: &Path) -> anyhow::Result<PathBuf> {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("{} leads upwards", path.display()),
        }
    }
    Ok(relative)
}
