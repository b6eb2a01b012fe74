//! A janitor removes the directories and cgroups of cells that nobody drops: those of a cluster that lives as long
//! as the test process.
//!
//! It is a process beside the test's: whatever way that ends, the janitor reads the end of its input, waits until
//! the cells' first processes are gone, and every other with them, and then cleans.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::Cell;

const CLEAN: &str = r#"
read -r _
for cell; do
    while [ -e "/proc/${cell%%:*}" ]; do sleep 0.1; done
    directory=${cell#*:}
    for i in $(seq 50); do
        find /sys/fs/cgroup -depth -type d -path "*/${directory##*/}*" -exec rmdir {} + 2> /dev/null
        [ -n "$(find /sys/fs/cgroup -maxdepth 2 -type d -name "${directory##*/}")" ] || break
        sleep 0.1
    done
    rm -rf "$directory"
done
"#;

/// The janitor of some cells.
pub(super) struct Janitor {
    _process: Child,
}

impl Janitor {
    /// One that cleans after those cells once this process is gone.
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let cells = cells.map(|cell| format!("{}:{}", cell.first_process(), cell.directory().display()));
        let process = Command::new("bash")
            .args(["-c", CLEAN, "janitor"])
            .args(cells)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { _process: process }
    }
}
