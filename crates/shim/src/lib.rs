//! The containerd-facing half of the Wasm runtime: the verbs that containerd executes and the daemon that it talks to.
//!
//! Nothing in this crate loads WasmEdge, runs a guest or looks into a module.

#![forbid(unsafe_code)]

#[cfg(test)]
mod alone;
mod answer;
mod bootstrap;
mod bundle;
pub mod cache;
mod cgroup;
mod compiler;
mod content;
mod daemon;
pub mod engine;
mod entrypoint;
mod failure;
mod invocation;
mod kernel_log;
mod known_capabilities;
mod limits;
mod member;
mod modules;
mod options;
mod own_thread;
mod program;
pub mod ps;
mod remains;
mod rendezvous;
mod sandbox;
mod settings;
mod turns;
mod verbs;
mod waiters;

pub use verbs::run;

/// The runtime's name, as containerd's and Docker's users write it.
pub const RUNTIME_NAME: &str = "io.containerd.wasmedge.v1";
