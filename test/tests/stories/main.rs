//! The stories: what a user does with a shim, a daemon or the engine, and what must come of it. Each
//! drives the real binaries; see the harness for where they come from.

#![expect(clippy::unwrap_used, reason = "a story fails by panicking")]

mod ahead_of_time;
mod bad_input;
mod beside_runc;
mod compose;
mod concurrency;
mod confinement;
mod cri;
mod ctr;
mod dist;
mod docker;
mod engine_cli;
mod exec;
mod exit_codes;
mod hooks;
mod images;
mod installer;
mod lifecycle;
mod limits;
mod logs;
mod native;
mod output;
mod pause;
mod pressure;
mod setting;
mod sockets;
mod survival;
mod task_api;
mod terminal;

/// Signals by their numbers, as the task API and exit statuses have them.
mod signal {
    pub(crate) const INT: u32 = 2;
    pub(crate) const QUIT: u32 = 3;
    pub(crate) const KILL: u32 = 9;
    pub(crate) const SEGV: u32 = 11;
    pub(crate) const TERM: u32 = 15;
}
