//! The stats of a version 2 cgroup: microseconds and bytes, all in one directory.

use std::collections::HashMap;

use containerd_shim_protos::cgroups_v2::metrics as v2;
use containerd_shim_protos::protobuf::MessageField;

use super::stats_files::Files;
use super::stats_hugetlb;
use super::stats_pressure::pressure;

/// Reads every file that containerd's message has a place for.
pub(super) fn collect(files: &Files) -> v2::Metrics {
    let (cpu, events) = (files.table("cpu.stat"), files.table("memory.events"));
    v2::Metrics {
        pids: MessageField::some(v2::PidsStat {
            current: files.number("pids.current"),
            limit: files.bound("pids.max"),
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
            psi: pressure(files, "cpu.pressure"),
            ..Default::default()
        }),
        memory: MessageField::some(memory_v2(files)),
        io: MessageField::some(v2::IOStat {
            usage: io_v2(&files.text("io.stat")),
            psi: pressure(files, "io.pressure"),
            ..Default::default()
        }),
        rdma: MessageField::some(v2::RdmaStat {
            current: rdma_v2(&files.text("rdma.current")),
            limit: rdma_v2(&files.text("rdma.max")),
            ..Default::default()
        }),
        hugetlb: stats_hugetlb::version_2(files, &stats_hugetlb::sizes()),
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
        psi: pressure(files, "memory.pressure"),
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

/// Lines as `mlx4_0 hca_handle=2 hca_object=max`; the largest number stands for `max`.
fn rdma_v2(text: &str) -> Vec<v2::RdmaEntry> {
    let entry = |line: &str| {
        let (device, counters) = line.split_once(' ')?;
        let counters: HashMap<_, _> = counters.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let counter = |name: &str| match counters.get(name) {
            Some(&"max") => u32::MAX,
            number => number.and_then(|number| number.parse().ok()).unwrap_or(0),
        };
        Some(v2::RdmaEntry {
            device: device.to_owned(),
            hca_handles: counter("hca_handle"),
            hca_objects: counter("hca_object"),
            ..Default::default()
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use containerd_shim_protos::protobuf::Message;

    use super::*;
    use crate::cgroup::Cgroup;

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
            ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"),
            (
                "memory.pressure",
                "some avg10=1.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
            ),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let stats = super::super::stats::collect(&Cgroup::V2(dir.path().to_owned())).unwrap();
        assert_eq!(stats.type_url, "io.containerd.cgroups.v2.Metrics");
        let metrics = v2::Metrics::parse_from_bytes(&stats.value).unwrap();
        assert_eq!((metrics.cpu.usage_usec, metrics.cpu.system_usec), (3000, 1000));
        assert_eq!((metrics.memory.usage, metrics.memory.usage_limit), (4096, u64::MAX));
        assert_eq!((metrics.memory.anon, metrics.memory.inactive_file), (1024, 512));
        assert_eq!((metrics.pids.current, metrics.pids.limit), (2, u64::MAX));
        assert_eq!((metrics.io.usage[0].major, metrics.io.usage[0].wios), (8, 4));
        assert_eq!(metrics.memory_events.oom_kill, 1);
        let limit = &metrics.rdma.limit[0];
        assert_eq!((limit.device.as_str(), limit.hca_handles, limit.hca_objects), ("mlx4_0", 2, u32::MAX));
        let psi = &metrics.memory.psi;
        assert_eq!((psi.some.avg10, psi.some.avg60, psi.some.total, psi.full.total), (1.5, 0.25, 42, 7));
        assert!(metrics.cpu.psi.is_none(), "the kernel tells nothing of it");
    }
}
