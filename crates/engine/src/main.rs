//! `wasmedge-engine`: the zygote behind the shim, and a tool to try modules and to make images of them.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wasmedge_engine::{compile, pack, run, zygote};

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
    /// Look after the native code that modules of this node were compiled to
    // Done by the launcher, which needs no WasmEdge for it; here only for the list of verbs.
    #[command(disable_help_flag = true)]
    Cache {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// List the Wasm processes of this node's containers, and how each is run
    #[command(disable_help_flag = true)]
    Ps {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    #[command(hide = true)]
    Compile(compile::Compile),
    /// Serve the shim daemon (started by it, with its channel as descriptor 3)
    #[command(hide = true)]
    Zygote,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            let printed = answer.print().and_then(|()| std::io::stdout().flush());
            return ExitCode::from(if printed.is_ok() { answer.exit_code() as u8 } else { 1 });
        }
    };
    let done = match cli.verb {
        Verb::Run(run) => run::run(run),
        Verb::Pack(pack) => pack.run().map(|()| 0),
        Verb::Cache { .. } | Verb::Ps { .. } => {
            Err(anyhow::anyhow!("cache and ps take the installed wasmedge-engine"))
        }
        Verb::Compile(compile) => compile::run(&compile),
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
