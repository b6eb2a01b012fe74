//! A poll: how a guest waits for its descriptors, with fewer system calls than WasmEdge makes for it.
//!
//! Each file replaces functions of libc, for everything in this process, with the same meaning. A request to a hyper
//! server costs 2 system calls and its share of a wait, as it does natively; with WasmEdge alone it was 11.

mod interest;
mod needless;
mod restart;
mod short_read;
mod size;
