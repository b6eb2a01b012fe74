//! The cache: native code on a node's disk, made from modules, found by what it was made from.
//!
//! An artifact is executed, so the cache is a matter of trust: a directory that only its owner (root) can write,
//! entries whose name is a digest of all that went into them, written whole or not at all, and looked at again
//! before they are given out.
//!
//! ```text
//! /var/cache/containerd-shim-wasmedge/       0700
//!     <key>.so                               0444, the artifact: a native shared object
//!     <key>.json                             0444, what it is: a Description
//!     <key>.new                              being made; locked by whoever makes it
//!     turn-<n>                               locked by whoever runs the node's compiler number n
//! ```
//!
//! An artifact that is removed while containers run it stays on the disk, and one copy of it in memory, until the
//! last of them ends: a mapping holds the file. So eviction needs no knowledge of who uses what.

#![forbid(unsafe_code)]

mod description;
mod draft;
mod entry;
mod eviction;
mod features;
mod key;
mod removal;
mod store;
mod turn;

pub use description::Description;
pub use draft::Draft;
pub use entry::{Artifact, Fault};
pub use eviction::{Evicted, Pruned};
pub use features::cpu_features;
pub use key::{Digest, Ingredients, Key};
pub use store::{Cache, CacheError, Damaged, Listed};
pub use turn::Turn;

/// Where a node's cache is if nobody says otherwise.
pub const DEFAULT_DIRECTORY: &str = "/var/cache/containerd-shim-wasmedge";
/// How many bytes of artifacts a node keeps if nobody says otherwise: 4 GiB.
pub const DEFAULT_SIZE_LIMIT: u64 = 4 << 30;
