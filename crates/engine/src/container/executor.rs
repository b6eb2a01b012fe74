//! The executor: what libcontainer calls in the container's init process.
//!
//! `validate` comes before create returns and after everything that confines the process; it loads. `exec` comes
//! at the start: it closes what the guest must not have, opens its preopens and calls it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use libcontainer::hooks::HookError;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::default::DefaultExecutor;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use nix::errno::Errno;
use wasmedge_messages::{Channel, Failure, FailureKind, Reply};

use super::loading::{Payload, Task, args, env, whole_args};
use super::{home, preopens};
use crate::guest::{Guest, NotStarted, Outcome};
use crate::shown;
use crate::vm::{Vm, Wasi};

/// Runs one container's process, native or guest.
#[derive(Clone)]
pub(super) struct GuestExecutor(Rc<Shared>);

/// libcontainer clones the executor on its way into the process; all clones mean one process.
struct Shared {
    vm: RefCell<Option<Vm>>,
    task: RefCell<Task>,
    reply: RefCell<Option<Channel>>,
    verdict: Channel,
    home: RefCell<Option<String>>,
    payload: RefCell<Option<Payload>>,
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
        let task = &mut *self.0.task.borrow_mut();
        match task.load(&mut self.0.vm.borrow_mut(), self.0.reply.borrow().as_ref(), spec) {
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

    /// A hook of the start has failed, and so has the start.
    fn not_started(&self, error: &HookError) {
        let failure = Failure { kind: FailureKind::Runtime, message: error.to_string() };
        tell(self.0.reply.borrow_mut().take(), &Reply::Failed(failure));
        std::process::exit(1);
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
        if let (Some(1..), Some(reply)) = (hooks.map(Vec::len), self.0.reply.borrow().as_ref()) {
            // A daemon that is gone learns nothing; the container goes on.
            let _ = reply.send(&Reply::Hooked, &[]);
        }
        match self.0.payload.borrow_mut().take() {
            Some(Payload::Native(path)) => self.0.exec_native(&path, spec),
            Some(Payload::Guest(guest)) => self.0.run_guest(*guest, spec),
            None => Err(ExecutorError::Other("start without a validated entrypoint".to_owned())),
        }
    }
}

impl Shared {
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

fn add_missing(env: &mut Vec<String>, name: &str, value: Option<&str>) {
    let set = env.iter().any(|pair| pair.split_once('=').is_some_and(|(known, _)| known == name));
    if let (false, Some(value)) = (set, value) {
        env.push(format!("{name}={value}"));
    }
}
