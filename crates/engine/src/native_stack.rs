//! The native stack: what ends a guest of native code that recurses without end.
//!
//! Native code recurses on the process's own stack, and finds its end by a fault. WasmEdge takes every fault for an
//! access beyond linear memory, but asks the kernel to tell it on that same stack, where there is no room left: the
//! kernel kills the process. So its `sigaction` comes here first (a program may replace the C library's function):
//! faults are told on a stack of their own, and those of the stack end the guest with a trap. All others are
//! WasmEdge's.

use std::ffi::c_int;
use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{sigaction as Action, siginfo_t};

use crate::replaced::Replaced;

/// Room for the handlers, WasmEdge's included, which walks the guest's stack.
const HANDLER_STACK: usize = 256 << 10;
/// How far from the stack pointer a fault is one of the stack: the kernel's guard gap, and a large frame.
const NEAR: usize = 2 << 20;
/// The most stack that a guest gets, where the container's limit is higher or there is none.
const MOST: u64 = 64 << 20;

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut libc::c_void);
type Sigaction = unsafe extern "C" fn(c_int, *const Action, *mut Action) -> c_int;

/// The handler of the faults that are not the stack's; 0 before a guest of native code is loaded.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static END: OnceLock<End> = OnceLock::new();

/// Ends a guest whose stack is exhausted; it is given the address of the instruction that faulted.
type End = Box<dyn Fn(usize) + Send + Sync>;

/// From now on a guest of native code runs in this process; `end` ends it when its stack is exhausted.
pub fn arm(end: impl Fn(usize) + Send + Sync + 'static) {
    END.get_or_init(|| {
        limit();
        // SAFETY: the memory is mapped for good and belongs to nothing else.
        unsafe {
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let stack = libc::mmap(ptr::null_mut(), HANDLER_STACK, protection, flags, -1, 0);
            if stack != libc::MAP_FAILED {
                let stack = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: HANDLER_STACK };
                libc::sigaltstack(&stack, ptr::null_mut());
            }
        }
        Box::new(end)
    });
}

fn limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Stack);
    if now.current.is_none_or(|current| current > MOST) {
        // Lowering is always allowed.
        let _ = setrlimit(Resource::Stack, Rlimit { current: Some(MOST), maximum: now.maximum });
    }
}

/// The C library's `sigaction`, for everything in this process.
///
/// # Safety
/// As for the original.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int {
    // SAFETY: the C library has this type for it.
    static LIBRARYS: Replaced<Sigaction> = unsafe { Replaced::new(c"sigaction") };
    let Some(original) = LIBRARYS.original() else { return -1 };
    // SAFETY: the caller's promises are passed on. A handler that takes the fault's details is replaced by ours,
    // which takes them too.
    unsafe {
        let Some(wanted) =
            new.as_ref().filter(|new| is_fault(signal) && new.sa_flags & libc::SA_SIGINFO != 0)
        else {
            return original(signal, new, old);
        };
        if END.get().is_none() {
            return original(signal, new, old);
        }
        NEXT.store(wanted.sa_sigaction, Ordering::Relaxed);
        let handler: Handler = on_fault;
        let ours = Action {
            sa_sigaction: handler as usize,
            sa_flags: wanted.sa_flags | libc::SA_ONSTACK,
            ..*wanted
        };
        original(signal, &ours, old)
    }
}

fn is_fault(signal: c_int) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE)
}

extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut libc::c_void) {
    // Sent by somebody, it would be dropped if there were no handler: a guest is a first process.
    // SAFETY: the kernel passes it, valid during the call.
    if unsafe { (*info).si_code } <= 0 {
        return;
    }
    // SAFETY: the kernel passes both, valid during the call.
    let (fault, at) = unsafe { ((*info).si_addr() as usize, Place::of(context)) };
    if fault.abs_diff(at.stack) < NEAR
        && let Some(end) = END.get()
    {
        end(at.instruction);
    }
    let next = NEXT.load(Ordering::Relaxed);
    if next != 0 {
        // SAFETY: it was given to `sigaction` as a handler of this type.
        let next = unsafe { mem::transmute::<usize, Handler>(next) };
        next(signal, info, context);
    }
}

/// Where a process was when a signal came.
struct Place {
    stack: usize,
    instruction: usize,
}

impl Place {
    /// # Safety
    /// `context` must be the one that a signal handler was given.
    unsafe fn of(context: *mut libc::c_void) -> Self {
        // SAFETY: the caller's promise.
        let context = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
        #[cfg(target_arch = "x86_64")]
        let (stack, instruction) =
            (context.gregs[libc::REG_RSP as usize], context.gregs[libc::REG_RIP as usize]);
        #[cfg(target_arch = "aarch64")]
        let (stack, instruction) = (context.sp, context.pc);
        Self { stack: stack as usize, instruction: instruction as usize }
    }
}
