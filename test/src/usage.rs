//! A usage is what the processes of a cgroup and of those below it have used, the dead ones included, by the files that
//! this machine's version of cgroups has for it.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

use crate::has_cgroup_version_2;

/// How much was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, of all processors together.
    pub cpu: Duration,
    /// Bytes of memory, the kernel's part included: the working set, as Kubernetes defines it, which is all but the file
    /// pages that nobody has used for long.
    pub memory: u64,
}

impl Usage {
    /// Of a cgroup, by its path below the root. One that is not there uses nothing.
    pub fn of(cgroup: &str) -> Self {
        let file = |controller: &str, file: &str| {
            let controller = if has_cgroup_version_2() { "" } else { controller };
            let path = Path::new("/sys/fs/cgroup").join(controller).join(cgroup.trim_matches('/')).join(file);
            fs::read_to_string(path).unwrap_or_default()
        };
        let number = |text: &str| text.trim().parse::<u64>().unwrap_or_default();
        let (cpu, whole, unused) = match has_cgroup_version_2() {
            true => {
                let micros = field(&file("", "cpu.stat"), "usage_usec");
                let unused = field(&file("", "memory.stat"), "inactive_file");
                (Duration::from_micros(micros), number(&file("", "memory.current")), unused)
            }
            false => {
                let nanos = number(&file("cpuacct", "cpuacct.usage"));
                let unused = field(&file("memory", "memory.stat"), "total_inactive_file");
                (Duration::from_nanos(nanos), number(&file("memory", "memory.usage_in_bytes")), unused)
            }
        };
        Self { cpu, memory: whole.saturating_sub(unused) }
    }
}

/// What was used since then. Memory that was given back meanwhile counts as none.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), memory: self.memory.saturating_sub(before.memory) }
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}
