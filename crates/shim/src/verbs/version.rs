//! `-v`: says which version this is.

/// The version, as containerd's own shims print it.
pub(crate) fn version() -> String {
    format!("containerd-shim-wasmedge-v1:\n  Version:  {}\n", env!("CARGO_PKG_VERSION"))
}
