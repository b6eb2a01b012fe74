//! The stats of a version 1 cgroup: nanoseconds and bytes, a directory per controller.

use std::path::Path;

use containerd_shim_protos::cgroups::metrics as v1;
use containerd_shim_protos::protobuf::MessageField;

use super::stats_files::Files;
use super::stats_hugetlb;
use crate::cgroup::Cgroup;

/// The kernel counts a container's user and system time in these, whatever its own timer.
const USER_HZ: u64 = 100;

/// Reads every controller that containerd's message has a place for.
pub(super) fn collect(cgroup: &Cgroup) -> v1::Metrics {
    let files = |controller: &str| Files(cgroup.controller(controller).map(Path::to_owned));
    let oom = files("memory").table("memory.oom_control");
    v1::Metrics {
        cpu: MessageField::some(cpu_v1(&files("cpu"), &files("cpuacct"))),
        memory: MessageField::some(memory_v1(&files("memory"))),
        pids: MessageField::some(v1::PidsStat {
            current: files("pids").number("pids.current"),
            limit: files("pids").limit("pids.max"),
            ..Default::default()
        }),
        blkio: MessageField::some(blkio_v1(&files("blkio"))),
        hugetlb: stats_hugetlb::version_1(&files("hugetlb"), &stats_hugetlb::sizes()),
        memory_oom_control: MessageField::some(v1::MemoryOomControl {
            oom_kill_disable: oom.get("oom_kill_disable"),
            under_oom: oom.get("under_oom"),
            oom_kill: oom.get("oom_kill"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn cpu_v1(cpu: &Files, cpuacct: &Files) -> v1::CPUStat {
    let (throttled, times) = (cpu.table("cpu.stat"), cpuacct.table("cpuacct.stat"));
    let nanoseconds = |ticks: u64| ticks * (1_000_000_000 / USER_HZ);
    let per_cpu = cpuacct.text("cpuacct.usage_percpu");
    v1::CPUStat {
        usage: MessageField::some(v1::CPUUsage {
            total: cpuacct.number("cpuacct.usage"),
            kernel: nanoseconds(times.get("system")),
            user: nanoseconds(times.get("user")),
            per_cpu: per_cpu.split_whitespace().filter_map(|number| number.parse().ok()).collect(),
            ..Default::default()
        }),
        throttling: MessageField::some(v1::Throttle {
            periods: throttled.get("nr_periods"),
            throttled_periods: throttled.get("nr_throttled"),
            throttled_time: throttled.get("throttled_time"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn memory_v1(files: &Files) -> v1::MemoryStat {
    let stat = files.table("memory.stat");
    let entry = |name: &str| {
        MessageField::some(v1::MemoryEntry {
            limit: files.number(&format!("{name}.limit_in_bytes")),
            usage: files.number(&format!("{name}.usage_in_bytes")),
            max: files.number(&format!("{name}.max_usage_in_bytes")),
            failcnt: files.number(&format!("{name}.failcnt")),
            ..Default::default()
        })
    };
    v1::MemoryStat {
        cache: stat.get("cache"),
        rss: stat.get("rss"),
        rss_huge: stat.get("rss_huge"),
        mapped_file: stat.get("mapped_file"),
        dirty: stat.get("dirty"),
        writeback: stat.get("writeback"),
        pg_pg_in: stat.get("pgpgin"),
        pg_pg_out: stat.get("pgpgout"),
        pg_fault: stat.get("pgfault"),
        pg_maj_fault: stat.get("pgmajfault"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        hierarchical_memory_limit: stat.get("hierarchical_memory_limit"),
        hierarchical_swap_limit: stat.get("hierarchical_memsw_limit"),
        total_cache: stat.get("total_cache"),
        total_rss: stat.get("total_rss"),
        total_rss_huge: stat.get("total_rss_huge"),
        total_mapped_file: stat.get("total_mapped_file"),
        total_dirty: stat.get("total_dirty"),
        total_writeback: stat.get("total_writeback"),
        total_pg_pg_in: stat.get("total_pgpgin"),
        total_pg_pg_out: stat.get("total_pgpgout"),
        total_pg_fault: stat.get("total_pgfault"),
        total_pg_maj_fault: stat.get("total_pgmajfault"),
        total_inactive_anon: stat.get("total_inactive_anon"),
        total_active_anon: stat.get("total_active_anon"),
        total_inactive_file: stat.get("total_inactive_file"),
        total_active_file: stat.get("total_active_file"),
        total_unevictable: stat.get("total_unevictable"),
        usage: entry("memory"),
        swap: entry("memory.memsw"),
        kernel: entry("memory.kmem"),
        kernel_tcp: entry("memory.kmem.tcp"),
        ..Default::default()
    }
}

fn blkio_v1(files: &Files) -> v1::BlkIOStat {
    let entries = |name: &str| {
        let text = files.text(name);
        let entry = |line: &str| {
            let [device, op, value] = line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
            let (major, minor) = device.split_once(':')?;
            Some(v1::BlkIOEntry {
                op: str::to_owned(op),
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
                value: str::parse(value).ok()?,
                ..Default::default()
            })
        };
        text.lines().filter_map(entry).collect()
    };
    v1::BlkIOStat {
        io_service_bytes_recursive: entries("blkio.throttle.io_service_bytes_recursive"),
        io_serviced_recursive: entries("blkio.throttle.io_serviced_recursive"),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use containerd_shim_protos::protobuf::Message;

    use super::*;
    use crate::cgroup::Controller;

    #[test]
    fn version_1_is_told_in_nanoseconds_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let controllers = ["cpu,cpuacct", "memory"].map(|names| {
            let dir = dir.path().join(names);
            fs::create_dir(&dir).unwrap();
            Controller { names: names.to_owned(), dir }
        });
        for (name, text) in [
            ("cpu,cpuacct/cpuacct.usage", "30000000\n"),
            ("cpu,cpuacct/cpuacct.stat", "user 2\nsystem 1\n"),
            ("memory/memory.usage_in_bytes", "4096\n"),
            ("memory/memory.limit_in_bytes", "8192\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let stats = super::super::stats::collect(&Cgroup::V1(controllers.into())).unwrap();
        assert_eq!(stats.type_url, "io.containerd.cgroups.v1.Metrics");
        let metrics = v1::Metrics::parse_from_bytes(&stats.value).unwrap();
        let usage = &metrics.cpu.usage;
        assert_eq!((usage.total, usage.user, usage.kernel), (30_000_000, 20_000_000, 10_000_000));
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4096, 8192));
    }
}
