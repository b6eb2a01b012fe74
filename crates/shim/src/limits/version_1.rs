//! Limits in version 1's files, whose words are the configuration's own.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::setting::{Setting, current_number};
use crate::cgroup::Cgroup;

/// What has to be written, in this order.
pub(super) fn settings(cgroup: &Cgroup, resources: &LinuxResources) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        settings.extend(of_memory(memory, current_number(cgroup, "memory", "memory.limit_in_bytes")));
    }
    if let Some(cpu) = resources.cpu() {
        let numbers = [
            ("cpu.shares", cpu.shares().map(|n| n.to_string())),
            ("cpu.rt_period_us", cpu.realtime_period().map(|n| n.to_string())),
            ("cpu.rt_runtime_us", cpu.realtime_runtime().map(|n| n.to_string())),
        ];
        settings.extend(numbers.into_iter().filter_map(|(file, value)| Setting::given("cpu", file, value)));
        settings.extend(of_quota(cpu, current_number(cgroup, "cpu", "cpu.cfs_quota_us")));
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|io| io.weight()) {
        settings.extend(Setting::given("blkio", "blkio.weight", Some(weight.to_string())));
    }
    settings
}

/// The kernel wants limit <= limit with swap at every moment, so the order depends on which way it goes.
fn of_memory(memory: &LinuxMemory, current: Option<i64>) -> Vec<Setting> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    let swap = memory.swap().filter(|swap| *swap != 0).or(limit.filter(|limit| *limit == -1));
    let limit_setting = Setting::given("memory", "memory.limit_in_bytes", limit.map(|n| n.to_string()));
    let swap_setting = Setting::given("memory", "memory.memsw.limit_in_bytes", swap.map(|n| n.to_string()));
    let grows = swap.is_some_and(|swap| swap == -1 || current.is_none_or(|current| current < swap));
    let pair = if grows { [swap_setting, limit_setting] } else { [limit_setting, swap_setting] };
    let soft = memory.reservation().map(|n| n.to_string());
    let swappiness = memory.swappiness().map(|n| n.to_string());
    let more = [
        Setting::given("memory", "memory.soft_limit_in_bytes", soft),
        swappiness.map(|value| Setting::new("memory", "memory.swappiness", value)),
    ];
    pair.into_iter().chain(more).flatten().collect()
}

/// The kernel wants quotas of a group within those of its parents at every moment: an unlimited one gets its period
/// first.
fn of_quota(cpu: &LinuxCpu, current: Option<i64>) -> Vec<Setting> {
    let period = Setting::given("cpu", "cpu.cfs_period_us", cpu.period().map(|n| n.to_string()));
    let quota = Setting::given("cpu", "cpu.cfs_quota_us", cpu.quota().map(|n| n.to_string()));
    let pair = if current.is_some_and(|quota| quota > 0) { [quota, period] } else { [period, quota] };
    pair.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::setting::said;
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn memory_and_swap_never_cross_on_their_way() {
        let resources = resources(r#"{"memory":{"limit":200,"swap":400}}"#);
        let memory = resources.memory().as_ref().unwrap();
        let up = ["memory.memsw.limit_in_bytes=400", "memory.limit_in_bytes=200"];
        assert_eq!(said(&of_memory(memory, Some(100))), up);
        let down = ["memory.limit_in_bytes=200", "memory.memsw.limit_in_bytes=400"];
        assert_eq!(said(&of_memory(memory, Some(1000))), down);
    }

    #[test]
    fn a_zero_leaves_things_as_they_are() {
        let docker = resources(
            r#"{"memory":{"limit":0,"reservation":0},"cpu":{"shares":512,"cpus":"","mems":""},"blockIO":{"weight":0}}"#,
        );
        let none = Cgroup::V1(Vec::new());
        assert_eq!(said(&settings(&none, &docker)), ["cpu.shares=512"]);
    }
}
