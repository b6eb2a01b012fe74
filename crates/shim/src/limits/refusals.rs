//! Refusals are the processes that the kernel has not made because of a cgroup's pids limit, so that a failure can be told
//! from one for another cause.

use crate::cgroup::Cgroup;

use super::setting::current;

/// How many there were at some time.
#[derive(Debug)]
pub(crate) struct Refusals {
    cgroup: Cgroup,
    count: Option<u64>,
}

impl Refusals {
    /// Those until now.
    pub(crate) fn of_processes(cgroup: &Cgroup) -> Self {
        Self { cgroup: cgroup.clone(), count: count(cgroup) }
    }

    /// The limit, if there were more since.
    pub(crate) fn since(&self) -> Option<String> {
        (count(&self.cgroup)? > self.count?)
            .then(|| current(&self.cgroup, "pids", "pids.max").trim().to_owned())
    }
}

fn count(cgroup: &Cgroup) -> Option<u64> {
    current(cgroup, "pids", "pids.events").lines().find_map(|line| line.strip_prefix("max "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_refusal_since_then_tells_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file, text| fs::write(dir.path().join(file), text).unwrap();
        write("pids.max", "3\n");
        write("pids.events", "max 7\n");
        let refusals = Refusals::of_processes(&Cgroup::V2(dir.path().to_owned()));
        assert_eq!(refusals.since(), None);
        write("pids.events", "max 8\n");
        assert_eq!(refusals.since().as_deref(), Some("3"));
    }
}
