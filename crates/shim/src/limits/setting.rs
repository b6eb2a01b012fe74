//! A setting is one file of a cgroup, and what is to be in it.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cgroup::Cgroup;

/// One file of a cgroup, and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    controller: &'static str,
    file: String,
    value: String,
}

impl Setting {
    pub(super) fn new(controller: &'static str, file: &str, value: String) -> Self {
        Self { controller, file: file.to_owned(), value }
    }

    /// A setting, if there is a value. An empty one and a zero are none.
    pub(super) fn given(controller: &'static str, file: &str, value: Option<String>) -> Option<Self> {
        let value = value.filter(|value| !value.is_empty() && value != "0")?;
        Some(Self::new(controller, file, value))
    }

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

    /// Writes it. A kernel that does not account for swap has no file for it: then there is nothing to do.
    pub(super) fn write(&self, cgroup: &Cgroup) -> Result<()> {
        let Self { controller, file, value } = self;
        let dir = cgroup
            .controller(controller)
            .with_context(|| format!("this machine has no {controller} controller"))?;
        match fs::write(dir.join(file), value) {
            Err(error) if error.kind() == ErrorKind::NotFound && is_of_swap(file) => Ok(()),
            written => written.with_context(|| format!("setting {file} to {value}{}", usage(dir, file))),
        }
    }
}

/// As the file would be written by hand.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.file, self.value)
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
    match (file, fs::read_to_string(dir.join("memory.usage_in_bytes"))) {
        ("memory.limit_in_bytes", Ok(bytes)) => format!(" (in use are {})", bytes.trim()),
        _ => String::new(),
    }
}

/// What is in a cgroup's file now; nothing if there is no such file.
pub(super) fn current(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    cgroup.controller(controller).and_then(|dir| fs::read_to_string(dir.join(file)).ok()).unwrap_or_default()
}

/// The number that is in it, if it is one.
pub(super) fn current_number(cgroup: &Cgroup, controller: &str, file: &str) -> Option<i64> {
    current(cgroup, controller, file).trim().parse().ok()
}

/// What settings are, for the tests of both versions.
#[cfg(test)]
pub(super) fn said(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(Setting::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_has_other_names_for_version_2s_files() {
        let properties = |file, value: &str| Setting::new("", file, value.to_owned()).properties();
        assert_eq!(properties("memory.max", "200"), ["MemoryMax=200"]);
        assert_eq!(properties("memory.swap.max", "max"), ["MemorySwapMax=infinity"]);
        assert_eq!(properties("cpu.max", "12500 100000"), ["CPUQuota=12.50%", "CPUQuotaPeriodSec=100000us"]);
        assert_eq!(properties("cpu.max", "max 100000")[0], "CPUQuota=");
        assert!(properties("memory.high", "9").is_empty());
    }
}
