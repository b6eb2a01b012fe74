//! `-info`: tells containerd what runtime this is and what it can do, as a protobuf message.

use anyhow::{Context, Result};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use serde_json::json;

use crate::RUNTIME_NAME;

/// containerd's name for the runtime specification's features (its pkg/oci and core/runtime register it).
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// The encoded `containerd.types.RuntimeInfo`.
pub(crate) fn info() -> Result<Vec<u8>> {
    let version = RuntimeVersion { version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    let features = Any { type_url: FEATURES.to_owned(), value: features(), ..Default::default() };
    let info = RuntimeInfo {
        name: RUNTIME_NAME.to_owned(),
        version: MessageField::some(version),
        features: MessageField::some(features),
        ..Default::default()
    };
    info.write_to_bytes().context("encoding the runtime's description")
}

/// What a client asks about before it asks for it (runtime-spec, features.md). The kubelet asks for user namespaces with
/// volumes only where `idmap` is enabled, and for mounts that are read-only all the way down only with `rro`.
fn features() -> Vec<u8> {
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.1",
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": ["bind", "idmap", "nodev", "noexec", "nosuid", "private", "rbind", "ridmap", "ro", "rprivate",
            "rro", "rrw", "rshared", "rslave", "rw", "shared", "slave"],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "mountExtensions": { "idmap": { "enabled": true } },
        },
    });
    features.to_string().into_bytes()
}
