//! `wasmedge-node-installer`: makes a Kubernetes node run WebAssembly pods, and takes it back.
//!
//! It runs in a pod of the chart in `deploy/chart`, or by hand on a node. What it does to the node is a list of
//! [steps](install), each of which can be undone; what was there before is [recorded](record) on the node.

#![forbid(unsafe_code)]

mod attend;
mod cluster;
mod containerd;
mod effective;
mod enter;
mod host;
mod install;
mod layout;
mod payload;
mod place;
mod record;
mod registration;
mod report;
mod restart;
mod retire;
mod retry;
mod settings;
mod undo;
mod uninstall;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Makes a Kubernetes node run WebAssembly pods under WasmEdge, and takes it back.
#[derive(Debug, Parser)]
#[command(name = "wasmedge-node-installer", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put the runtime on the node, have containerd know it, run a Wasm container, label the node
    Install(install::Install),
    /// Take it all away again; the node is then as it was
    Uninstall(uninstall::Uninstall),
    /// Wait for the end of the pod, and uninstall if its DaemonSet no longer wants this node
    Attend(attend::Attend),
    /// Remove the DaemonSet, wait until every node is as it was (before `helm uninstall` removes the rest)
    Retire(retire::Retire),
    /// Run a program in the mount namespace of the node's first process
    #[command(hide = true)]
    Enter(enter::Enter),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Install(install) => install.run(),
        Verb::Uninstall(uninstall) => uninstall.run(),
        Verb::Attend(attend) => attend.run(),
        Verb::Retire(retire) => retire.run(),
        Verb::Enter(enter) => enter.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasmedge-node-installer: {}", report::in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}
