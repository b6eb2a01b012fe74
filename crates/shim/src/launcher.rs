//! `wasmedge-engine`: a launcher, which becomes the engine with the C library and the loader that came with it.

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use containerd_shim_wasmedge::engine::Engine;

fn main() -> ExitCode {
    let error = match Engine::locate() {
        Ok(engine) => engine.command().args(std::env::args_os().skip(1)).exec().into(),
        Err(error) => error,
    };
    eprintln!("wasmedge-engine: {error:#}");
    ExitCode::from(127)
}
