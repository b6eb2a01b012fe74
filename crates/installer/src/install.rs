//! `install`: a node becomes one that runs Wasm pods, or stays what it was.
//!
//! | step | taken back by |
//! |---|---|
//! | unpack the payload into a directory of its version | removing it |
//! | run a Wasm container from there: what does not run is found before anything depends on it | |
//! | switch `current` to it | switching back |
//! | register the runtime, if it is not registered so already | putting the file back |
//! | restart containerd, if its configuration has changed | restarting it again |
//! | look for the handler, and run a Wasm container again | |
//! | label the node | |
//!
//! A label that could not be set takes nothing back: the runtime is in order, the pod is started again, and a restart of
//! containerd for nothing would help nobody.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::cluster::Home;
use crate::containerd::Verified;
use crate::effective::Effective;
use crate::host::TextFile;
use crate::payload::Payload;
use crate::place::Place;
use crate::record::Record;
use crate::report;
use crate::settings::{Node, Settings};
use crate::undo::Undo;
use crate::uninstall::wait_until_unused;

/// For how long the daemon of a container that was tried stays, and more.
const LINGER: Duration = Duration::from_secs(30);
/// What the runtime itself leaves on a node.
const TRACES: [&str; 2] = ["/var/cache/containerd-shim-wasmedge", "/run/containerd-shim-wasmedge"];

/// See [the module](self).
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// The tarball of `make dist`
    #[arg(long, default_value = "/dist.tar.gz", value_name = "FILE")]
    payload: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

impl Install {
    /// Installs. Fails with the step that failed, after taking back what was done.
    pub(crate) fn run(self) -> Result<()> {
        let home = Home::of(&self.settings.identity)?;
        let done = self.settings.node().and_then(|node| {
            let payload = Payload::open(&self.payload)?;
            let verified = install_or_roll_back(&node, &payload)?;
            if let Some(home) = &home {
                home.label(&verified)?;
            }
            for version in node.versions().prune()? {
                println!("wasmedge-node-installer: version {version} is no longer used and was removed");
            }
            Ok(format!("{} is ready, handler {}", payload.name(), node.registration.handler))
        });
        match done {
            Ok(message) => report::done(home.as_ref(), "Installed", &message),
            Err(error) => {
                report::failed(home.as_ref(), "InstallFailed", &error);
                return Err(error);
            }
        }
        Ok(())
    }
}

fn install_or_roll_back(node: &Node, payload: &Payload) -> Result<Verified> {
    let restarted = Cell::new(false);
    let mut undo = Undo::default();
    let error = match install(node, payload, &restarted, &mut undo) {
        Ok(verified) => return Ok(verified),
        Err(error) => error,
    };
    let failures = undo.roll_back();
    Err(match failures.is_empty() {
        true => error.context("nothing was installed, the node is as it was"),
        false => {
            let failures: Vec<_> = failures.iter().map(|failure| format!("{failure:#}")).collect();
            error.context(format!("the node could not be put back ({})", failures.join("; ")))
        }
    })
}

fn install<'a>(
    node: &'a Node,
    payload: &'a Payload,
    restarted: &'a Cell<bool>,
    undo: &mut Undo<'a>,
) -> Result<Verified> {
    let generation = node.containerd.generation()?;
    node.containerd.handlers()?;
    let place = Place::choose(&node.host, &node.layout, generation, &node.registration)?;
    let record = start_record(node, undo)?;
    unpack(node, payload, undo)?;
    let versions = node.versions();
    node.containerd.try_out(&node.host, &versions.shim_of(payload.name()), &node.directory)?;
    undo.push("restarting containerd", || if restarted.get() { node.restart_containerd() } else { Ok(()) });
    switch(node, payload, undo)?;
    let mut record = register(node, &place, record, undo)?;
    if record.restart_due {
        restarted.set(true);
        node.restart_containerd()?;
        record.restart_due = false;
        record.save(&node.host, &node.directory)?;
    }
    node.containerd.verify(&node.host, &node.registration, &node.directory)
}

/// The record as it is, or a new one in a new directory.
fn start_record<'a>(node: &'a Node, undo: &mut Undo<'a>) -> Result<Record> {
    if let Some(record) = Record::load(&node.host, &node.directory)? {
        let before = record.clone();
        undo.push("putting the record back", move || before.save(&node.host, &node.directory));
        return Ok(record);
    }
    let directories = node.host.missing_directories(&node.directory);
    let is_new = |path: &PathBuf| !node.host.has(path);
    let traces: Vec<_> = TRACES.iter().map(PathBuf::from).filter(is_new).collect();
    let (outermost, left) = (directories.first().cloned(), traces.clone());
    undo.push("removing the installer's directory", move || {
        // The daemon of the Wasm container that was tried goes a moment after it.
        wait_until_unused(&node.versions(), LINGER)?;
        left.iter().chain(&outermost).try_for_each(|path| node.host.remove_tree(path))
    });
    node.host.make_directory(&node.directory)?;
    let record = Record { directories, traces, ..Record::default() };
    record.save(&node.host, &node.directory)?;
    Ok(record)
}

fn unpack<'a>(node: &'a Node, payload: &'a Payload, undo: &mut Undo<'a>) -> Result<()> {
    let version = node.versions().of(payload.name());
    if !node.host.has(&version) {
        undo.push("removing the new version", move || node.host.remove_tree(&version));
    }
    node.versions().unpack(payload)
}

fn switch<'a>(node: &'a Node, payload: &Payload, undo: &mut Undo<'a>) -> Result<()> {
    let versions = node.versions();
    let before = versions.current();
    if before.as_deref() == Some(payload.name()) {
        return Ok(());
    }
    undo.push("switching back", move || node.versions().switch(before.as_deref()));
    versions.switch(Some(payload.name()))
}

/// Writes the registration where it belongs, if it is not there, and looks what containerd will make of it.
fn register<'a>(node: &'a Node, place: &Place, mut record: Record, undo: &mut Undo<'a>) -> Result<Record> {
    let now = node.host.read(&place.file)?;
    let after = place.register(now.as_ref().map(|file| file.text.as_str()), &node.registration)?;
    let moved: Vec<_> = record.files.keys().filter(|file| **file != place.file).cloned().collect();
    if moved.is_empty() && now.as_ref().is_some_and(|file| file.text == after) {
        record.note(&place.file, now, &after, place.form, &node.registration)?;
        record.save(&node.host, &node.directory)?;
        return Ok(record);
    }
    let before =
        place.can_be_foreseen().then(|| Effective::of(&node.host, &node.layout)).transpose()?.flatten();
    if let Some(before) = &before {
        before.refuse_anothers(&node.registration)?;
    }
    let directory = place.file.parent().context("the configuration has no directory")?;
    let made = node.host.missing_directories(directory);
    if let Some(outermost) = made.first().cloned() {
        undo.push("removing a directory that was made", move || node.host.remove_tree(&outermost));
    }
    record.directories.extend(made);
    record.note(&place.file, now.clone(), &after, place.form, &node.registration)?;
    record.restart_due = true;
    record.save(&node.host, &node.directory)?;

    node.host.make_directory(directory)?;
    // From where an earlier containerd wanted it.
    for file in moved {
        let Some(change) = record.files.remove(&file) else { continue };
        let now = node.host.read(&file)?;
        let then = change.undone(now.clone(), &node.registration)?;
        let path = file.clone();
        undo.push("putting a file back", move || node.put(&path, now.as_ref()));
        node.put(&file, then.as_ref())?;
    }
    let file = place.file.clone();
    let written = TextFile { text: after, ..now.clone().unwrap_or_else(|| TextFile::new(String::new())) };
    undo.push("putting the configuration back", move || node.put(&file, now.as_ref()));
    node.host.write(&place.file, &written)?;
    match before {
        Some(before) => {
            let after = Effective::of(&node.host, &node.layout)?.context("containerd's program has gone")?;
            after.ensure_only_adds(before, &node.registration.handler)?;
        }
        None => {
            println!("wasmedge-node-installer: what containerd makes of this is seen after its restart only")
        }
    }
    Ok(record)
}
