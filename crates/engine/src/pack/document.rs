//! The documents of an image: its configuration and manifest, as the OCI image specification has them.
//!
//! They are written as plain JSON values with sorted keys, since a reproducible image must not depend
//! on the order of a hash map.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{DEFAULT_ENTRYPOINT, Settings};

/// The media type of a layer that is a root filesystem.
pub(super) const TAR_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of a manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The CNCF Wasm working group's, see its "Wasm OCI artifact layout".
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Every image was created then, so that the same input makes the same image.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Bytes that are addressed by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
    /// SHA-256 in hexadecimal, without the algorithm's name.
    pub(super) hash: String,
}

/// An operating system and an architecture, as `os/arch` or `os/arch/variant`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// An image: its layers, and the configuration and the manifest made for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) platform: Platform,
    pub(super) layers: Vec<Blob>,
    pub(super) config: Blob,
    pub(super) manifest: Blob,
}

impl Image {
    /// An image with an ordinary configuration, a layer of files and a layer that is the module.
    pub(super) fn with_root_filesystem(
        platform: Platform,
        settings: &Settings,
        files: Option<Blob>,
        module: Option<Blob>,
    ) -> Self {
        // Only what is unpacked counts here: containerd compares the number with that of the tar layers.
        let diff_ids: Vec<_> = files.iter().map(Blob::digest).collect();
        let mut config = platform.to_json();
        config.insert("created".to_owned(), json!(CREATED));
        config.insert("config".to_owned(), settings.to_json());
        config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
        let layers = files.into_iter().chain(module).collect();
        Self::new(platform, layers, CONFIG, config.into())
    }

    /// A CNCF Wasm artifact.
    pub(super) fn artifact(platform: Platform, module: Blob) -> Self {
        let mut config = platform.to_json();
        config.insert("created".to_owned(), json!(CREATED));
        config.insert("layerDigests".to_owned(), json!([module.digest()]));
        Self::new(platform, vec![module], WASM_CONFIG, config.into())
    }

    /// Whether Docker's own image store can hold it: it knows nothing but root filesystems.
    pub(super) fn has_only_files(&self) -> bool {
        self.layers.iter().all(|layer| layer.media_type == TAR_LAYER)
    }

    fn new(platform: Platform, layers: Vec<Blob>, config_type: &'static str, config: Value) -> Self {
        let config = Blob::new(config_type, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = Blob::new(MANIFEST, manifest.to_string().into_bytes());
        Self { platform, layers, config, manifest }
    }
}

impl Blob {
    pub(super) fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let hash = format!("{:x}", Sha256::digest(&bytes));
        Self { media_type, bytes, hash }
    }

    pub(super) fn digest(&self) -> String {
        format!("sha256:{}", self.hash)
    }

    pub(super) fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len() })
    }
}

impl Settings {
    /// The `config` part of an image configuration; what is not set is not there.
    fn to_json(&self) -> Value {
        let mut config = Map::new();
        let entrypoint = match self.entrypoint.as_slice() {
            [] => json!([DEFAULT_ENTRYPOINT]),
            given => json!(given),
        };
        config.insert("Entrypoint".to_owned(), entrypoint);
        for (key, values) in [("Cmd", &self.cmd), ("Env", &self.env)] {
            if !values.is_empty() {
                config.insert(key.to_owned(), json!(values));
            }
        }
        for (key, value) in [("WorkingDir", &self.workdir), ("User", &self.user)] {
            if let Some(value) = value {
                config.insert(key.to_owned(), json!(value));
            }
        }
        config.into()
    }
}

impl Platform {
    /// What an image for this machine says, so that Docker and containerd pick it unasked.
    pub(super) fn native() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// What an image says that runs wherever there is an engine for it.
    pub(super) fn wasm() -> Self {
        Self { os: "wasip1".to_owned(), architecture: "wasm".to_owned(), variant: None }
    }

    /// As a descriptor and a configuration have it.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("os".to_owned(), json!(self.os));
        fields.insert("architecture".to_owned(), json!(self.architecture));
        if let Some(variant) = &self.variant {
            fields.insert("variant".to_owned(), json!(variant));
        }
        fields
    }
}

impl FromStr for Platform {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err("not of the form OS/ARCH, such as wasip1/wasm or linux/amd64"),
        };
        if parts.contains(&"") {
            return Err("a part is empty");
        }
        Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
