//! Loading: what the container's process does before create returns, once it is confined. It finds the entrypoint, and if
//! that is a module, loads it, so that one that cannot run makes create fail.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use libcontainer::oci_spec::runtime::{LinuxSeccomp, Spec};
use libcontainer::seccomp::initialize_seccomp;
use wasmedge_messages::{Channel, Failure, FailureKind, Mode, Native, Reply, command};

use super::{capabilities, entrypoint, signals};
use crate::guest::{Guest, NativeCode, Source};
use crate::module::{Limits, split_entrypoint};
use crate::title;
use crate::vm::Vm;

/// What the process is to run, and how much more it has to be confined.
pub(super) struct Task {
    /// The module, when it is a layer of the image: its digest and its bytes.
    pub(super) layer: Option<(String, OwnedFd)>,
    /// What was compiled from the module, and where that is.
    pub(super) native: Option<(Native, OwnedFd)>,
    /// What a module may be.
    pub(super) limits: Limits,
    /// A system call filter that libcontainer has not set. It needs `no_new_privs`, which is set first.
    pub(super) late_seccomp: Option<LinuxSeccomp>,
}

/// What was loaded.
pub(super) enum Payload {
    /// A program for the kernel, and where it was found.
    Native(PathBuf),
    Guest(Box<Guest>),
}

impl Task {
    /// Finds and loads what `spec` names, after which nothing of it can be asked again. How a module is run is told to
    /// the daemon by `reply`.
    ///
    /// # Errors
    /// When it cannot run, in the words that Docker turns into exit codes.
    pub(super) fn load(
        &mut self,
        vm: &mut Option<Vm>,
        reply: Option<&Channel>,
        spec: &Spec,
    ) -> Result<Payload, Failure> {
        let args = args(spec);
        let Some(arg0) = args.first() else {
            let message = "config.json: process.args is empty: there is nothing to run".to_owned();
            return Err(Failure { kind: FailureKind::Unsupported, message });
        };
        title::set_name(args);
        let dropping = |error: std::io::Error| runtime(&format!("dropping capabilities: {error}"));
        if spec.process().as_ref().is_some_and(|process| process.capabilities().is_none()) {
            capabilities::drop_all().map_err(dropping)?;
        }
        if let Some(seccomp) = self.late_seccomp.take() {
            filter_system_calls(&seccomp)?;
        }
        let layer = self.layer.take();
        let found = match layer {
            None => Some(entrypoint::find(arg0, env(spec))?),
            Some(_) => None,
        };
        if let Some(found) = found.as_ref().filter(|found| found.native) {
            signals::restore_defaults();
            return Ok(Payload::Native(found.path.clone()));
        }
        capabilities::keep_as_if_executed().map_err(dropping)?;
        // Whether somebody means it to be run, as a module or by the kernel.
        let mut may_be_meant = true;
        let (source, function) = match layer {
            Some((digest, fd)) => (Source::Layer { digest, file: fd.into() }, split_entrypoint(arg0).1),
            // Once more: with the capabilities that are left, it may not be readable.
            None => {
                let found = entrypoint::find(arg0, env(spec))?;
                may_be_meant = found.executable || found.is_meant_as_module();
                (Source::File { path: found.path, file: found.file }, found.function)
            }
        };
        let vm = vm.take().ok_or_else(|| runtime("the VM is gone"))?;
        let (native, artifact) = self.native.take().unzip();
        let code = native.as_ref().zip(artifact);
        let code = code.map(|(native, file)| NativeCode { module: native.module.clone(), file });
        let guest = Guest::load(vm, source, code, function, self.limits)
            .map_err(|failure| if may_be_meant { failure } else { not_executable(failure) })?;
        fits(&guest, memory_limit(spec))?;
        tell_mode(reply, &guest, native.is_some_and(|native| native.required))?;
        signals::end_on_request();
        Ok(Payload::Guest(Box::new(guest)))
    }
}

fn tell_mode(reply: Option<&Channel>, guest: &Guest, required: bool) -> Result<(), Failure> {
    if let (Mode::Interpreted { why }, true) = (guest.mode(), required) {
        let message = format!("{}: native code is required, but {why}", guest.name());
        return Err(Failure { kind: FailureKind::Unsupported, message });
    }
    if let Some(reply) = reply {
        // A daemon that is gone learns nothing.
        let _ = reply.send(&Reply::Loaded(guest.mode().clone()), &[]);
    }
    Ok(())
}

/// A file that is no module and that the kernel would not run either: for Docker this is its permission.
fn not_executable(failure: Failure) -> Failure {
    match failure.kind {
        FailureKind::InvalidModule => Failure {
            kind: FailureKind::PermissionDenied,
            message: format!("{}: permission denied: it is not executable either", failure.message),
        },
        _ => failure,
    }
}

/// What is to be run; a native program is run with an init that may stand before it.
pub(super) fn args(spec: &Spec) -> &[String] {
    command(whole_args(spec))
}

/// All words of the command.
pub(super) fn whole_args(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default()
}

/// The configuration's environment.
pub(super) fn env(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.env().as_deref()).unwrap_or_default()
}

fn filter_system_calls(seccomp: &LinuxSeccomp) -> Result<(), Failure> {
    nix::sys::prctl::set_no_new_privs()
        .map_err(|error| runtime(&format!("setting no_new_privs: {error}")))?;
    initialize_seccomp(seccomp)
        .map_err(|error| runtime(&format!("setting the system call filter: {error}")))?;
    Ok(())
}

fn fits(guest: &Guest, limit: Option<u64>) -> Result<(), Failure> {
    let needed = guest.minimum_memory();
    let Some(limit) = limit.filter(|limit| needed > *limit) else { return Ok(()) };
    let name = guest.name();
    let message = format!(
        "{name}: the module needs at least {needed} bytes of memory, the container's limit is {limit}"
    );
    Err(Failure { kind: FailureKind::LimitExceeded, message })
}

/// The container's memory limit in bytes, if it has one (-1 means none, runtime-spec config-linux.md).
fn memory_limit(spec: &Spec) -> Option<u64> {
    let resources = spec.linux().as_ref()?.resources().as_ref()?;
    resources
        .memory()
        .as_ref()?
        .limit()
        .and_then(|limit| u64::try_from(limit).ok())
        .filter(|limit| *limit > 0)
}

fn runtime(message: &str) -> Failure {
    Failure { kind: FailureKind::Runtime, message: message.to_owned() }
}
