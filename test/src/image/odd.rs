//! An odd image: an OCI archive with whatever layers, such as no builder makes.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The media type of a layer that is a module.
pub const WASM_LAYER: &str = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm";

/// An image of any layers, its entrypoint `/app.wasm`.
#[derive(Debug, Default)]
pub struct OddImage {
    layers: Vec<(String, Vec<u8>)>,
}

impl OddImage {
    /// An image with no layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer.
    pub fn layer(mut self, media_type: &str, bytes: &[u8]) -> Self {
        self.layers.push((media_type.to_owned(), bytes.to_vec()));
        self
    }

    /// Writes its archive into that directory, under a name.
    pub fn pack(&self, directory: &Path, name: &str) -> PathBuf {
        let config = json!({
            "architecture": "wasm", "os": "wasip1", "config": { "Entrypoint": ["/app.wasm"] },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let config = Blob::new("application/vnd.oci.image.config.v1+json", config.to_string().into_bytes());
        let layers: Vec<_> = self.layers.iter().map(|(kind, bytes)| Blob::new(kind, bytes.clone())).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor(), "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest =
            Blob::new("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes());
        let mut entry = manifest.descriptor();
        entry["annotations"] = json!({ "io.containerd.image.name": name });
        entry["platform"] = json!({ "architecture": "wasm", "os": "wasip1" });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] });

        let path = directory.join(format!("{}.tar", name.replace(['/', ':'], "-")));
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        append(&mut archive, "index.json", index.to_string().as_bytes());
        for blob in layers.iter().chain([&config, &manifest]) {
            append(&mut archive, &format!("blobs/sha256/{}", blob.hash), &blob.bytes);
        }
        archive.finish().unwrap();
        path
    }
}

struct Blob {
    media_type: String,
    hash: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { media_type: media_type.to_owned(), hash, bytes }
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": format!("sha256:{}", self.hash), "size": self.bytes.len() })
    }
}

fn append(archive: &mut tar::Builder<File>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, bytes).unwrap();
}
