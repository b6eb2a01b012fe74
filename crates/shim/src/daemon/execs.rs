//! The execs of one container: a table that is closed when the container's first process ends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci_spec::runtime;

use super::lifecycle::Phase;
use super::process::Process;
use crate::failure::{Failure, Result};

/// The execs of one container.
#[derive(Debug, Default)]
pub(super) struct Execs(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    all: HashMap<String, Arc<Exec>>,
    /// The container's first process has ended; nothing starts any more.
    closed: bool,
}

/// One exec.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) process: Arc<Process>,
    /// As it was asked for.
    pub(super) wanted: runtime::Process,
    /// Its own directory, which goes with it.
    pub(super) dir: PathBuf,
}

impl Execs {
    /// The exec with this id.
    pub(super) fn get(&self, id: &str) -> Result<Arc<Exec>> {
        self.table()
            .all
            .get(id)
            .cloned()
            .ok_or_else(|| Failure::not_found(format!("process does not exist {id}")))
    }

    /// Those that have a process, by their id and pid.
    pub(super) fn pids(&self) -> HashMap<u32, String> {
        let table = self.table();
        table.all.iter().map(|(id, exec)| (exec.process.lifecycle().pid(), id.clone())).collect()
    }

    /// Those that there are.
    pub(super) fn all(&self) -> Vec<Arc<Exec>> {
        self.table().all.values().cloned().collect()
    }

    /// Lets no further exec start, and returns those whose end is still to come.
    pub(super) fn close(&self) -> Vec<Arc<Exec>> {
        let mut table = self.table();
        table.closed = true;
        let live = |exec: &&Arc<Exec>| matches!(exec.process.phase(), Phase::Starting | Phase::Running);
        table.all.values().filter(live).cloned().collect()
    }

    pub(super) fn add(&self, id: &str, exec: Arc<Exec>) -> Result<()> {
        let mut table = self.table();
        if table.closed {
            return Err(Failure::precondition("cannot exec in a stopped container"));
        }
        if table.all.contains_key(id) {
            return Err(Failure::already_exists(format!("id {id}: the exec already exists")));
        }
        table.all.insert(id.to_owned(), exec);
        Ok(())
    }

    pub(super) fn begin(&self, exec: &Exec) -> Result<()> {
        if self.table().closed {
            return Err(Failure::precondition("cannot exec in a stopped container"));
        }
        exec.process.lifecycle().starting().map_err(|phase| {
            let what = if matches!(phase, Phase::Stopped(_)) { "stopped" } else { "running" };
            Failure::precondition(format!("cannot start a {what} process"))
        })
    }

    pub(super) fn remove(&self, exec: &Exec) {
        self.table().all.retain(|_, other| !std::ptr::eq(&**other, exec));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
