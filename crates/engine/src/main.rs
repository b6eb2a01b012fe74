//! `wasmedge-engine`: the zygote behind the shim, and a tool to try modules and to make images of them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wasmedge_engine::{pack, run, zygote};

/// Runs WebAssembly modules under WasmEdge.
#[derive(Debug, Parser)]
#[command(name = "wasmedge-engine", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Pack(pack::Pack),
    /// Serve the shim daemon (started by it, with its channel as descriptor 3)
    #[command(hide = true)]
    Zygote,
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Run(run) => run::run(run),
        Verb::Pack(pack) => pack.run().map(|()| 0),
        Verb::Zygote => zygote::serve().map(|()| 0),
    };
    match done {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            eprintln!("wasmedge-engine: {error:#}");
            ExitCode::FAILURE
        }
    }
}
