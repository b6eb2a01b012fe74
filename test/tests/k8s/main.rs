//! Stories of a Kubernetes cluster whose node `wasm` has the runtime: what its users do, with kubectl and manifests as
//! they write them. `make test-k8s` runs them, all on one cluster.

#![expect(clippy::unwrap_used, reason = "a story fails by panicking")]

mod chart;
mod failures;
mod install;
mod kubectl;
mod lifecycle;
mod network;
mod pods;
mod probes;
mod readme;
mod resources;
mod restarts;
mod security;
mod volumes;
mod workloads;
