//! Costs: who has used how much processor time.

use std::fmt;
use std::ops::Sub;
use std::time::Duration;

use wasmedge_shim_tests::Cluster;

use super::NODE;

/// Processor time of all that have to do with a pod.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Costs {
    /// etcd, the API server, the controllers, the scheduler.
    pub(super) control: Duration,
    pub(super) kubelet: Duration,
    /// With all that it starts: the network's plugins, the shims, runc.
    pub(super) containerd: Duration,
    pub(super) pods: Duration,
}

impl Costs {
    /// Since these processes began.
    pub(super) fn until_now(cluster: &Cluster) -> Self {
        let cell = cluster.node(NODE).cell();
        Self {
            control: cluster.control().cell().usage().cpu,
            kubelet: cell.usage_of("kubelet").cpu,
            containerd: cell.usage_of("containerd").cpu,
            pods: cell.usage_of("kubepods").cpu,
        }
    }

    /// Of all of them.
    pub(super) fn total(&self) -> Duration {
        self.control + self.kubelet + self.containerd + self.pods
    }
}

impl Sub for Costs {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            control: self.control - before.control,
            kubelet: self.kubelet - before.kubelet,
            containerd: self.containerd - before.containerd,
            // Those of a pod go with its cgroup.
            pods: self.pods.saturating_sub(before.pods),
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [control, kubelet, containerd, pods] =
            [self.control, self.kubelet, self.containerd, self.pods].map(|time| time.as_secs_f64());
        write!(
            f,
            "processor time: control plane {control:.1} s, kubelet {kubelet:.1} s, containerd {containerd:.1} s, pods {pods:.1} s"
        )
    }
}
