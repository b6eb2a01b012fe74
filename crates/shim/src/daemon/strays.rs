//! A stray is a process of a create that was given up: it has no pid that anybody told, but it holds the far end of
//! the create's reply channel.

use std::fs;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How often strays are looked for; a killed one may be seen a few times before it is gone.
const LOOKS: u32 = 1000;

/// Knows the processes of one create by a descriptor that only they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strays {
    socket: String,
    /// The zygote, which may hold it for a moment, and whose next child sees that nobody waits.
    spared: Option<u32>,
}

impl Strays {
    /// Those that hold this socket, which every end of a pair names differently.
    pub(super) fn holding(socket: impl AsFd) -> Result<Self> {
        let inode = rustix::fs::fstat(socket).context("reading the reply channel")?.st_ino;
        Ok(Self { socket: format!("socket:[{inode}]"), spared: None })
    }

    /// Lets the zygote live that has the request.
    pub(super) fn spare(&mut self, zygote: u32) {
        self.spared = Some(zygote);
    }

    /// Kills them, and looks again, as a parent may have forked while it was looked at. The near end is closed by then:
    /// a process that is forked for the request later ends by itself.
    pub(super) fn kill(&self) {
        for _ in 0..LOOKS {
            if !self.kill_those_found() {
                return;
            }
            std::thread::yield_now();
        }
    }

    fn kill_those_found(&self) -> bool {
        let spared = [Some(std::process::id()), self.spared];
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut found = false;
        for pid in pids.filter(|pid| !spared.contains(&Some(pid.unsigned_abs())) && self.is_held_by(*pid)) {
            found |= Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
        }
        found
    }

    fn is_held_by(&self, pid: i32) -> bool {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == self.socket.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use wasmedge_messages::Channel;

    use super::*;
    use crate::alone::alone;

    #[test]
    fn the_holder_of_the_far_end_is_killed_and_nobody_else() {
        let _alone = alone();
        let (_ours, theirs) = Channel::pair().unwrap();
        let mut strays = Strays::holding(&theirs).unwrap();
        let spawn = |stdin: Stdio| Command::new("sleep").arg("60").stdin(stdin).spawn().unwrap();
        let mut bystander = spawn(Stdio::null());
        let theirs = std::os::fd::OwnedFd::from(theirs);
        let mut zygote = spawn(theirs.try_clone().unwrap().into());
        let mut stray = spawn(theirs.into());
        strays.spare(zygote.id());
        strays.kill();
        assert!(zygote.try_wait().unwrap().is_none());
        zygote.kill().unwrap();
        zygote.wait().unwrap();
        assert_eq!(stray.wait().unwrap().signal(), Some(9));
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
