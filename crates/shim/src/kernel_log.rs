//! The kernel's log, which says whom it has killed for want of memory even when the cgroup that counted it is gone.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

/// The largest record, see the kernel's Documentation/ABI/testing/dev-kmsg.
const RECORD: usize = 8192;
/// How far the log's clock and the monotonic one may be apart.
const DRIFT: Duration = Duration::from_secs(60);

/// Whom the kernel may have killed.
#[derive(Debug, Clone)]
pub(crate) struct Victim {
    pub(crate) pid: u32,
    /// As `/system.slice/x.scope`, for the case that the victim was another process in it.
    pub(crate) cgroup: String,
    /// How long it has existed.
    pub(crate) age: Duration,
}

/// Whether the kernel has killed it for want of memory. `false` too if there is no log to be read.
pub(crate) fn tells_out_of_memory(victim: &Victim) -> bool {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg") else {
        return false;
    };
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.unsigned_abs(), 0);
    let since = now.saturating_sub(victim.age + DRIFT);
    let mut record = [0; RECORD];
    loop {
        match log.read(&mut record) {
            Ok(0) => return false,
            Ok(length) if is_kill_of(victim, since, &String::from_utf8_lossy(&record[..length])) => {
                return true;
            }
            Ok(_) => {}
            // The record was overwritten before it was read; the next read is of the oldest that is there.
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
            Err(_) => return false,
        }
    }
}

/// A record is `priority,sequence,microseconds,flags;message`.
fn is_kill_of(victim: &Victim, since: Duration, record: &str) -> bool {
    let Some((header, message)) = record.split_once(';') else { return false };
    let at = header.split(',').nth(2).and_then(|time| time.parse().ok()).map(Duration::from_micros);
    let is_process = message.contains(&format!("emory: Killed process {} (", victim.pid));
    // The kernel leaves this line out when it kills often.
    let is_in_cgroup = message.starts_with("oom-kill:")
        && message.split(',').any(|field| field.strip_prefix("task_memcg=") == Some(&victim.cgroup));
    at.is_some_and(|at| at >= since) && (is_process || is_in_cgroup)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn victim(pid: u32) -> Victim {
        Victim { pid, cgroup: "/a.slice/b.scope".to_owned(), age: Duration::ZERO }
    }

    fn tells_of(pid: u32, since: u64, record: &str) -> bool {
        is_kill_of(&victim(pid), Duration::from_secs(since), record)
    }

    #[test]
    fn a_kill_is_of_that_process_and_of_that_time() {
        let kill =
            "3,812,5000000,-;Memory cgroup out of memory: Killed process 42 (app) total-vm:9kB, anon-rss:1kB";
        assert!(tells_of(42, 5, kill));
        assert!(tells_of(42, 0, "3,1,5000000,-;Out of memory: Killed process 42 (app) total-vm:9kB"));
        assert!(!tells_of(42, 6, kill), "it was before");
        assert!(!tells_of(4, 0, kill) && !tells_of(2, 0, kill), "it was another");
        for record in ["", "3,812;out of memory: Killed process 42 (app)", "6,1,5000000,-;process 42 (app)"] {
            assert!(!tells_of(42, 0, record), "{record}");
        }
    }

    #[test]
    fn a_kill_of_another_process_in_the_cgroup_is_one_too() {
        let kill = |cgroup: &str| {
            format!(
                "6,8,5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a.slice,task_memcg={cgroup},task=x,pid=7,uid=0"
            )
        };
        assert!(tells_of(42, 0, &kill("/a.slice/b.scope")));
        assert!(!tells_of(42, 0, &kill("/a.slice/b.scope2")) && !tells_of(42, 0, &kill("/a.slice")));
    }

    #[test]
    fn a_process_that_lives_was_not_killed() {
        assert!(!tells_out_of_memory(&victim(std::process::id())));
    }
}
