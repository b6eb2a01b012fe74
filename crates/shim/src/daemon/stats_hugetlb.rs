//! The huge pages that a cgroup has, size by size. As under runc, each size that the kernel has is told of, also where
//! nothing counts it.

use std::fs;

use containerd_shim_protos::cgroups::metrics as v1;
use containerd_shim_protos::cgroups_v2::metrics as v2;

use super::stats_files::Files;

/// Where the kernel has a directory for each size.
const SIZES: &str = "/sys/kernel/mm/hugepages";

/// The sizes of huge pages that this kernel has, as cgroups name them (`2MB`), in order.
pub(super) fn sizes() -> Vec<String> {
    let directories = fs::read_dir(SIZES).into_iter().flatten().flatten();
    let mut sizes: Vec<_> =
        directories.filter_map(|directory| kilobytes(directory.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(in_cgroups_words).collect()
}

pub(super) fn version_1(files: &Files, sizes: &[String]) -> Vec<v1::HugetlbStat> {
    let stat = |size: &String| v1::HugetlbStat {
        usage: files.number(&format!("hugetlb.{size}.usage_in_bytes")),
        max: files.number(&format!("hugetlb.{size}.max_usage_in_bytes")),
        failcnt: files.number(&format!("hugetlb.{size}.failcnt")),
        pagesize: size.clone(),
        ..Default::default()
    };
    sizes.iter().map(stat).collect()
}

pub(super) fn version_2(files: &Files, sizes: &[String]) -> Vec<v2::HugeTlbStat> {
    let stat = |size: &String| v2::HugeTlbStat {
        current: files.number(&format!("hugetlb.{size}.current")),
        max: files.bound(&format!("hugetlb.{size}.max")),
        failcnt: files.table(&format!("hugetlb.{size}.events")).get("max"),
        pagesize: size.clone(),
        ..Default::default()
    };
    sizes.iter().map(stat).collect()
}

/// A directory is named `hugepages-2048kB`.
fn kilobytes(directory: &str) -> Option<u64> {
    directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

fn in_cgroups_words(kilobytes: u64) -> String {
    match kilobytes {
        gigabytes if gigabytes >= 1 << 20 => format!("{}GB", gigabytes >> 20),
        megabytes if megabytes >= 1 << 10 => format!("{}MB", megabytes >> 10),
        kilobytes => format!("{kilobytes}KB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_cgroups_words() {
        let words = |directory| kilobytes(directory).map(in_cgroups_words);
        assert_eq!(words("hugepages-2048kB").as_deref(), Some("2MB"));
        assert_eq!(words("hugepages-1048576kB").as_deref(), Some("1GB"));
        assert_eq!(words("hugepages-64kB").as_deref(), Some("64KB"));
        assert_eq!(words("other"), None);
    }

    #[test]
    fn a_size_is_told_of_with_and_without_figures() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("hugetlb.2MB.max", "max\n"),
            ("hugetlb.2MB.current", "2097152\n"),
            ("hugetlb.2MB.events", "max 3\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let stats = version_2(&Files(Some(dir.path().to_owned())), &["2MB".to_owned(), "1GB".to_owned()]);
        let told = |stat: &v2::HugeTlbStat| (stat.pagesize.clone(), stat.max, stat.current, stat.failcnt);
        let expected = [("2MB".to_owned(), u64::MAX, 2 << 20, 3), ("1GB".to_owned(), 0, 0, 0)];
        assert_eq!(stats.iter().map(told).collect::<Vec<_>>(), expected);
    }
}
