//! Limits are what a running container may use of the machine, written into its cgroup anew.
//!
//! The words of the configuration (OCI runtime specification, config-linux.md) are version 1's; version 2 has others.
//! A zero means "as it is", which is how Docker says it.

mod refusals;
mod setting;
mod version_1;
mod version_2;

use anyhow::{Result, ensure};
use oci_spec::runtime::LinuxResources;

pub(crate) use self::refusals::Refusals;
pub(crate) use self::setting::Setting;
use crate::cgroup::Cgroup;

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
        Cgroup::V1(_) => version_1::settings(cgroup, resources),
        Cgroup::V2(_) => version_2::settings(cgroup, resources)?,
    };
    settings.extend(of_either_version(resources));
    settings.iter().try_for_each(|setting| setting.write(cgroup))?;
    Ok(settings)
}

/// Writes what libcontainer leaves out when it makes a cgroup: in version 2 that no swap is allowed, which its zero does
/// not say; in version 1 that who is out of memory waits and is not killed.
pub(crate) fn complete(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().filter(|memory| memory.limit().is_some_and(|limit| limit > 0));
    match (cgroup, memory) {
        (Cgroup::V2(_), Some(memory)) if memory.swap() == memory.limit() => {
            Setting::new("memory", "memory.swap.max", "0".to_owned()).write(cgroup)
        }
        (Cgroup::V1(_), _)
            if resources.memory().is_some_and(|memory| memory.disable_oom_killer() == Some(true)) =>
        {
            Setting::new("memory", "memory.oom_control", "1".to_owned()).write(cgroup)
        }
        _ => Ok(()),
    }
}

/// What has the same words and figures in both.
fn of_either_version(resources: &LinuxResources) -> Vec<Setting> {
    let cpu = resources.cpu().as_ref();
    let pids = resources.pids().as_ref().map(|pids| pids.limit());
    let pids = pids.map(|limit| if limit < 0 { "max".to_owned() } else { limit.to_string() });
    let all = [
        ("cpuset", "cpuset.cpus", cpu.and_then(|cpu| cpu.cpus().clone())),
        ("cpuset", "cpuset.mems", cpu.and_then(|cpu| cpu.mems().clone())),
        ("pids", "pids.max", pids),
    ];
    all.into_iter().filter_map(|(controller, file, value)| Setting::given(controller, file, value)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
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
    fn what_cannot_be_changed_is_named() {
        let error = update(&Cgroup::V1(Vec::new()), &resources(r#"{"network":{"classID":1}}"#)).unwrap_err();
        assert!(error.to_string().contains("network"), "{error}");
    }

    #[test]
    fn processors_and_processes_are_counted_alike() {
        let said =
            |json| -> Vec<_> { of_either_version(&resources(json)).iter().map(Setting::to_string).collect() };
        assert_eq!(
            said(r#"{"cpu":{"cpus":"0-1","mems":""},"pids":{"limit":7}}"#),
            ["cpuset.cpus=0-1", "pids.max=7"]
        );
        assert_eq!(said(r#"{"pids":{"limit":-1}}"#), ["pids.max=max"]);
        assert_eq!(said(r#"{"pids":{"limit":0}}"#), [""; 0]);
    }
}
