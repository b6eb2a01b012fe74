//! The reaper collects the daemon's dead children and tells those who wait for them.
//!
//! Containers, zygotes and hooks are children, and so is every helper process that libcontainer makes on the way to
//! a container. So unknown pids are normal; and while a create is under way one of them may be the container's, whose
//! pid is not told yet. Such exits are kept until no create is left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, WaitOptions, test_kill_process, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::remains::Exit;

/// A handle on the one reaper.
#[derive(Debug, Clone, Default)]
pub(super) struct Reaper(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    watched: HashMap<i32, oneshot::Sender<Exit>>,
    unclaimed: HashMap<i32, Exit>,
    expectations: usize,
}

/// As long as it lives, no exit is forgotten.
#[derive(Debug)]
pub(super) struct Expectation(Reaper);

impl Reaper {
    /// Starts to reap. To be called before the first child is made, within the event loop.
    pub(super) fn start() -> Result<Self> {
        let reaper = Self::default();
        let mut children = signal(SignalKind::child()).context("listening for SIGCHLD")?;
        let ours = reaper.clone();
        tokio::spawn(async move {
            while children.recv().await.is_some() {
                ours.reap();
            }
        });
        Ok(reaper)
    }

    /// Announces a child whose pid will be known only after it may have ended.
    pub(super) fn expect(&self) -> Expectation {
        self.table().expectations += 1;
        Expectation(self.clone())
    }

    /// Tells the exit of a child. It must be this process's and either just made or expected.
    pub(super) fn watch(&self, pid: i32) -> oneshot::Receiver<Exit> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.table();
        match table.unclaimed.remove(&pid).filter(|_| !is_alive(pid)) {
            Some(exit) => drop(sender.send(exit)),
            None => drop(table.watched.insert(pid, sender)),
        }
        receiver
    }

    fn reap(&self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            if let Some(code) = status.exit_status().or(signal) {
                self.ended(pid.as_raw_nonzero().get(), Exit::now(code.unsigned_abs()));
            }
        }
    }

    fn ended(&self, pid: i32, exit: Exit) {
        let mut table = self.table();
        if let Some(watcher) = table.watched.remove(&pid) {
            let _ = watcher.send(exit);
        } else if table.expectations > 0 {
            table.unclaimed.insert(pid, exit);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Expectation {
    fn drop(&mut self) {
        let mut table = self.0.table();
        table.expectations -= 1;
        if table.expectations == 0 {
            table.unclaimed.clear();
        }
    }
}

/// Whether the pid has been given to a new process since its exit was seen.
fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Above the kernel's largest pid, so that no process has it.
    const PID: i32 = 1 << 30;

    #[test]
    fn an_exit_before_the_pid_is_told_is_not_lost() {
        let reaper = Reaper::default();
        let expected = reaper.expect();
        let exit = Exit::now(3);
        reaper.ended(PID, exit);
        assert_eq!(reaper.watch(PID).try_recv(), Ok(exit));
        drop(expected);
    }

    #[test]
    fn exits_are_kept_until_the_last_create_is_over_and_no_longer() {
        let reaper = Reaper::default();
        let (first, second) = (reaper.expect(), reaper.expect());
        reaper.ended(PID, Exit::now(0));
        drop(first);
        assert_eq!(reaper.table().unclaimed.len(), 1);
        drop(second);
        assert_eq!(reaper.table().unclaimed.len(), 0);
        reaper.ended(PID, Exit::now(0));
        assert_eq!(reaper.table().unclaimed.len(), 0);
    }

    #[test]
    fn an_old_exit_is_not_told_of_a_new_process_with_its_pid() {
        let reaper = Reaper::default();
        let _expected = reaper.expect();
        let this = i32::try_from(std::process::id()).unwrap();
        reaper.ended(this, Exit::now(0));
        assert!(reaper.watch(this).try_recv().is_err());
    }

    #[test]
    fn a_watcher_is_told_its_own_childs_exit() {
        let reaper = Reaper::default();
        let mut watcher = reaper.watch(PID);
        reaper.ended(PID + 1, Exit::now(0));
        assert!(watcher.try_recv().is_err());
        let exit = Exit::now(143);
        reaper.ended(PID, exit);
        assert_eq!(watcher.try_recv(), Ok(exit));
    }
}
