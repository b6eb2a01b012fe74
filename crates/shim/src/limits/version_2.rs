//! Limits in version 2's files, whose words and figures are others than the configuration's.

use anyhow::{Result, ensure};
use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::setting::{Setting, current, current_number};
use crate::cgroup::Cgroup;

/// What has to be written, in this order.
pub(super) fn settings(cgroup: &Cgroup, resources: &LinuxResources) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        let amount = |bytes: i64| if bytes < 0 { "max".to_owned() } else { bytes.to_string() };
        let limit = memory.limit().filter(|limit| *limit != 0);
        if let (Some(limit @ 1..), Some(true)) = (limit, memory.check_before_update()) {
            // Version 1 refuses by itself; version 2 would kill.
            let used = current_number(cgroup, "memory", "memory.current").unwrap_or(0);
            ensure!(used <= limit, "setting memory.max to {limit} (in use are {used})");
        }
        settings.extend(Setting::given("memory", "memory.max", limit.map(amount)));
        settings.extend(Setting::given("memory", "memory.low", memory.reservation().map(|n| n.to_string())));
        if let Some(swap) = memory.swap().filter(|swap| *swap != 0) {
            // Version 1 counts memory and swap together, version 2 the swap alone.
            let limit = limit.or(current_number(cgroup, "memory", "memory.max")).unwrap_or(0);
            ensure!(
                swap < 0 || swap >= limit,
                "the limit of memory and swap, {swap}, is below that of memory, {limit}"
            );
            settings.push(Setting::new(
                "memory",
                "memory.swap.max",
                amount(if swap < 0 { -1 } else { swap - limit.max(0) }),
            ));
        }
    }
    if let Some(cpu) = resources.cpu() {
        let weight = cpu.shares().filter(|shares| *shares != 0).map(|shares| weight_of(shares).to_string());
        settings.extend(Setting::given("cpu", "cpu.weight", weight));
        settings.extend(of_quota(cpu, &current(cgroup, "cpu", "cpu.max")));
    }
    if let Some(weight) =
        resources.block_io().as_ref().and_then(|io| io.weight()).filter(|weight| *weight != 0)
    {
        let weight = 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
        settings.push(Setting::new("io", "io.weight", weight.to_string()));
    }
    for (file, value) in resources.unified().iter().flatten() {
        ensure!(
            file.contains('.') && !file.contains('/'),
            "linux.resources.unified: {file:?} is no cgroup file"
        );
        settings.push(Setting::new("", file, value.clone()));
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

fn of_quota(cpu: &LinuxCpu, current: &str) -> Option<Setting> {
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
    Some(Setting::new("cpu", "cpu.max", format!("{quota} {period}")))
}

#[cfg(test)]
mod tests {
    use super::super::setting::said;
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn version_2_counts_otherwise() {
        let wanted = resources(
            r#"{"memory":{"limit":200,"swap":500},"cpu":{"shares":1024,"quota":50000},"unified":{"memory.high":"9"}}"#,
        );
        let cgroup = Cgroup::V2("/nonexistent".into());
        assert_eq!(
            said(&settings(&cgroup, &wanted).unwrap()),
            [
                "memory.max=200",
                "memory.swap.max=300",
                "cpu.weight=100",
                "cpu.max=50000 100000",
                "memory.high=9"
            ]
        );
        let outside = resources(r#"{"unified":{"../memory.max":"9"}}"#);
        assert!(settings(&cgroup, &outside).is_err());
    }
}
