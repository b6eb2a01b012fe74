//! `containerd-shim-wasmedge-v1`: the executable that containerd runs, once per verb.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    containerd_shim_wasmedge::run()
}
