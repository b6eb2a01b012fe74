//! A module layer is a layer of an image that is the Wasm module itself instead of an archive of files.

use std::os::fd::OwnedFd;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// The media types of module layers.
const MODULE: [&str; 3] = [
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
];

/// A module that was fetched from containerd's store.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) digest: String,
    /// A sealed memory file, verified.
    pub(crate) module: OwnedFd,
}

/// What an image's name, an index or a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

/// An index or a manifest: OCI's and Docker's differ in nothing that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    config: Option<Descriptor>,
}

impl Descriptor {
    pub(crate) fn new(media_type: String, digest: String, size: u64) -> Self {
        Self { media_type, digest, size, platform: None }
    }

    fn is_for_wasm(&self) -> bool {
        self.platform.as_ref().is_some_and(|platform| {
            platform.architecture == "wasm" || matches!(platform.os.as_str(), "wasip1" | "wasi" | "wasip2")
        })
    }

    fn is_for_host(&self) -> bool {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let is_host = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
        self.platform.as_ref().is_some_and(is_host)
    }
}

/// What an image turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// A module.
    Module(Descriptor),
    /// Files, and this configuration.
    Files(Descriptor),
    /// Neither: its layers have these media types.
    Other(String),
    /// For no platform of ours, or not understood.
    Unknown,
}

/// Where to look next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// In this manifest.
    Manifest(Descriptor),
    /// Nowhere else.
    Found(Image),
}

impl Document {
    /// An index leads to its manifest for Wasm, for this machine, or to the only one that it has; a manifest to its
    /// module layer. Two module layers are an error.
    pub(crate) fn next(self) -> Result<Next> {
        if let Some(manifests) = self.manifests {
            let only = (manifests.len() == 1).then(|| manifests[0].clone());
            let host = manifests.iter().find(|manifest| manifest.is_for_host()).cloned();
            let wasm = manifests.into_iter().find(Descriptor::is_for_wasm);
            return Ok(wasm.or(host).or(only).map_or(Next::Found(Image::Unknown), Next::Manifest));
        }
        let types: Vec<_> = self.layers.iter().map(|layer| layer.media_type.clone()).collect();
        let mut modules = self.layers.into_iter().filter(|layer| MODULE.contains(&layer.media_type.as_str()));
        let Some(module) = modules.next() else {
            let are_files = types.is_empty() || types.iter().any(|kind| kind.contains(".tar"));
            return Ok(Next::Found(match self.config {
                _ if !are_files => Image::Other(types.join(", ")),
                Some(config) => Image::Files(config),
                None => Image::Unknown,
            }));
        };
        let more = modules.count();
        ensure!(
            more == 0,
            "the image has {} layers that are a Wasm module; there must be one, with what it links to linked in",
            more + 1
        );
        Ok(Next::Found(Image::Module(module)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str) -> Result<Next> {
        serde_json::from_str::<Document>(text).unwrap().next()
    }

    fn layer(media_type: &str, digest: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":9}}"#)
    }

    #[test]
    fn each_of_the_media_types_is_a_module() {
        for media_type in MODULE {
            let found = next(&format!(r#"{{"layers":[{}]}}"#, layer(media_type, "sha256:a"))).unwrap();
            let module = Descriptor::new(media_type.into(), "sha256:a".into(), 9);
            assert_eq!(found, Next::Found(Image::Module(module)));
        }
    }

    #[test]
    fn an_image_of_files_has_no_module_layer() {
        let tar = layer("application/vnd.oci.image.layer.v1.tar+gzip", "sha256:a");
        let (config, unknown) =
            (Descriptor::new(String::new(), "sha256:c".into(), 0), Next::Found(Image::Unknown));
        let files = next(&format!(r#"{{"config":{{"digest":"sha256:c"}},"layers":[{tar}]}}"#)).unwrap();
        assert_eq!(files, Next::Found(Image::Files(config)));
        assert_eq!(next(&format!(r#"{{"layers":[{tar}]}}"#)).unwrap(), unknown);
        let text = layer("text/plain", "sha256:a");
        let other = next(&format!(r#"{{"config":{{"digest":"sha256:c"}},"layers":[{text}]}}"#)).unwrap();
        assert_eq!(other, Next::Found(Image::Other("text/plain".to_owned())));
    }

    #[test]
    fn two_module_layers_are_refused() {
        let layers = [layer("application/wasm", "sha256:a"), layer("application/wasm", "sha256:b")].join(",");
        let error = next(&format!(r#"{{"layers":[{layers}]}}"#)).unwrap_err().to_string();
        assert!(error.contains("2 layers"), "{error}");
    }

    #[test]
    fn an_index_leads_to_its_wasm_manifest_the_hosts_or_its_only_one() {
        let of = |os: &str, architecture: &str, digest: &str| {
            format!(r#"{{"digest":"{digest}","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#)
        };
        let digest =
            |manifests: &[String]| match next(&format!(r#"{{"manifests":[{}]}}"#, manifests.join(","))) {
                Ok(Next::Manifest(descriptor)) => Some(descriptor.digest),
                _ => None,
            };
        let (other, wasm, unknown) =
            (of("linux", "mips", "m"), of("wasip1", "wasm", "w"), of("unknown", "unknown", "u"));
        let hosts = ["amd64", "arm64"].map(|architecture| of("linux", architecture, architecture));
        assert_eq!(digest(&[hosts[0].clone(), wasm, unknown.clone()]), Some("w".into()));
        assert!(digest(&[vec![other.clone()], hosts.to_vec()].concat()).is_some());
        assert_eq!(digest(std::slice::from_ref(&other)), Some("m".into()));
        assert_eq!(digest(&[other, unknown]), None);
    }
}
