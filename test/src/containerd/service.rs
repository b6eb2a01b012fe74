//! A service is a containerd that somebody else than the story restarts, by a command, as a node's service manager does.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Containerd;
use super::configuration::{self, CriAlone};
use crate::Cell;
use crate::parts::search_path;

/// Ends containerd and starts it again, and returns when it serves. `@cell@/poison` holds a word: a configuration with
/// that word in it does not come up.
const RESTART: &str = r#"#!/bin/bash
set -u
for process in /proc/[0-9]*; do
    if tr '\0' ' ' 2> /dev/null < "$process/cmdline" | grep -q '^containerd --config @cell@/'; then
        kill -TERM "${process#/proc/}"
        while [ -e "$process" ]; do read -rt 0.02 <> <(:); done
    fi
done
echo restarted >> @cell@/restarts
if [ -e @cell@/poison ] && grep -qrf @cell@/poison @cell@/etc; then
    echo 'containerd: a poisoned configuration' >&2
    exit 1
fi
export PATH="@path@"
log=@cell@/restarted.log
: > $log
setsid containerd --config @cell@/etc/config.toml > /dev/null 2>> $log < /dev/null &
started=$!
for _ in $(seq 500); do
    ! grep -q 'containerd successfully booted' $log || exit 0
    kill -0 $started 2> /dev/null || break
    read -rt 0.02 <> <(:)
done
tail -3 $log >&2
exit 1
"#;

impl Containerd {
    /// One with CRI and without a runtime handler of ours, that [`restart_command`](Self::restart_command) restarts.
    pub fn as_service(form: CriAlone) -> Self {
        let cell = Cell::new();
        configuration::write(&cell, "");
        fs::create_dir(cell.directory().join("etc")).unwrap();
        let text = configuration::cri_alone(form).replace("@cell@", &cell.directory().display().to_string());
        fs::write(cell.directory().join("etc/config.toml"), text).unwrap();
        Self::boot_in(cell, "etc/config.toml")
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.cell().directory().join("etc/config.toml")
    }

    /// The command, a script in the cell's directory.
    pub fn restart_command(&self) -> PathBuf {
        let script = self.cell().directory().join("restart");
        let directory = self.cell().directory().display().to_string();
        let text = RESTART.replace("@cell@", &directory).replace("@path@", &search_path());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        script
    }

    /// How often it has been restarted by the command.
    pub fn restarts(&self) -> usize {
        let file = self.cell().directory().join("restarts");
        fs::read_to_string(file).unwrap_or_default().lines().count()
    }

    /// From now on a configuration with that word in it does not come up.
    pub fn poison(&self, word: &str) {
        fs::write(self.cell().directory().join("poison"), word).unwrap();
    }

    /// Looks which process it is now.
    pub fn adopt_restarted(&self) {
        for pid in self.cell().processes_named("containerd --config") {
            self.cell().adopt(pid);
        }
    }
}
