//! `uninstall`: the node becomes what it was, byte for byte.
//!
//! | step | taken back by |
//! |---|---|
//! | change the label, so that no Wasm pods come | nothing: the label says that the node is leaving |
//! | wait until nothing runs from the installer's directory | |
//! | put every file back | writing it again |
//! | restart containerd, if a file has changed | restarting it again |
//! | remove the runtime, its cache, the directories that were made, the label | |

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cluster::Home;
use crate::payload::Versions;
use crate::record::Record;
use crate::report;
use crate::retry::until_it_succeeds;
use crate::settings::{Node, Settings};
use crate::undo::Undo;

/// See [the module](self).
#[derive(Debug, Clone, Args)]
pub(crate) struct Uninstall {
    /// For how many seconds running Wasm containers are waited for
    #[arg(long, default_value = "60", value_name = "SECONDS")]
    wait: u64,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

impl Uninstall {
    /// Uninstalls. Fails with the step that failed, after taking back what was done.
    pub(crate) fn run(self) -> Result<()> {
        let home = Home::of(&self.settings.identity)?;
        let done = self.settings.node().and_then(|node| self.uninstall(&node, home.as_ref()));
        match &done {
            Ok(()) => report::done(home.as_ref(), "Uninstalled", "the node is as it was"),
            Err(error) => report::failed(home.as_ref(), "UninstallFailed", error),
        }
        done
    }

    fn uninstall(&self, node: &Node, home: Option<&Home>) -> Result<()> {
        if let Some(home) = home {
            home.close()?;
        }
        if let Some(record) = Record::load(&node.host, &node.directory)? {
            self.take_away(node, &record)?;
        }
        home.map_or(Ok(()), Home::unlabel)
    }

    fn take_away(&self, node: &Node, record: &Record) -> Result<()> {
        wait_until_unused(&node.versions(), Duration::from_secs(self.wait))?;
        let restarted = Cell::new(false);
        let mut undo = Undo::default();
        if let Err(error) = put_back(node, record, &restarted, &mut undo) {
            let failures: Vec<_> = undo.roll_back().iter().map(|failure| format!("{failure:#}")).collect();
            return Err(match failures.is_empty() {
                true => error.context("nothing was removed"),
                false => error.context(format!("the node could not be put back ({})", failures.join("; "))),
            });
        }
        remove(node, record)
    }
}

/// Waits until no process runs from the installer's directory. Fails after that time, with those that do.
pub(crate) fn wait_until_unused(versions: &Versions<'_>, patience: Duration) -> Result<()> {
    // The processes are no children of this one, and there may be many.
    until_it_succeeds(patience, || {
        let pids: Vec<_> = versions.processes().iter().map(|process| process.pid.to_string()).collect();
        ensure!(
            pids.is_empty(),
            "Wasm containers still run here (processes {}): delete their pods first",
            pids.join(", ")
        );
        Ok(())
    })
}

fn put_back<'a>(
    node: &'a Node,
    record: &Record,
    restarted: &'a Cell<bool>,
    undo: &mut Undo<'a>,
) -> Result<()> {
    undo.push("restarting containerd", || if restarted.get() { node.restart_containerd() } else { Ok(()) });
    let mut changed = record.restart_due;
    for (file, change) in &record.files {
        let now = node.host.read(file)?;
        let then = change.undone(now.clone(), &node.registration)?;
        if now == then {
            continue;
        }
        changed = true;
        let path = file.clone();
        undo.push("putting a file back", move || node.put(&path, now.as_ref()));
        node.put(file, then.as_ref())?;
    }
    if changed {
        restarted.set(true);
        node.restart_containerd()?;
    }
    Ok(())
}

fn remove(node: &Node, record: &Record) -> Result<()> {
    for trace in &record.traces {
        node.host.remove_tree(trace)?;
    }
    node.host.remove_tree(&node.directory)?;
    for directory in record.directories.iter().rev() {
        let real = node.host.resolve(directory)?;
        // One that holds something of somebody else's by now stays.
        match std::fs::remove_dir(&real) {
            Err(error) if !is_harmless(&error) => {
                return Err(error).with_context(|| format!("removing {}", directory.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_harmless(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
    matches!(error.kind(), DirectoryNotEmpty | NotFound)
}
