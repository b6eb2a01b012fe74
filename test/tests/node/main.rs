//! The node's stories: what a user of an ordinary Debian does with the tarball unpacked into `/usr/local`, the
//! containerd and Docker that systemd started, and cgroup version 2. `make test-node` runs them in a virtual machine
//! of their own, since they restart its services; elsewhere they fail.

#![expect(clippy::unwrap_used, reason = "a story fails by panicking")]

mod cgroupfs;
mod containerd;
mod docker;
mod figures;
mod installer;
mod limits;
mod node;
mod restarts;
mod scopes;
