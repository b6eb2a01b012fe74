//! Limits are what a running container may use of the machine, written into its cgroup anew.
//!
//! The words of the configuration (OCI runtime specification, config-linux.md) are version 1's; version 2 has others.
//! A zero means "as it is", which is how Docker says it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use crate::cgroup::Cgroup;

/// One file of a cgroup, and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    controller: &'static str,
    file: String,
    value: String,
}

/// Writes all that is asked for; what was written. Fails at the first that the kernel refuses, or that cannot be changed.
pub(crate) fn update(cgroup: &Cgroup, resources: &LinuxResources) -> Result<Vec<Setting>> {
    let unsupported = [
        ("network", resources.network().is_some()),
        ("rdma", resources.rdma().as_ref().is_some_and(|all| !all.is_empty())),
        ("hugepageLimits", resources.hugepage_limits().as_ref().is_some_and(|all| !all.is_empty())),
    ];
    for (name, wanted) in unsupported {
        ensure!(!wanted, "linux.resources.{name} cannot be changed while the container runs");
    }
    let mut settings = match cgroup {
        Cgroup::V1(_) => v1(cgroup, resources)?,
        Cgroup::V2(_) => v2(cgroup, resources)?,
    };
    if let Some(pids) = resources.pids().as_ref().map(|pids| pids.limit()).filter(|limit| *limit != 0) {
        settings.push(set("pids", "pids.max", if pids < 0 { "max".to_owned() } else { pids.to_string() }));
    }
    settings.iter().try_for_each(|setting| setting.write(cgroup))?;
    Ok(settings)
}

/// Writes what libcontainer leaves out when it makes a version 2 cgroup: that no swap is allowed, which its zero does not
/// say.
pub(crate) fn complete(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().filter(|memory| memory.limit().is_some_and(|limit| limit > 0));
    match (cgroup, memory) {
        (Cgroup::V2(_), Some(memory)) if memory.swap() == memory.limit() => {
            set("memory", "memory.swap.max", "0".to_owned()).write(cgroup)
        }
        _ => Ok(()),
    }
}

fn v1(cgroup: &Cgroup, resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        settings.extend(memory_v1(memory, number(cgroup, "memory", "memory.limit_in_bytes")));
    }
    if let Some(cpu) = resources.cpu() {
        let numbers = [
            ("cpu.shares", cpu.shares().map(|n| n.to_string())),
            ("cpu.rt_period_us", cpu.realtime_period().map(|n| n.to_string())),
            ("cpu.rt_runtime_us", cpu.realtime_runtime().map(|n| n.to_string())),
        ];
        settings.extend(numbers.into_iter().filter_map(|(file, value)| given("cpu", file, value)));
        settings.extend(quota_v1(cpu, number(cgroup, "cpu", "cpu.cfs_quota_us")));
        settings.extend(cpuset(cpu));
    }
    if let Some(weight) = resources.block_io().as_ref().and_then(|io| io.weight()) {
        settings.extend(given("blkio", "blkio.weight", Some(weight.to_string())));
    }
    Ok(settings)
}

/// The kernel wants limit <= limit with swap at every moment, so the order depends on which way it goes.
fn memory_v1(memory: &LinuxMemory, current: Option<i64>) -> Vec<Setting> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    let swap = memory.swap().filter(|swap| *swap != 0).or(limit.filter(|limit| *limit == -1));
    let limit_setting = given("memory", "memory.limit_in_bytes", limit.map(|n| n.to_string()));
    let swap_setting = given("memory", "memory.memsw.limit_in_bytes", swap.map(|n| n.to_string()));
    let grows = swap.is_some_and(|swap| swap == -1 || current.is_none_or(|current| current < swap));
    let pair = if grows { [swap_setting, limit_setting] } else { [limit_setting, swap_setting] };
    let soft = memory.reservation().map(|n| n.to_string());
    let swappiness = memory.swappiness().map(|n| n.to_string());
    let more = [
        given("memory", "memory.soft_limit_in_bytes", soft),
        swappiness.map(|value| set("memory", "memory.swappiness", value)),
    ];
    pair.into_iter().chain(more).flatten().collect()
}

/// The kernel wants quotas of a group within those of its parents at every moment: an unlimited one gets its period
/// first.
fn quota_v1(cpu: &LinuxCpu, current: Option<i64>) -> Vec<Setting> {
    let period = given("cpu", "cpu.cfs_period_us", cpu.period().map(|n| n.to_string()));
    let quota = given("cpu", "cpu.cfs_quota_us", cpu.quota().map(|n| n.to_string()));
    let pair = if current.is_some_and(|quota| quota > 0) { [quota, period] } else { [period, quota] };
    pair.into_iter().flatten().collect()
}

fn v2(cgroup: &Cgroup, resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        let amount = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
        let limit = memory.limit().filter(|limit| *limit != 0);
        if let (Some(limit @ 1..), Some(true)) = (limit, memory.check_before_update()) {
            // Version 1 refuses by itself; version 2 would kill.
            let used = number(cgroup, "memory", "memory.current").unwrap_or(0);
            ensure!(used <= limit, "setting memory.max to {limit} (in use are {used})");
        }
        settings.extend(given("memory", "memory.max", limit.map(amount)));
        settings.extend(given("memory", "memory.low", memory.reservation().map(|n| n.to_string())));
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // Version 1 counts memory and swap together, version 2 the swap alone.
            let limit = limit.or(number(cgroup, "memory", "memory.max")).unwrap_or(0);
            ensure!(
                swap < 0 || swap >= limit,
                "the limit of memory and swap, {swap}, is below that of memory, {limit}"
            );
            settings.push(set(
                "memory",
                "memory.swap.max",
                amount(if swap < 0 { -1 } else { swap - limit.max(0) }),
            ));
        }
    }
    if let Some(cpu) = resources.cpu() {
        let weight = cpu.shares().filter(|shares| *shares != 0).map(|shares| weight_of(shares).to_string());
        settings.extend(given("cpu", "cpu.weight", weight));
        settings.extend(quota_v2(cpu, &text(cgroup, "cpu", "cpu.max")));
        settings.extend(cpuset(cpu));
    }
    if let Some(weight) =
        resources.block_io().as_ref().and_then(|io| io.weight()).filter(|weight| *weight != 0)
    {
        let weight = 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
        settings.push(set("io", "io.weight", weight.to_string()));
    }
    for (file, value) in resources.unified().iter().flatten() {
        ensure!(
            file.contains('.') && !file.contains('/'),
            "linux.resources.unified: {file:?} is no cgroup file"
        );
        settings.push(set("", file, value.clone()));
    }
    Ok(settings)
}

/// From 2..=262144 to 1..=10000, where each side's default, 1024 and 100, is the other's: as runc converts it since 1.3.2,
/// and libcontainer when it makes the cgroup.
fn weight_of(shares: u64) -> u32 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u32
}

fn quota_v2(cpu: &LinuxCpu, current: &str) -> Option<Setting> {
    let (quota, period) =
        (cpu.quota().filter(|quota| *quota != 0), cpu.period().filter(|period| *period != 0));
    if quota.is_none() && period.is_none() {
        return None;
    }
    let (old_quota, old_period) = current.trim().split_once(' ').unwrap_or(("max", "100000"));
    let quota = match quota {
        Some(quota) if quota < 0 => "max".to_owned(),
        Some(quota) => quota.to_string(),
        None => old_quota.to_owned(),
    };
    let period = period.map_or(old_period.to_owned(), |period| period.to_string());
    Some(set("cpu", "cpu.max", format!("{quota} {period}")))
}

fn cpuset(cpu: &LinuxCpu) -> Vec<Setting> {
    let files = [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())];
    files.into_iter().filter_map(|(file, value)| given("cpuset", file, value.clone())).collect()
}

impl Setting {
    /// What systemd calls it, as `NAME=VALUE` (systemd.resource-control(5)); nothing for what systemd does not know.
    pub(crate) fn properties(&self) -> Vec<String> {
        let value = if self.value == "max" { "infinity" } else { &self.value };
        let name = match self.file.as_str() {
            "memory.max" => "MemoryMax",
            "memory.low" => "MemoryLow",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpuset.cpus" => "AllowedCPUs",
            "cpuset.mems" => "AllowedMemoryNodes",
            "io.weight" => "IOWeight",
            "cpu.max" => return quota_property(value),
            _ => return Vec::new(),
        };
        vec![format!("{name}={value}")]
    }

    fn write(&self, cgroup: &Cgroup) -> Result<()> {
        let Self { controller, file, value } = self;
        let dir = cgroup
            .controller(controller)
            .with_context(|| format!("this machine has no {controller} controller"))?;
        match fs::write(dir.join(file), value) {
            // A kernel that does not account for swap has no file for it.
            Err(error) if error.kind() == ErrorKind::NotFound && is_of_swap(file) => Ok(()),
            written => written.with_context(|| format!("setting {file} to {value}{}", usage(dir, file))),
        }
    }
}

/// systemd counts in hundredths of a percent of one processor, and an empty quota is none.
fn quota_property(value: &str) -> Vec<String> {
    let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
    let share = quota.parse::<u64>().ok().zip(period.parse::<u64>().ok().filter(|period| *period > 0));
    let share = share.map(|(quota, period)| quota * 10_000 / period);
    let share = share.map(|share| format!("{}.{:02}%", share / 100, share % 100)).unwrap_or_default();
    vec![format!("CPUQuota={share}"), format!("CPUQuotaPeriodSec={period}us")]
}

fn is_of_swap(file: &str) -> bool {
    file.contains("memsw") || file == "memory.swap.max"
}

/// What makes a memory limit too small.
fn usage(dir: &Path, file: &str) -> String {
    let read = || -> io::Result<String> { fs::read_to_string(dir.join("memory.usage_in_bytes")) };
    match (file, read()) {
        ("memory.limit_in_bytes", Ok(bytes)) => format!(" (in use are {})", bytes.trim()),
        _ => String::new(),
    }
}

fn set(controller: &'static str, file: &str, value: String) -> Setting {
    Setting { controller, file: file.to_owned(), value }
}

fn given(controller: &'static str, file: &str, value: Option<String>) -> Option<Setting> {
    let value = value.filter(|value| !value.is_empty() && value != "0")?;
    Some(set(controller, file, value))
}

fn text(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    cgroup.controller(controller).and_then(|dir| fs::read_to_string(dir.join(file)).ok()).unwrap_or_default()
}

fn number(cgroup: &Cgroup, controller: &str, file: &str) -> Option<i64> {
    text(cgroup, controller, file).trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn said(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    #[test]
    fn memory_and_swap_never_cross_on_their_way() {
        let resources = resources(r#"{"memory":{"limit":200,"swap":400}}"#);
        let memory = resources.memory().as_ref().unwrap();
        let up = ["memory.memsw.limit_in_bytes=400", "memory.limit_in_bytes=200"];
        assert_eq!(said(&memory_v1(memory, Some(100))), up);
        let down = ["memory.limit_in_bytes=200", "memory.memsw.limit_in_bytes=400"];
        assert_eq!(said(&memory_v1(memory, Some(1000))), down);
    }

    #[test]
    fn a_zero_leaves_things_as_they_are() {
        let docker = resources(
            r#"{"memory":{"limit":0,"reservation":0},"cpu":{"shares":512,"cpus":"","mems":""},"blockIO":{"weight":0}}"#,
        );
        let none = Cgroup::V1(Vec::new());
        assert_eq!(said(&v1(&none, &docker).unwrap()), ["cpu.shares=512"]);
    }

    #[test]
    fn version_2_counts_otherwise() {
        let wanted = resources(
            r#"{"memory":{"limit":200,"swap":500},"cpu":{"shares":1024,"quota":50000},"unified":{"memory.high":"9"}}"#,
        );
        let cgroup = Cgroup::V2("/nonexistent".into());
        assert_eq!(
            said(&v2(&cgroup, &wanted).unwrap()),
            [
                "memory.max=200",
                "memory.swap.max=300",
                "cpu.weight=100",
                "cpu.max=50000 100000",
                "memory.high=9"
            ]
        );
        let outside = resources(r#"{"unified":{"../memory.max":"9"}}"#);
        assert!(v2(&cgroup, &outside).is_err());
    }

    #[test]
    fn a_container_that_may_not_swap_is_told_so_in_version_2() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::V2(dir.path().to_owned());
        let written = || fs::read_to_string(dir.path().join("memory.swap.max")).ok();
        complete(&cgroup, &resources(r#"{"memory":{"limit":200,"swap":400}}"#)).unwrap();
        complete(&cgroup, &resources(r#"{"memory":{"limit":-1,"swap":-1}}"#)).unwrap();
        assert_eq!(written(), None);
        complete(&cgroup, &resources(r#"{"memory":{"limit":200,"swap":200}}"#)).unwrap();
        assert_eq!(written().as_deref(), Some("0"));
    }

    #[test]
    fn systemd_has_other_names_for_version_2s_files() {
        let wanted = resources(
            r#"{"memory":{"limit":200,"swap":-1},"cpu":{"quota":12500},"unified":{"memory.high":"9"}}"#,
        );
        let settings = v2(&Cgroup::V2("/nonexistent".into()), &wanted).unwrap();
        let properties: Vec<_> = settings.iter().flat_map(Setting::properties).collect();
        let expected =
            ["MemoryMax=200", "MemorySwapMax=infinity", "CPUQuota=12.50%", "CPUQuotaPeriodSec=100000us"];
        assert_eq!(properties, expected);
        assert_eq!(set("cpu", "cpu.max", "max 100000".to_owned()).properties()[0], "CPUQuota=");
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        let error = update(&Cgroup::V1(Vec::new()), &resources(r#"{"network":{"classID":1}}"#)).unwrap_err();
        assert!(error.to_string().contains("network"), "{error}");
    }
}
