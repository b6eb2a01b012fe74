//! `-info`: tells containerd what runtime this is, as a protobuf message.

use anyhow::{Context, Result};
use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

use crate::RUNTIME_NAME;

/// The encoded `containerd.types.RuntimeInfo`.
pub(crate) fn info() -> Result<Vec<u8>> {
    let version = RuntimeVersion { version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    RuntimeInfo { name: RUNTIME_NAME.to_owned(), version: MessageField::some(version), ..Default::default() }
        .write_to_bytes()
        .context("encoding the runtime's description")
}
