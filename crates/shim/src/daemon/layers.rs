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
pub(super) struct Layer {
    pub(super) digest: String,
    /// A sealed memory file, verified.
    pub(super) module: OwnedFd,
}

/// What an image's name, an index or a manifest points at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
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
pub(super) struct Document {
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

impl Descriptor {
    pub(super) fn new(media_type: String, digest: String, size: u64) -> Self {
        Self { media_type, digest, size, platform: None }
    }

    fn is_for_wasm(&self) -> bool {
        self.platform.as_ref().is_some_and(|platform| {
            platform.architecture == "wasm" || matches!(platform.os.as_str(), "wasip1" | "wasi" | "wasip2")
        })
    }
}

/// Where to look next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// In this manifest.
    Manifest(Descriptor),
    /// Here: this layer is the module.
    Module(Descriptor),
    /// Nowhere, it is an image of files.
    Nowhere,
}

impl Document {
    /// An index leads to its Wasm manifest, or to the only one that it has; a manifest to its module layer. Two
    /// module layers are an error.
    pub(super) fn next(self) -> Result<Next> {
        if let Some(manifests) = self.manifests {
            let only = (manifests.len() == 1).then(|| manifests[0].clone());
            let wasm = manifests.into_iter().find(Descriptor::is_for_wasm);
            return Ok(wasm.or(only).map_or(Next::Nowhere, Next::Manifest));
        }
        let mut modules = self.layers.into_iter().filter(|layer| MODULE.contains(&layer.media_type.as_str()));
        let Some(module) = modules.next() else { return Ok(Next::Nowhere) };
        let more = modules.count();
        ensure!(
            more == 0,
            "the image has {} layers that are a Wasm module; there must be one, with what it links to linked in",
            more + 1
        );
        Ok(Next::Module(module))
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
            assert_eq!(found, Next::Module(Descriptor::new(media_type.into(), "sha256:a".into(), 9)));
        }
    }

    #[test]
    fn an_image_of_files_has_no_module_layer() {
        let tar = layer("application/vnd.oci.image.layer.v1.tar+gzip", "sha256:a");
        assert_eq!(next(&format!(r#"{{"layers":[{tar}]}}"#)).unwrap(), Next::Nowhere);
    }

    #[test]
    fn two_module_layers_are_refused() {
        let layers = [layer("application/wasm", "sha256:a"), layer("application/wasm", "sha256:b")].join(",");
        let error = next(&format!(r#"{{"layers":[{layers}]}}"#)).unwrap_err().to_string();
        assert!(error.contains("2 layers"), "{error}");
    }

    #[test]
    fn an_index_leads_to_its_wasm_manifest_or_to_its_only_one() {
        let of = |os: &str, architecture: &str, digest: &str| {
            format!(r#"{{"digest":"{digest}","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#)
        };
        let digest =
            |manifests: &[String]| match next(&format!(r#"{{"manifests":[{}]}}"#, manifests.join(","))) {
                Ok(Next::Manifest(descriptor)) => Some(descriptor.digest),
                _ => None,
            };
        let (linux, wasm, unknown) =
            (of("linux", "amd64", "l"), of("wasip1", "wasm", "w"), of("unknown", "unknown", "u"));
        assert_eq!(digest(&[linux.clone(), wasm, unknown.clone()]), Some("w".into()));
        assert_eq!(digest(std::slice::from_ref(&linux)), Some("l".into()));
        assert_eq!(digest(&[linux, unknown]), None);
    }
}
