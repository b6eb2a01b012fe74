//! The test harness: what drives the real binaries, and looks at what they leave behind.
//!
//! A story starts a [`MockContainerd`] (speaks the task API to the shim itself: fast), a real
//! [`Containerd`] or a [`Dockerd`]; each lives in a [`Cell`] of its own, so stories run side by side and
//! nothing outlives them. The daemons come from `build/parts`, the shim from `build/root`, the guests
//! from `wasmedge-test-guests`. What is missing fails the story by its name.
//!
//! The harness fails as tests do, by panicking.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a harness fails with its story, by panicking")]

mod captured;
mod cell;
mod cluster;
mod containerd;
mod cri;
mod dockerd;
mod finished;
mod image;
mod limit;
mod mock;
mod parts;
mod patience;
mod usage;

pub use captured::Captured;
pub use cell::Cell;
pub use cluster::{
    Cluster, ControlPlane, Namespace, Node, NodeSpec, PodManifest, Running, has_pause_containers,
};
pub use containerd::{Attached, Containerd, CriAlone, CtrRun};
pub use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
pub use containerd_shim_protos::{api, cgroups, cgroups_v2, protobuf, ttrpc};
pub use cri::{Cri, KeptContainer, KeptPod, Pod, PodContainer, PodPlan};
pub use dockerd::{Dockerd, Store};
pub use finished::{Finished, finish};
pub use image::{Image, OddImage, WASM_LAYER};
pub use limit::{Limit, has_cgroup_version_2};
pub use mock::{ApiVersion, Event, Exec, ExecBuilder, MockContainerd, Refusal, Task, TaskBuilder};
pub use parts::{docker_version, part, product, repository};
pub use patience::{DEADLINE, eventually, here};
pub use usage::Usage;
pub use wasmedge_test_guests as guests;
