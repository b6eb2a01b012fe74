//! `delete`: removes what is left of a container, or of a pod and all its containers, whose daemon is gone.
//!
//! So is what the daemon itself has left. containerd runs it in the bundle when a shim died, could not start, or is not there after containerd's restart.

use anyhow::{Context, Result};
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message;

use crate::bundle::Bundle;
use crate::invocation::Invocation;
use crate::member::Member;
use crate::remains::{self, Exit};
use crate::rendezvous::Rendezvous;

/// What containerd reports of a container whose end nobody saw: killed.
const KILLED: u32 = 128 + 9;

/// Kills, unmounts and removes; returns the encoded `DeleteResponse` with the exit status, if it was recorded.
pub(crate) fn delete(invocation: &Invocation) -> Result<Vec<u8>> {
    let bundle = Bundle::new(invocation.bundle_dir()?, &invocation.id)?;
    let exit = Exit::recorded(&bundle).unwrap_or_else(|| Exit::now(KILLED));
    for member in Member::all(&bundle) {
        member.clear()?;
    }
    remains::clear(&bundle, bundle.cgroup().as_ref())
        .with_context(|| format!("cleaning up after container {}", bundle.id()))?;
    Rendezvous::sweep()?;
    DeleteResponse { exit_status: exit.status, exited_at: Some(exit.at.into()).into(), ..Default::default() }
        .write_to_bytes()
        .context("encoding the answer")
}
