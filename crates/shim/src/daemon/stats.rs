//! Stats are what the kernel's cgroups say about a container's use of the machine, in containerd's messages.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::{cgroups::metrics as v1, cgroups_v2::metrics as v2};

use super::events::any;
use crate::cgroup::Cgroup;

/// The kernel counts a version 1 container's time in these.
const USER_HZ: u64 = 100;

/// Reads everything there is; a controller that the machine lacks counts nothing.
pub(super) fn collect(cgroup: &Cgroup) -> Result<Any> {
    match cgroup {
        Cgroup::V1(_) => any(&collect_v1(cgroup)),
        Cgroup::V2(dir) => any(&collect_v2(&Files(Some(dir.clone())))),
    }
}

fn collect_v1(cgroup: &Cgroup) -> v1::Metrics {
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

fn collect_v2(files: &Files) -> v2::Metrics {
    let (cpu, events) = (files.table("cpu.stat"), files.table("memory.events"));
    v2::Metrics {
        pids: MessageField::some(v2::PidsStat {
            current: files.number("pids.current"),
            limit: files.limit("pids.max"),
            ..Default::default()
        }),
        cpu: MessageField::some(v2::CPUStat {
            usage_usec: cpu.get("usage_usec"),
            user_usec: cpu.get("user_usec"),
            system_usec: cpu.get("system_usec"),
            nr_periods: cpu.get("nr_periods"),
            nr_throttled: cpu.get("nr_throttled"),
            throttled_usec: cpu.get("throttled_usec"),
            nr_bursts: cpu.get("nr_bursts"),
            burst_usec: cpu.get("burst_usec"),
            ..Default::default()
        }),
        memory: MessageField::some(memory_v2(files)),
        io: MessageField::some(v2::IOStat { usage: io_v2(&files.text("io.stat")), ..Default::default() }),
        memory_events: MessageField::some(v2::MemoryEvents {
            low: events.get("low"),
            high: events.get("high"),
            max: events.get("max"),
            oom: events.get("oom"),
            oom_kill: events.get("oom_kill"),
            oom_group_kill: events.get("oom_group_kill"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn memory_v2(files: &Files) -> v2::MemoryStat {
    let stat = files.table("memory.stat");
    v2::MemoryStat {
        anon: stat.get("anon"),
        file: stat.get("file"),
        kernel_stack: stat.get("kernel_stack"),
        slab: stat.get("slab"),
        sock: stat.get("sock"),
        shmem: stat.get("shmem"),
        file_mapped: stat.get("file_mapped"),
        file_dirty: stat.get("file_dirty"),
        file_writeback: stat.get("file_writeback"),
        anon_thp: stat.get("anon_thp"),
        inactive_anon: stat.get("inactive_anon"),
        active_anon: stat.get("active_anon"),
        inactive_file: stat.get("inactive_file"),
        active_file: stat.get("active_file"),
        unevictable: stat.get("unevictable"),
        slab_reclaimable: stat.get("slab_reclaimable"),
        slab_unreclaimable: stat.get("slab_unreclaimable"),
        pgfault: stat.get("pgfault"),
        pgmajfault: stat.get("pgmajfault"),
        workingset_refault: stat.get("workingset_refault"),
        workingset_activate: stat.get("workingset_activate"),
        workingset_nodereclaim: stat.get("workingset_nodereclaim"),
        pgrefill: stat.get("pgrefill"),
        pgscan: stat.get("pgscan"),
        pgsteal: stat.get("pgsteal"),
        pgactivate: stat.get("pgactivate"),
        pgdeactivate: stat.get("pgdeactivate"),
        pglazyfree: stat.get("pglazyfree"),
        pglazyfreed: stat.get("pglazyfreed"),
        thp_fault_alloc: stat.get("thp_fault_alloc"),
        thp_collapse_alloc: stat.get("thp_collapse_alloc"),
        usage: files.number("memory.current"),
        usage_limit: files.bound("memory.max"),
        max_usage: files.number("memory.peak"),
        swap_usage: files.number("memory.swap.current"),
        swap_limit: files.bound("memory.swap.max"),
        swap_max_usage: files.number("memory.swap.peak"),
        ..Default::default()
    }
}

/// Lines as `8:0 rbytes=1 wbytes=2 rios=3 wios=4`.
fn io_v2(text: &str) -> Vec<v2::IOEntry> {
    let entry = |line: &str| {
        let (device, counters) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let counters: HashMap<_, _> = counters.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let counter = |name: &str| counters.get(name).and_then(|number| number.parse().ok()).unwrap_or(0);
        Some(v2::IOEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            rbytes: counter("rbytes"),
            wbytes: counter("wbytes"),
            rios: counter("rios"),
            wios: counter("wios"),
            ..Default::default()
        })
    };
    text.lines().filter_map(entry).collect()
}

/// The files of one controller, if the machine has it.
struct Files(Option<PathBuf>);

impl Files {
    fn text(&self, name: &str) -> String {
        self.0.as_ref().and_then(|dir| fs::read_to_string(dir.join(name)).ok()).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).trim().parse().unwrap_or(0)
    }

    /// A limit of which containerd says 0 if there is none.
    fn limit(&self, name: &str) -> u64 {
        self.number(name)
    }

    /// A limit of which containerd says the largest number if there is none.
    fn bound(&self, name: &str) -> u64 {
        match self.text(name).trim() {
            "max" => u64::MAX,
            number => number.parse().unwrap_or(0),
        }
    }

    fn table(&self, name: &str) -> Table {
        let pair = |line: &str| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        };
        Table(self.text(name).lines().filter_map(pair).collect())
    }
}

/// A file of lines `key number`.
struct Table(HashMap<String, u64>);

impl Table {
    fn get(&self, key: &str) -> u64 {
        self.0.get(key).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::protobuf::Message;

    use super::*;

    #[test]
    fn version_2_is_told_in_containerds_type_with_its_limits() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpu.stat", "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1024\ninactive_file 512\n"),
            ("memory.events", "oom 1\noom_kill 1\n"),
            ("pids.current", "2\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let stats = collect(&Cgroup::V2(dir.path().to_owned())).unwrap();
        assert_eq!(stats.type_url, "io.containerd.cgroups.v2.Metrics");
        let metrics = v2::Metrics::parse_from_bytes(&stats.value).unwrap();
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.system_usec), (3000, 1000));
        assert_eq!((metrics.memory.usage, metrics.memory.usage_limit), (4096, u64::MAX));
        assert_eq!((metrics.memory.anon, metrics.memory.inactive_file), (1024, 512));
        assert_eq!((metrics.pids.current, metrics.pids.limit), (2, 0));
        assert_eq!((metrics.io.usage[0].major, metrics.io.usage[0].wios), (8, 4));
        assert_eq!(metrics.memory_events.oom_kill, 1);
    }

    #[test]
    fn version_1_is_told_in_nanoseconds_and_bytes() {
        use crate::cgroup::Controller;
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
        let stats = collect(&Cgroup::V1(controllers.into())).unwrap();
        assert_eq!(stats.type_url, "io.containerd.cgroups.v1.Metrics");
        let metrics = v1::Metrics::parse_from_bytes(&stats.value).unwrap();
        let usage = &metrics.cpu.usage;
        assert_eq!((usage.total, usage.user, usage.kernel), (30_000_000, 20_000_000, 10_000_000));
        assert_eq!((metrics.memory.usage.usage, metrics.memory.usage.limit), (4096, 8192));
    }
}
