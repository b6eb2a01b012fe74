//! An archive: the tar in which an image travels.
//!
//! ```text
//! oci-layout                 says that this is an OCI image layout
//! index.json                 the manifest, once for each name
//! manifest.json              the same for Docker; only if its own store can hold the image
//! blobs/sha256/<hash>        manifest, configuration and layers
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::document::{Blob, Image};
use super::reference::Reference;

/// The annotation by which containerd names an image that it imports.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The specification's annotation for the same, which holds only a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The files of an archive, in their order.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    documents: Vec<(&'static str, Vec<u8>)>,
    blobs: BTreeMap<&'a str, &'a [u8]>,
    manifest: &'a Blob,
}

impl<'a> Archive<'a> {
    /// The archive of one image under all its names.
    pub(super) fn new(image: &'a Image, names: &[Reference]) -> Self {
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        let mut documents = vec![("oci-layout", layout), ("index.json", index(image, names))];
        if image.has_only_files() {
            documents.push(("manifest.json", docker_manifest(image, names)));
        }
        // Sorted, and each once: two layers may be the same bytes.
        let blobs = image.layers.iter().chain([&image.config, &image.manifest]);
        Self {
            documents: documents
                .into_iter()
                .map(|(name, json)| (name, json.to_string().into_bytes()))
                .collect(),
            blobs: blobs.map(|blob| (blob.hash.as_str(), blob.bytes.as_slice())).collect(),
            manifest: &image.manifest,
        }
    }

    /// What identifies the image in a registry.
    pub(super) fn manifest_digest(&self) -> String {
        self.manifest.digest()
    }

    /// Writes it all.
    pub(super) fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        let mut tar = Builder::new(output);
        for (name, bytes) in &self.documents {
            append(&mut tar, name, EntryType::Regular, bytes)?;
        }
        append(&mut tar, "blobs/", EntryType::Directory, &[])?;
        append(&mut tar, "blobs/sha256/", EntryType::Directory, &[])?;
        for (hash, bytes) in &self.blobs {
            append(&mut tar, &path(hash), EntryType::Regular, bytes)?;
        }
        tar.into_inner()?.flush()
    }
}

fn index(image: &Image, names: &[Reference]) -> Value {
    let manifests = names.iter().map(|name| {
        let mut descriptor = image.manifest.descriptor();
        descriptor["platform"] = image.platform.to_json().into();
        descriptor["annotations"] = json!({ CONTAINERD_NAME: name.to_string(), REF_NAME: name.tag() });
        descriptor
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests.collect::<Vec<_>>(),
    })
}

/// What `docker load` reads if it does not know the image layout.
fn docker_manifest(image: &Image, names: &[Reference]) -> Value {
    json!([{
        "Config": path(&image.config.hash),
        "RepoTags": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Layers": image.layers.iter().map(|layer| path(&layer.hash)).collect::<Vec<_>>(),
    }])
}

fn path(hash: &str) -> String {
    format!("blobs/sha256/{hash}")
}

fn append(tar: &mut Builder<&mut dyn Write>, path: &str, kind: EntryType, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}
