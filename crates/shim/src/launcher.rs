//! `wasmedge-engine`: a launcher, which becomes the engine with the C library and the loader that came with it.
//!
//! What needs no WasmEdge it does itself: `cache` and `ps`.

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use containerd_shim_wasmedge::engine::Engine;
use containerd_shim_wasmedge::{cache, ps};

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("cache", rest)) => cache::run(rest),
        Some(("ps", rest)) => ps::run(rest),
        _ => return become_engine(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmedge-engine: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn become_engine() -> ExitCode {
    let error = match Engine::locate() {
        Ok(engine) => engine.command().args(std::env::args_os().skip(1)).exec().into(),
        Err(error) => error,
    };
    eprintln!("wasmedge-engine: {error:#}");
    ExitCode::from(127)
}
