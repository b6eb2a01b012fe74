//! A lifecycle is the order in which things happen to a process, and the order in which containerd hears of them.
//!
//! ```text
//!                                        paused
//!                                         ▲ ▼
//! creating ──▶ created ──▶ starting ──▶ running ──▶ stopped
//!                 └────────────┴────────────┴───────▲
//! ```
//!
//! A container's is that of its first process. An exec is created when it is added and has a process only from its
//! start on; pausing is a container's alone.
//!
//! Whatever the kernel reports first, containerd hears create < start < exit, and one exit: an exit that comes while
//! the start is under way is kept until the start is told.

use super::event::Event;
use crate::remains::Exit;

/// Where a process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Being made; it has no process yet.
    Creating,
    /// Its process waits for the start.
    Created,
    /// It was told to start, and has not said that it runs.
    Starting,
    /// The guest runs.
    Running,
    /// It runs, but the kernel gives it no time.
    Paused,
    /// Its process has ended.
    Stopped(Exit),
}

/// One process's phase, pid and, during the start, the exit that is not told yet.
#[derive(Debug)]
pub(super) struct Lifecycle {
    phase: Phase,
    pid: u32,
    untold: Option<Exit>,
}

impl Lifecycle {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Creating, pid: 0, untold: None }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The process, 0 as long as there is none.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The process is there and waits.
    pub(super) fn created(&mut self, pid: u32) -> Vec<Event> {
        self.pid = pid;
        self.phase = Phase::Created;
        vec![Event::Created { pid }]
    }

    /// An exec is known, and has no process yet.
    pub(super) fn added(&mut self) -> Vec<Event> {
        self.phase = Phase::Created;
        vec![Event::ExecAdded]
    }

    /// An exec that is being started has got its process.
    pub(super) fn runs_as(&mut self, pid: u32) {
        self.pid = pid;
    }

    /// Begins the start; `Err` holds the phase from which there is none.
    pub(super) fn starting(&mut self) -> Result<(), Phase> {
        match self.phase {
            Phase::Created => {
                self.phase = Phase::Starting;
                Ok(())
            }
            other => Err(other),
        }
    }

    /// The guest runs, or has run.
    pub(super) fn started(&mut self) -> Vec<Event> {
        self.phase = Phase::Running;
        let started = Event::Started { pid: self.pid };
        std::iter::once(started).chain(self.tell_exit()).collect()
    }

    /// The guest will not run; its process has ended or is about to.
    pub(super) fn start_failed(&mut self) -> Vec<Event> {
        self.phase = Phase::Created;
        self.tell_exit().into_iter().collect()
    }

    /// An exec will not run. containerd hears it from the start that failed, and of no exit.
    pub(super) fn never_ran(&mut self, exit: Exit) {
        self.phase = Phase::Stopped(exit);
    }

    /// The kernel gives it no time any more; nothing happens to one that has ended meanwhile.
    pub(super) fn paused(&mut self) -> Vec<Event> {
        self.switch(Phase::Running, Phase::Paused, Event::Paused)
    }

    /// It goes on.
    pub(super) fn resumed(&mut self) -> Vec<Event> {
        self.switch(Phase::Paused, Phase::Running, Event::Resumed)
    }

    fn switch(&mut self, from: Phase, to: Phase, event: Event) -> Vec<Event> {
        if self.phase != from {
            return Vec::new();
        }
        self.phase = to;
        vec![event]
    }

    /// The process has ended.
    pub(super) fn exited(&mut self, exit: Exit) -> Vec<Event> {
        self.untold = Some(exit);
        match self.phase {
            Phase::Starting => Vec::new(),
            _ => self.tell_exit().into_iter().collect(),
        }
    }

    fn tell_exit(&mut self) -> Option<Event> {
        let exit = self.untold.take()?;
        self.phase = Phase::Stopped(exit);
        Some(Event::Exited { pid: self.pid, exit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u32 = 7;
    const CREATED: Event = Event::Created { pid: PID };
    const STARTED: Event = Event::Started { pid: PID };

    fn exited(exit: Exit) -> Event {
        Event::Exited { pid: PID, exit }
    }

    #[test]
    fn a_container_is_created_started_and_exits_in_this_order() {
        let exit = Exit::now(0);
        let mut life = Lifecycle::new();
        assert_eq!(life.created(PID), [CREATED]);
        life.starting().unwrap();
        assert_eq!(life.started(), [STARTED]);
        assert_eq!(life.exited(exit), [exited(exit)]);
        assert_eq!(life.phase(), Phase::Stopped(exit));
    }

    #[test]
    fn an_exit_that_is_faster_than_the_start_is_told_after_it() {
        let exit = Exit::now(3);
        let mut life = Lifecycle::new();
        life.created(PID);
        life.starting().unwrap();
        assert_eq!(life.exited(exit), []);
        assert_eq!(life.started(), [STARTED, exited(exit)]);
    }

    #[test]
    fn a_container_that_could_not_start_exits_without_having_started() {
        let exit = Exit::now(134);
        let mut life = Lifecycle::new();
        life.created(PID);
        life.starting().unwrap();
        assert_eq!(life.start_failed(), []);
        assert_eq!(life.exited(exit), [exited(exit)]);

        let mut life = Lifecycle::new();
        life.created(PID);
        life.starting().unwrap();
        assert_eq!(life.exited(exit), []);
        assert_eq!(life.start_failed(), [exited(exit)]);
    }

    #[test]
    fn a_container_starts_once() {
        let mut life = Lifecycle::new();
        assert_eq!(life.starting(), Err(Phase::Creating));
        life.created(PID);
        life.starting().unwrap();
        assert_eq!(life.starting(), Err(Phase::Starting));
        life.started();
        assert_eq!(life.starting(), Err(Phase::Running));
    }

    #[test]
    fn an_exec_is_added_started_and_exits_or_never_ran() {
        let exit = Exit::now(1);
        let mut life = Lifecycle::new();
        assert_eq!(life.added(), [Event::ExecAdded]);
        life.starting().unwrap();
        life.runs_as(PID);
        assert_eq!(life.started(), [STARTED]);
        assert_eq!(life.exited(exit), [exited(exit)]);

        let mut life = Lifecycle::new();
        life.added();
        life.starting().unwrap();
        life.never_ran(exit);
        assert_eq!(life.starting(), Err(Phase::Stopped(exit)));
    }

    #[test]
    fn only_what_runs_is_paused_and_what_ended_meanwhile_is_not_resumed() {
        let mut life = Lifecycle::new();
        life.created(PID);
        assert_eq!(life.paused(), []);
        life.starting().unwrap();
        life.started();
        assert_eq!(life.paused(), [Event::Paused]);
        assert_eq!(life.starting(), Err(Phase::Paused));
        assert_eq!(life.resumed(), [Event::Resumed]);
        life.paused();
        life.exited(Exit::now(137));
        assert_eq!(life.resumed(), []);
    }

    #[test]
    fn a_created_container_can_exit_without_a_start() {
        let exit = Exit::now(137);
        let mut life = Lifecycle::new();
        life.created(PID);
        assert_eq!(life.exited(exit), [exited(exit)]);
        assert_eq!(life.starting(), Err(Phase::Stopped(exit)));
    }
}
