//! Pressure is how long processes of a cgroup waited for processors, memory or disks ("pressure stall information" in
//! the kernel's `Documentation/accounting/psi.rst`).

use containerd_shim_protos::cgroups_v2::metrics::{PSIData, PSIStats};
use containerd_shim_protos::protobuf::MessageField;

use super::stats_files::Files;

/// What one of the files `*.pressure` says; nothing where the kernel does not count it.
pub(super) fn pressure(files: &Files, name: &str) -> MessageField<PSIStats> {
    let text = files.text(name);
    let of = |who: &str| text.lines().find_map(|line| waited(line.strip_prefix(who)?)).into();
    let (some, full) = (of("some "), of("full "));
    match text.is_empty() {
        true => MessageField::none(),
        false => MessageField::some(PSIStats { some, full, ..Default::default() }),
    }
}

/// A line's `avg10=0.00 avg60=0.00 avg300=0.00 total=0`: shares in percent, and microseconds in all.
fn waited(line: &str) -> Option<PSIData> {
    let mut data = PSIData::new();
    for (key, value) in line.split_whitespace().filter_map(|pair| pair.split_once('=')) {
        match key {
            "avg10" => data.avg10 = value.parse().ok()?,
            "avg60" => data.avg60 = value.parse().ok()?,
            "avg300" => data.avg300 = value.parse().ok()?,
            "total" => data.total = value.parse().ok()?,
            _ => {}
        }
    }
    Some(data)
}
