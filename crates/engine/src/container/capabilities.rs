//! The capabilities of a guest, which the kernel does not execute, so that nothing takes them away.

use std::io;

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set, set_capabilities,
};

/// Leaves this process the capabilities that it would have after executing a program (capabilities(7),
/// "Transformation of capabilities during execve()"): root's are kept, any other user's are the ambient ones.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn keep_as_if_executed() -> io::Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let mut kept = CapabilitySet::empty();
    let held = capabilities(None)?;
    for capability in held.permitted.iter() {
        if capability_is_in_ambient_set(capability)? {
            kept |= capability;
        }
    }
    Ok(set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, ..held })?)
}
