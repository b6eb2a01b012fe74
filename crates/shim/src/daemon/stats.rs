//! Stats are what the kernel's cgroups say about a container's use of the machine, in containerd's messages.

use anyhow::Result;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use super::event::any;
use super::stats_files::Files;
use super::{stats_v1, stats_v2};
use crate::cgroup::Cgroup;

/// Reads everything there is; a controller that the machine lacks counts nothing.
pub(super) fn collect(cgroup: &Cgroup) -> Result<Any> {
    match cgroup {
        Cgroup::V1(_) => any(&stats_v1::collect(cgroup)),
        Cgroup::V2(dir) => any(&stats_v2::collect(&Files(Some(dir.clone())))),
    }
}
