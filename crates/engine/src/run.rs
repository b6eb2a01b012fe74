//! `wasmedge-engine run`: tries a module without containerd, as the user who calls it.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use wasmedge_messages::{Failure, Mode};

use crate::guest::{Guest, NativeCode, Source};
use crate::module::{Limits, split_entrypoint};
use crate::vm::{Vm, Wasi};

/// Run a module, unconfined, and exit as it does.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without --dir the module sees no file; without --env no environment.")]
pub struct Run {
    /// The module (binary or .wat), or MODULE#FUNC to call an export instead of _start
    #[arg(value_name = "MODULE[#FUNC]")]
    module: String,
    /// Arguments of the guest
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
    /// Set an environment variable of the guest (repeatable)
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Run this native code of the module, made by `compile`
    #[arg(long, hide = true, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// Let the guest see a directory, under the same or another name (repeatable)
    #[arg(long, short, value_name = "HOST[:GUEST]")]
    dir: Vec<String>,
}

/// Runs it and returns the status to exit with.
///
/// # Errors
/// When the module cannot be read, loaded or instantiated.
pub fn run(run: Run) -> Result<i32> {
    let whole = PathBuf::from(&run.module);
    let (path, function) = match split_entrypoint(&run.module) {
        (path, function) if !whole.exists() => (PathBuf::from(path), function),
        _ => (whole, None),
    };
    if let Some(pair) = run.env.iter().find(|pair| !pair.contains('=')) {
        bail!("--env {pair}: expected NAME=VALUE");
    }
    let file = File::open(&path).with_context(|| format!("{}", path.display()))?;
    let vm = Vm::prepare().context("setting up WasmEdge")?;
    let natively = run.artifact.is_some();
    let told = |failure: Failure| anyhow::Error::new(failure);
    let native = run.artifact.map(|artifact| NativeCode::for_file(&path, &artifact)).transpose()?;
    let source = Source::File { path, file };
    let mut guest = Guest::load(vm, source, native, function, Limits::default()).map_err(told)?;
    if let (true, Mode::Interpreted { why }) = (natively, guest.mode()) {
        eprintln!("wasmedge-engine: interpreted: {why}");
    }
    let preopens = run.dir.iter().map(|dir| preopen(dir)).collect();
    let args = std::iter::once(run.module.clone()).chain(run.args).collect();
    guest.instantiate(&Wasi { args, env: run.env, preopens }).map_err(told)?;
    Ok(guest.run().report())
}

/// WasmEdge wants `guest:host`, people write `host:guest`.
fn preopen(dir: &str) -> String {
    match dir.split_once(':') {
        Some((host, guest)) => format!("{guest}:{host}"),
        None => format!("{dir}:{dir}"),
    }
}
