//! The capabilities of a guest, which the kernel does not execute, so that nothing takes them away.

use std::io;

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Leaves this process the capabilities that it would have after executing a program (capabilities(7),
/// "Transformation of capabilities during execve()"): root those that are inheritable or in the bounding set, any other
/// user the ambient ones; and none that it does not have.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn keep_as_if_executed() -> io::Result<()> {
    let held = capabilities(None)?;
    let is_root = geteuid().is_root();
    let mut kept = CapabilitySet::empty();
    for capability in held.permitted.iter() {
        let is_kept = match is_root {
            true => held.inheritable.contains(capability) || capability_is_in_bounding_set(capability)?,
            false => capability_is_in_ambient_set(capability)?,
        };
        if is_kept {
            kept |= capability;
        }
    }
    Ok(set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, ..held })?)
}

/// Leaves this process none at all, and none to gain: a configuration without capabilities grants none (runtime-spec,
/// "process.capabilities"), where libcontainer would leave all.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn drop_all() -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        if let Ok(true) = capability_is_in_bounding_set(capability) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}
