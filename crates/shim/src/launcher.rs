//! `wasmedge-engine`: a launcher, which becomes the engine with the C library and the loader that came with it.
//!
//! One verb it does itself: `cache`, which needs no WasmEdge.

#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use containerd_shim_wasmedge::{cache, engine::Engine};

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(("cache", rest)) = words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        return match cache::run(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("wasmedge-engine: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let error = match Engine::locate() {
        Ok(engine) => engine.command().args(std::env::args_os().skip(1)).exec().into(),
        Err(error) => error,
    };
    eprintln!("wasmedge-engine: {error:#}");
    ExitCode::from(127)
}
