//! A witness to the kernel's killing for want of memory while a container is made.
//!
//! The killed process cannot say what happened to it, and libcontainer has removed the cgroup that counted the kill by
//! the time that it reports the failure. What is left is the kernel's count for the whole machine.

use std::fs;

use anyhow::anyhow;
use containerd_shim_protos::ttrpc::Code;

use crate::bundle::Config;
use crate::failure::Failure;

/// The count as it was before; only for a container that has a limit.
#[derive(Debug)]
pub(super) struct OomWitness(Option<Before>);

#[derive(Debug)]
struct Before {
    limit: i64,
    kills: u64,
}

impl OomWitness {
    pub(super) fn of(config: &Config) -> Self {
        Self(config.memory_limit().map(|limit| Before { limit, kills: kills() }))
    }

    /// Puts the likely cause before a failure that nobody could explain.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match &self.0 {
            Some(before) if failure.is_unexplained() && kills() > before.kills => {
                let limit = before.limit;
                let cause =
                    format!("out of memory: the container's limit of {limit} bytes does not hold its module");
                Failure::new(Code::RESOURCE_EXHAUSTED, anyhow!("{failure}").context(cause))
            }
            _ => failure,
        }
    }
}

fn kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(before: Option<Before>, code: Code) -> String {
        OomWitness(before).explain(Failure::new(code, anyhow!("it broke"))).to_string()
    }

    #[test]
    fn only_an_unexplained_failure_after_a_kill_is_put_down_to_memory() {
        let now = kills();
        let killed = || Some(Before { limit: 9, kills: now.wrapping_sub(1) });
        if now > 0 {
            let said = explained(killed(), Code::UNKNOWN);
            assert_eq!(
                said,
                "out of memory: the container's limit of 9 bytes does not hold its module: it broke"
            );
            assert_eq!(explained(killed(), Code::INVALID_ARGUMENT), "it broke");
        }
        assert_eq!(explained(Some(Before { limit: 9, kills: u64::MAX }), Code::UNKNOWN), "it broke");
        assert_eq!(explained(None, Code::UNKNOWN), "it broke");
    }
}
