//! The executor: what libcontainer calls in the container's init process.
//!
//! `validate` comes before create returns and after everything that confines the process: it finds the
//! entrypoint, and for a module loads it, so that a module that cannot run makes create fail. `exec` comes
//! at the start: it closes what the guest must not have, opens its preopens and calls it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::oci_spec::runtime::{LinuxSeccomp, Spec};
use libcontainer::seccomp::initialize_seccomp;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use wasmedge_messages::{Channel, Failure, FailureKind, Mode, Native, Reply, command};

use super::entrypoint;
use super::{capabilities, home, preopens, signals};
use crate::guest::{Guest, NativeCode, NotStarted, Outcome, Source};
use crate::module::{Limits, split_entrypoint};
use crate::shown;
use crate::title;
use crate::vm::{Vm, Wasi};

/// Runs one container's process, native or guest.
#[derive(Clone)]
pub(super) struct GuestExecutor(Rc<Shared>);

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

/// libcontainer clones the executor on its way into the process; all clones mean one process.
struct Shared {
    vm: RefCell<Option<Vm>>,
    task: RefCell<Task>,
    reply: RefCell<Option<Channel>>,
    verdict: Channel,
    home: RefCell<Option<String>>,
    payload: RefCell<Option<Payload>>,
}

enum Payload {
    /// A program for the kernel, and where it was found.
    Native(PathBuf),
    Guest(Box<Guest>),
}

impl GuestExecutor {
    /// An executor that tells its verdict on the entrypoint to the builder, and the start's to the daemon.
    pub(super) fn new(vm: Vm, task: Task, reply: Channel, verdict: Channel) -> Self {
        Self(Rc::new(Shared {
            vm: RefCell::new(Some(vm)),
            task: RefCell::new(task),
            reply: RefCell::new(Some(reply)),
            verdict,
            home: RefCell::new(None),
            payload: RefCell::new(None),
        }))
    }
}

impl Executor for GuestExecutor {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        match self.0.load(spec) {
            Ok(payload) => {
                *self.0.payload.borrow_mut() = Some(payload);
                Ok(())
            }
            Err(failure) => {
                let message = shown::message(&failure.message);
                let failure = Failure { message: message.clone(), ..failure };
                let told = self.0.verdict.send(&failure, &[]);
                told.map_err(|error| ExecutorValidationError::ArgValidationError(error.to_string()))?;
                Err(ExecutorValidationError::ArgValidationError(message))
            }
        }
    }

    /// A guest's environment goes through WASI; only a native program gets the process's own.
    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        let mut envs = envs;
        let home = envs.entry("HOME".to_owned()).or_default();
        if home.is_empty() {
            *home = home::of_this_user();
        }
        if matches!(*self.0.payload.borrow(), Some(Payload::Native(_))) {
            return DefaultExecutor {}.setup_envs(envs);
        }
        *self.0.home.borrow_mut() = envs.remove("HOME");
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        match self.0.payload.borrow_mut().take() {
            Some(Payload::Native(path)) => self.0.exec_native(&path, spec),
            Some(Payload::Guest(guest)) => self.0.run_guest(*guest, spec),
            None => Err(ExecutorError::Other("start without a validated entrypoint".to_owned())),
        }
    }
}

impl Shared {
    fn load(&self, spec: &Spec) -> Result<Payload, Failure> {
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
        let mut task = self.task.borrow_mut();
        if let Some(seccomp) = task.late_seccomp.take() {
            filter_system_calls(&seccomp)?;
        }
        let layer = task.layer.take();
        let found = match layer {
            None => Some(entrypoint::find(arg0, env(spec))?),
            Some(_) => None,
        };
        if let Some(found) = found.as_ref().filter(|found| found.native) {
            signals::restore_defaults();
            return Ok(Payload::Native(found.path.clone()));
        }
        capabilities::keep_as_if_executed().map_err(dropping)?;
        let (source, function) = match layer {
            Some((digest, fd)) => (Source::Layer { digest, file: fd.into() }, split_entrypoint(arg0).1),
            // Once more: with the capabilities that are left, it may not be readable.
            None => {
                let found = entrypoint::find(arg0, env(spec))?;
                (Source::File { path: found.path, file: found.file }, found.function)
            }
        };
        let vm = self.vm.borrow_mut().take().ok_or_else(|| runtime("the VM is gone"))?;
        let (native, artifact) = task.native.take().unzip();
        let code = native.as_ref().zip(artifact);
        let code = code.map(|(native, file)| NativeCode { module: native.module.clone(), file });
        let guest = Guest::load(vm, source, code, function, task.limits)?;
        fits(&guest, memory_limit(spec))?;
        self.tell_mode(&guest, native.is_some_and(|native| native.required))?;
        signals::end_on_request();
        Ok(Payload::Guest(Box::new(guest)))
    }

    fn tell_mode(&self, guest: &Guest, required: bool) -> Result<(), Failure> {
        if let (Mode::Interpreted { why }, true) = (guest.mode(), required) {
            let message = format!("{}: native code is required, but {why}", guest.name());
            return Err(Failure { kind: FailureKind::Unsupported, message });
        }
        if let Some(reply) = &*self.reply.borrow() {
            // A daemon that is gone learns nothing.
            let _ = reply.send(&Reply::Loaded(guest.mode().clone()), &[]);
        }
        Ok(())
    }

    /// Becomes the program. What the kernel refuses is not given to a shell, which `execvp` would do.
    fn exec_native(&self, path: &Path, spec: &Spec) -> Result<(), ExecutorError> {
        let all = whole_args(spec);
        let path = match all.first() {
            Some(init) if all.len() > args(spec).len() => Path::new(init),
            _ => path,
        };
        let program = CString::new(path.as_os_str().as_bytes());
        let words: Result<Vec<CString>, _> = all.iter().map(|arg| CString::new(arg.as_bytes())).collect();
        let words = program.and_then(|program| Ok((program, words?)));
        let (program, words) = words.map_err(|error| ExecutorError::Other(error.to_string()))?;
        // On success the reply channel closes with the execve, which tells the daemon that it runs.
        let Err(errno) = nix::unistd::execv(&program, &words);
        tell(self.reply.borrow_mut().take(), &Reply::Failed(not_executed(path, errno)));
        std::process::exit(1)
    }

    fn run_guest(&self, mut guest: Guest, spec: &Spec) -> Result<(), ExecutorError> {
        let reply = self.reply.borrow_mut().take();
        close_all_but(reply.as_ref());
        let wasi = self.wasi(spec);
        let outcome = match guest.instantiate(&wasi) {
            Ok(()) => {
                tell(reply, &Reply::Running);
                guest.run()
            }
            Err(NotStarted::Exited(code)) => {
                tell(reply, &Reply::Running);
                Outcome::Exited(code)
            }
            Err(NotStarted::Failed(failure)) => {
                let message = shown::message(&failure.message);
                tell(reply, &Reply::Failed(Failure { message, ..failure }));
                std::process::exit(1);
            }
        };
        std::process::exit(outcome.report())
    }

    fn wasi(&self, spec: &Spec) -> Wasi {
        let mut env = env(spec).to_vec();
        let cwd = spec.process().as_ref().map_or("/".into(), |process| process.cwd().display().to_string());
        add_missing(&mut env, "HOME", self.home.borrow().as_deref());
        // Go resolves relative paths against $PWD; for wasi-libc see the preopens.
        add_missing(&mut env, "PWD", Some(&cwd));
        Wasi { args: args(spec).to_vec(), env, preopens: preopens::of(&cwd) }
    }
}

/// In runc's words, some of which Docker turns into exit codes.
fn not_executed(path: &Path, errno: Errno) -> Failure {
    let (kind, cause) = match errno {
        Errno::ENOENT => (FailureKind::NotFound, "no such file or directory".to_owned()),
        Errno::EACCES => (FailureKind::PermissionDenied, "permission denied".to_owned()),
        Errno::ENOEXEC => (FailureKind::InvalidModule, "exec format error".to_owned()),
        other => (FailureKind::Runtime, other.desc().to_lowercase()),
    };
    Failure { kind, message: format!("exec {}: {cause}", path.display()) }
}

/// Tells the daemon and closes the channel. A daemon that is gone learns nothing; the container goes on.
fn tell(channel: Option<Channel>, reply: &Reply) {
    if let Some(channel) = channel {
        let _ = channel.send(reply, &[]);
    }
}

/// Closes every descriptor but the standard streams and `kept`, whoever owns them: this process never
/// returns to their owners, it ends in [`Shared::run_guest`].
fn close_all_but(kept: Option<&Channel>) {
    let close = |from: i32, to: i32| {
        // SAFETY: see above; no owner of a closed descriptor is ever used or dropped again.
        unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
    };
    match kept.map(|channel| channel.as_fd().as_raw_fd()) {
        Some(kept) => {
            if kept > 3 {
                close(3, kept - 1);
            }
            close(kept + 1, i32::MAX);
        }
        None => close(3, i32::MAX),
    }
}

/// What is to be run; a native program is run with an init that may stand before it.
fn args(spec: &Spec) -> &[String] {
    command(whole_args(spec))
}

fn whole_args(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default()
}

fn env(spec: &Spec) -> &[String] {
    spec.process().as_ref().and_then(|process| process.env().as_deref()).unwrap_or_default()
}

fn add_missing(env: &mut Vec<String>, name: &str, value: Option<&str>) {
    let set = env.iter().any(|pair| pair.split_once('=').is_some_and(|(known, _)| known == name));
    if let (false, Some(value)) = (set, value) {
        env.push(format!("{name}={value}"));
    }
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
