//! `wasmedge-engine run`: tries a module without containerd, as the user who calls it.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use wasmedge_messages::{Failure, Mode};

use crate::guest::{Guest, NativeCode, NotStarted, Outcome, Source};
use crate::module::{Limits, split_entrypoint};
use crate::shown;
use crate::vm::{Vm, Wasi};

/// Run a module, unconfined, and exit as it does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --dir the module sees no file; without --env no environment.")]
pub struct Run {
    /// The module (binary or .wat), or MODULE#FUNC to call an export instead of _start; then the guest's arguments
    #[arg(value_names = ["MODULE[#FUNC]", "ARGS"], num_args = 1.., required = true, trailing_var_arg = true)]
    command: Vec<String>,
    /// Set an environment variable of the guest (repeatable)
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = assignment)]
    env: Vec<String>,
    /// Run this native code of the module, made by `compile`
    #[arg(long, hide = true, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// Let the guest see a directory, under the same or another name (repeatable)
    #[arg(long, short, value_name = "HOST[:GUEST]", value_parser = preopen)]
    dir: Vec<String>,
}

/// Runs it and returns the status to exit with.
///
/// # Errors
/// When the module cannot be read, loaded or instantiated.
pub fn run(run: Run) -> Result<i32> {
    let module = run.command.first().context("no module is named")?;
    let whole = PathBuf::from(module);
    let (path, function) = match split_entrypoint(module) {
        (path, function) if !whole.exists() => (PathBuf::from(path), function),
        _ => (whole, None),
    };
    let file = File::open(&path).with_context(|| format!("{}", path.display()))?;
    let vm = Vm::prepare().context("setting up WasmEdge")?;
    let natively = run.artifact.is_some();
    let told = |failure: Failure| anyhow::Error::msg(shown::message(&failure.message));
    let native = run.artifact.map(|artifact| NativeCode::for_file(&path, &artifact)).transpose()?;
    let source = Source::File { path, file };
    let mut guest = Guest::load(vm, source, native, function, Limits::default()).map_err(told)?;
    if let (true, Mode::Interpreted { why }) = (natively, guest.mode()) {
        eprintln!("wasmedge-engine: interpreted: {why}");
    }
    match guest.instantiate(&Wasi { args: run.command, env: run.env, preopens: run.dir }) {
        Ok(()) => Ok(guest.run().report()),
        Err(NotStarted::Exited(code)) => Ok(Outcome::Exited(code).report()),
        Err(NotStarted::Failed(failure)) => Err(told(failure)),
    }
}

fn assignment(pair: &str) -> Result<String, &'static str> {
    match pair.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(pair.to_owned()),
        _ => Err("expected NAME=VALUE"),
    }
}

/// WasmEdge wants `guest:host`, people write `host:guest`.
fn preopen(dir: &str) -> Result<String, String> {
    let (host, guest) = dir.split_once(':').unwrap_or((dir, dir));
    std::fs::read_dir(host).map_err(|error| format!("{host}: {error}"))?;
    Ok(format!("{guest}:{host}"))
}
