//! A refusal: what a configuration asks for that libcontainer would take and not do, or do and not explain.

use std::path::Path;

use libcontainer::oci_spec::runtime::{Process, Spec};
use wasmedge_messages::{Failure, FailureKind};

/// The largest user or group number, as runc has it.
const LARGEST_ID: u32 = i32::MAX as u32;

/// What libcontainer would take and not do, or do and not explain.
pub(super) fn of_container(spec: &Spec) -> Result<(), Failure> {
    if let Some(process) = spec.process() {
        of_process(process)?;
    }
    ignored(spec)?;
    leaves_room(spec)
}

/// As [`of_container`], of one process.
pub(super) fn of_process(process: &Process) -> Result<(), Failure> {
    if !process.cwd().is_absolute() {
        return refused(format!("config.json: process.cwd {:?} is not an absolute path", process.cwd()));
    }
    if process.args().iter().flatten().any(|arg| arg.contains('\0')) {
        return refused("config.json: process.args: an argument contains a NUL".to_owned());
    }
    if let Some(label) = process.selinux_label().as_ref().filter(|label| !label.is_empty()) {
        return refused(format!("config.json: process.selinuxLabel {label:?}: SELinux is not supported"));
    }
    let user = process.user();
    let ids = [user.uid(), user.gid()].into_iter().chain(user.additional_gids().iter().flatten().copied());
    // The kernel takes the largest number for "as it is", which is root.
    if let Some(id) = ids.into_iter().find(|id| *id > LARGEST_ID) {
        return refused(format!("process.user: {id}: uids and gids must be in range 0-{LARGEST_ID}"));
    }
    if let Some(variable) = process.env().iter().flatten().find(|variable| !variable.contains('=')) {
        return refused(format!("process.env: environment variable {variable:?}: missing '='"));
    }
    Ok(())
}

/// What libcontainer does not read, so that it would be dropped.
fn ignored(spec: &Spec) -> Result<(), Failure> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    if let Some(label) = linux.mount_label().as_ref().filter(|label| !label.is_empty()) {
        return refused(format!("config.json: linux.mountLabel {label:?}: SELinux is not supported"));
    }
    let Some(resources) = linux.resources() else { return Ok(()) };
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        return refused("config.json: linux.resources.rdma is not supported".to_owned());
    }
    let blkio = resources.block_io().as_ref();
    let devices = blkio.and_then(|blkio| blkio.weight_device().as_ref()).into_iter().flatten();
    let weights = devices.map(|device| device.leaf_weight()).chain(blkio.map(|blkio| blkio.leaf_weight()));
    if let Some(weight) = weights.flatten().find(|weight| *weight != 0) {
        return refused(format!("config.json: linux.resources.blockIO.leafWeight {weight} is not supported"));
    }
    let unified = resources.unified().iter().flatten().map(|(file, _)| file).min();
    match unified.filter(|_| !is_unified()) {
        Some(file) => refused(format!(
            "config.json: linux.resources.unified {file:?}: cannot use unified on cgroup v1, which this host has"
        )),
        None => Ok(()),
    }
}

fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn refused(message: String) -> Result<(), Failure> {
    Err(Failure { kind: FailureKind::Unsupported, message })
}

/// A container is made by a process that is in its cgroup with the first one for a moment.
fn leaves_room(spec: &Spec) -> Result<(), Failure> {
    const NEEDED: i64 = 2;
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()?.pids().as_ref());
    match resources.map(|pids| pids.limit()) {
        Some(limit) if (1..NEEDED).contains(&limit) => {
            let message = format!(
                "the container's pids limit is {limit}, and making a container takes {NEEDED} processes"
            );
            Err(Failure { kind: FailureKind::LimitExceeded, message })
        }
        _ => Ok(()),
    }
}
