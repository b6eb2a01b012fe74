//! The peer: the shim that the `containerd-shim-wasm` crate makes of a [`sandbox::WasmEdge`], nothing changed.
//!
//! containerd knows it as `io.containerd.wasmedgepeer.v1`. The benchmarks run it beside ours.

mod sandbox;

use containerd_shim_wasm::shim::{Cli, Shim, Version, version};

use sandbox::WasmEdge;

/// The shim, as runwasi wants it described.
struct Peer;

impl Shim for Peer {
    type Sandbox = WasmEdge;

    fn name() -> &'static str {
        "wasmedgepeer"
    }

    fn version() -> Version {
        version!()
    }
}

fn main() {
    Peer::run(None);
}
