//! A VM: the safe face of the few WasmEdge C functions that a container needs.
//!
//! It is prepared once, by the zygote, and used once, by the process forked from it. Why not the
//! SDK's own `Vm`: its executor blocks and unblocks a signal around every host call (two system calls
//! each, for a timeout feature that is not used here), and it offers no way to hear WasmEdge's log,
//! which is the only place where a trap's function is told.
//!
//! Nothing but the module is ever freed: the process that holds it ends with the guest.

use std::ffi::{CStr, c_char};
use std::ptr;

use wasmedge_sys::{AsInstance, WasiModule, ffi};

use crate::diagnosis;

/// The part of an error code that tells the phase, for those of execution (WasmEdge's `enum.inc`).
const EXECUTION_PHASE: u32 = 4;

/// WasmEdge, configured and ready to take one module.
pub struct Vm {
    loader: *mut ffi::WasmEdge_LoaderContext,
    native_loader: *mut ffi::WasmEdge_LoaderContext,
    validator: *mut ffi::WasmEdge_ValidatorContext,
    executor: *mut ffi::WasmEdge_ExecutorContext,
    store: *mut ffi::WasmEdge_StoreContext,
    wasi: WasiModule,
}

/// A module that WasmEdge has parsed and validated.
pub struct Loaded(*mut ffi::WasmEdge_ASTModuleContext);

/// A module's instance, its `start` section done.
pub struct Instance(*mut ffi::WasmEdge_ModuleInstanceContext);

/// What the guest sees through WASI.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wasi {
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment, each `NAME=value`.
    pub env: Vec<String>,
    /// The directories it may open, each `guest:host`.
    pub preopens: Vec<String>,
}

/// How a call came back without returning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interruption {
    /// The guest called `proc_exit` with this code.
    Exited(u32),
    /// WasmEdge gave up.
    Failed(VmError),
}

/// What WasmEdge says of a failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct VmError {
    /// WasmEdge's own words for its error code.
    pub message: String,
    /// Whether it happened while code of the guest was executed.
    pub trapped: bool,
    /// Its log lines about it, outermost last.
    pub log: Vec<String>,
}

impl Vm {
    /// Sets WasmEdge up with the interpreter, its WASI functions and silent standard streams.
    ///
    /// # Errors
    /// When WasmEdge cannot allocate one of its parts.
    pub fn prepare() -> Result<Self, VmError> {
        diagnosis::listen();
        let wasi = WasiModule::create(None, None, None).map_err(|error| VmError::own(error.to_string()))?;
        // SAFETY: the calls copy the configuration, and take a null one for the defaults; null statistics
        // are allowed.
        let vm = unsafe {
            let config = ffi::WasmEdge_ConfigureCreate();
            // Only this loader hands ELF files to the dynamic loader, and it is given none but our own.
            ffi::WasmEdge_ConfigureSetRunMode(config, ffi::WasmEdge_RunMode_AOT);
            let native_loader = ffi::WasmEdge_LoaderCreate(config);
            ffi::WasmEdge_ConfigureSetRunMode(config, ffi::WasmEdge_RunMode_Interpreter);
            let vm = Self {
                loader: ffi::WasmEdge_LoaderCreate(config),
                native_loader,
                validator: ffi::WasmEdge_ValidatorCreate(config),
                executor: ffi::WasmEdge_ExecutorCreate(config, ptr::null_mut()),
                store: ffi::WasmEdge_StoreCreate(),
                wasi,
            };
            ffi::WasmEdge_ConfigureDelete(config);
            vm
        };
        if vm.loader.is_null()
            || vm.native_loader.is_null()
            || vm.validator.is_null()
            || vm.executor.is_null()
            || vm.store.is_null()
        {
            return Err(VmError::own("WasmEdge could not be set up".to_owned()));
        }
        // SAFETY: all three contexts are alive, and are never freed.
        check(unsafe { ffi::WasmEdge_ExecutorRegisterImport(vm.executor, vm.store, vm.wasi.as_ptr()) })?;
        Ok(vm)
    }

    /// Parses and validates a module, to be interpreted. It is never loaded from a path: WasmEdge would hand
    /// ELF files to the dynamic loader.
    ///
    /// # Errors
    /// When WasmEdge does not take the bytes.
    pub fn load(&self, bytes: &[u8]) -> Result<Loaded, VmError> {
        let len =
            u32::try_from(bytes.len()).map_err(|_| VmError::own("module of 4 GiB or more".to_owned()))?;
        let mut module = ptr::null_mut();
        // SAFETY: the buffer is valid for `len` bytes and is copied; `module` is written on success only.
        check(unsafe { ffi::WasmEdge_LoaderParseFromBuffer(self.loader, &mut module, bytes.as_ptr(), len) })?;
        self.validated(module)
    }

    /// Maps the native code of a module into this process. Whatever is at `path` is executed.
    ///
    /// # Errors
    /// When it is no shared object that WasmEdge's compiler made, or cannot be mapped.
    pub fn load_native(&self, path: &CStr) -> Result<Loaded, VmError> {
        let mut module = ptr::null_mut();
        // SAFETY: the path is NUL-terminated; `module` is written on success only.
        check(unsafe { ffi::WasmEdge_LoaderParseFromFile(self.native_loader, &mut module, path.as_ptr()) })?;
        self.validated(module)
    }

    fn validated(&self, module: *mut ffi::WasmEdge_ASTModuleContext) -> Result<Loaded, VmError> {
        // SAFETY: `module` was just made by a loader.
        check(unsafe { ffi::WasmEdge_ValidatorValidate(self.validator, module) })?;
        Ok(Loaded(module))
    }

    /// Whether an import of this name can be linked; its type is checked by [`Vm::instantiate`].
    pub fn provides(&self, module: &str, name: &str) -> bool {
        // SAFETY: the WASI module is alive.
        module == self.wasi.name() && !unsafe { find(self.wasi.as_ptr(), name) }.is_null()
    }

    /// Opens the preopens, links the imports and runs the module's `start` section.
    ///
    /// # Errors
    /// When an import is not provided, a segment does not fit, or the `start` section does not return.
    pub fn instantiate(&mut self, module: Loaded, wasi: &Wasi) -> Result<Instance, Interruption> {
        self.wasi.init_wasi(Some(strs(&wasi.args)), Some(strs(&wasi.env)), Some(strs(&wasi.preopens)));
        let mut instance = ptr::null_mut();
        // SAFETY: module, store and executor are alive.
        let result =
            unsafe { ffi::WasmEdge_ExecutorInstantiate(self.executor, &mut instance, self.store, module.0) };
        self.outcome(result)?;
        // The instance has copies of all it needs; keeping the module would double the guest's footprint.
        // SAFETY: `module` is owned here and not used again. `malloc_trim` only gives free pages back.
        unsafe {
            ffi::WasmEdge_ASTModuleDelete(module.0);
            libc::malloc_trim(0);
        }
        Ok(Instance(instance))
    }

    /// Calls an exported function that takes no arguments and drops what it returns; at most `results` values.
    ///
    /// # Errors
    /// When the guest exits, traps, or has no such export.
    pub fn call(&mut self, instance: &Instance, function: &str, results: usize) -> Result<(), Interruption> {
        // SAFETY: the instance is alive.
        let found = unsafe { find(instance.0, function) };
        if found.is_null() {
            return Err(Interruption::Failed(VmError::own(format!("no exported function {function}"))));
        }
        let mut returned = Vec::with_capacity(results);
        // SAFETY: there is room for `results` values, and WasmEdge checks the number against the type.
        let result = unsafe {
            ffi::WasmEdge_ExecutorInvoke(
                self.executor,
                found,
                ptr::null(),
                0,
                returned.as_mut_ptr(),
                results as u32,
            )
        };
        self.outcome(result)
    }

    fn outcome(&self, result: ffi::WasmEdge_Result) -> Result<(), Interruption> {
        // SAFETY: reads a plain value.
        let code = unsafe { ffi::WasmEdge_ResultGetCode(result) };
        if code == ffi::WasmEdge_ErrCode_Terminated {
            return Err(Interruption::Exited(self.wasi.exit_code()));
        }
        check(result).map_err(Interruption::Failed)
    }
}

/// The exported function of that name, or null.
///
/// # Safety
/// `instance` must be alive.
unsafe fn find(
    instance: *const ffi::WasmEdge_ModuleInstanceContext,
    name: &str,
) -> *mut ffi::WasmEdge_FunctionInstanceContext {
    // SAFETY: the name is valid during the lookup, which does not keep it; the rest is the caller's promise.
    unsafe {
        let name = ffi::WasmEdge_StringWrap(name.as_ptr().cast::<c_char>(), name.len() as u32);
        ffi::WasmEdge_ModuleInstanceFindFunction(instance, name)
    }
}

impl VmError {
    /// An error of this side.
    pub(crate) fn own(message: String) -> Self {
        Self { message, trapped: false, log: Vec::new() }
    }
}

pub(crate) fn check(result: ffi::WasmEdge_Result) -> Result<(), VmError> {
    // SAFETY: the result is a plain value; its message is a static, NUL-terminated string.
    let (message, code) = unsafe {
        if ffi::WasmEdge_ResultOK(result) {
            return Ok(());
        }
        (CStr::from_ptr(ffi::WasmEdge_ResultGetMessage(result)), ffi::WasmEdge_ResultGetCode(result))
    };
    let trapped = code >> 8 == EXECUTION_PHASE;
    Err(VmError { message: message.to_string_lossy().into_owned(), trapped, log: diagnosis::take() })
}

/// The SDK panics on an inner NUL; no OCI string can hold one (`execve` could not pass it either).
fn strs(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).filter(|s| !s.contains('\0')).collect()
}
