//! A guest: one module on its way from bytes to an exit status.
//!
//! Load it, instantiate it, run it: each step is called once, in this order, in a process that already is
//! what the guest may be.

mod native;
mod source;
mod trap;

use std::sync::Arc;

use wasmedge_messages::{Failure, FailureKind, Mode};

use crate::module::{EntryFunction, Limits, Module};
use crate::vm::{Instance, Interruption, Loaded, Vm, VmError, Wasi};
use crate::{calling_stack, native_stack, shown, stack_limit};

pub use native::NativeCode;
use source::Origin;
pub use source::Source;
pub use trap::Trap;

/// What a reactor exports to be called before any other export (WASI application ABI).
const INITIALIZE: &str = "_initialize";

/// A module that can be called.
pub struct Guest {
    vm: Vm,
    stage: Stage,
    origin: Arc<Origin>,
    entry: EntryFunction,
    initialize: bool,
    minimum_memory: u64,
    /// The bytes of the module.
    size: usize,
    mode: Mode,
}

enum Stage {
    Loaded(Loaded),
    Instantiated(Instance),
    /// Instantiation failed.
    Broken,
}

/// Why a guest was not instantiated.
#[derive(Debug)]
pub enum NotStarted {
    /// Its `start` section or `_initialize` called `proc_exit` with this code: it has run, and that is its end.
    Exited(u32),
    /// It cannot run.
    Failed(Failure),
}

/// How a guest ended.
#[derive(Debug)]
pub enum Outcome {
    /// It called `proc_exit`, or its entry function returned (then 0).
    Exited(u32),
    /// It trapped.
    Trapped(Trap),
}

impl Guest {
    /// Reads, inspects and validates the module, and finds the function to call (`_start` if none is named).
    /// With native code it is that which is run, if it is this module's and can be loaded; see [`Guest::mode`].
    ///
    /// # Errors
    /// A [`Failure`] that names the file or layer, and what is wrong with it.
    pub fn load(
        vm: Vm,
        source: Source,
        native: Option<NativeCode>,
        function: Option<&str>,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let origin = source.origin();
        let name = origin.to_string();
        let bytes = source.read(limits)?;
        let module = Module::parse(bytes.as_cow(), limits).map_err(|error| error.in_file(&name))?;
        let entry = module.entry(function).map_err(|error| error.in_file(&name))?;
        let refused = |error: VmError| refusal(&name, FailureKind::InvalidModule, &error);
        let (loaded, mode) = match native::load(&vm, native, &bytes, &module) {
            Ok(loaded) => (loaded, Mode::Native),
            Err(why) => (vm.load(module.code()).map_err(refused)?, Mode::Interpreted { why }),
        };
        if let Some(import) =
            module.imports().iter().find(|import| !vm.provides(&import.module, &import.name))
        {
            let import = format!("{}.{}", shown::name(&import.module), shown::name(&import.name));
            let message = format!("{name}: nothing provides the import {import}");
            return Err(Failure { kind: FailureKind::InvalidModule, message });
        }
        let elements = module.minimum_table_elements();
        if elements > stack_limit::LARGEST_TABLE {
            let message = format!(
                "{name}: the module's tables have {elements} elements, more than the limit of {}",
                stack_limit::LARGEST_TABLE
            );
            return Err(Failure { kind: FailureKind::LimitExceeded, message });
        }
        let initialize = entry.name != crate::module::START
            && module.entry(Some(INITIALIZE)).is_ok_and(|initialize| initialize.results == 0);
        let minimum_memory = module.minimum_memory();
        let size = module.code().len();
        drop(module);
        Ok(Self {
            vm,
            stage: Stage::Loaded(loaded),
            origin: Arc::new(bytes.keep(origin)),
            entry,
            initialize,
            minimum_memory,
            size,
            mode,
        })
    }

    /// Where the module came from, for messages.
    pub fn name(&self) -> String {
        self.origin.to_string()
    }

    /// Whether it runs as native code, and if not, why.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The bytes of linear memory that it cannot do without.
    pub fn minimum_memory(&self) -> u64 {
        self.minimum_memory
    }

    /// Opens the preopens, links the imports and runs the `start` section and `_initialize`, if there are any.
    ///
    /// # Errors
    /// When an import has another type than WasmEdge provides, or these two do not return: see [`NotStarted`].
    pub fn instantiate(&mut self, wasi: &Wasi) -> Result<(), NotStarted> {
        let Stage::Loaded(module) = std::mem::replace(&mut self.stage, Stage::Broken) else {
            let message = format!("{}: instantiated twice", self.origin);
            return Err(NotStarted::Failed(Failure { kind: FailureKind::Runtime, message }));
        };
        self.arm();
        let instance = self.vm.instantiate(module, wasi).map_err(|end| self.not_started(&end))?;
        if self.initialize {
            self.vm.call(&instance, INITIALIZE, 0).map_err(|end| self.not_started(&end))?;
        }
        self.stage = Stage::Instantiated(instance);
        Ok(())
    }

    /// Calls the entry function and waits for the end of the guest. Without an instance that is a trap.
    pub fn run(&mut self) -> Outcome {
        let called = match &self.stage {
            Stage::Instantiated(instance) => {
                self.vm.call(instance, &self.entry.name, self.entry.results as usize)
            }
            _ => Err(Interruption::Failed(VmError::own("the module was not instantiated".to_owned()))),
        };
        match called {
            Ok(()) => Outcome::Exited(0),
            Err(Interruption::Exited(code)) => Outcome::Exited(code),
            Err(Interruption::Failed(error)) => Outcome::Trapped(Trap::new(&self.origin, &error)),
        }
    }

    /// Prepares for what ends a guest from within a call that cannot fail.
    fn arm(&self) {
        let origin = Arc::clone(&self.origin);
        stack_limit::arm(self.size, move |cause| trap::end(&Trap::at_once(&origin, cause, None).line()));
        if self.mode == Mode::Native {
            const CAUSE: &str = "call stack exhausted";
            let origin = Arc::clone(&self.origin);
            // Outside the guest's own code it may be the allocator that met the end: then no memory can be had.
            let anywhere = Trap::at_once(&origin, CAUSE, None).line();
            native_stack::arm(move |instruction| match calling_stack::function_at(instruction) {
                function @ Some(_) => trap::end(&Trap::at_once(&origin, CAUSE, function).line()),
                None => trap::end(&anywhere),
            });
        }
    }

    fn not_started(&self, end: &Interruption) -> NotStarted {
        match end {
            Interruption::Exited(code) => NotStarted::Exited(*code),
            Interruption::Failed(error) if Trap::is_trap(error) => {
                let trap = Trap::new(&self.origin, error);
                let message = format!("{trap}, before its entrypoint was called");
                NotStarted::Failed(Failure { kind: FailureKind::Trapped, message })
            }
            Interruption::Failed(error) => {
                let name = self.origin.to_string();
                NotStarted::Failed(refusal(&name, FailureKind::InvalidModule, error))
            }
        }
    }
}

impl Outcome {
    /// The process's exit status: the guest's own, cut to a byte as the kernel does, or 134 (128 + SIGABRT).
    /// A trap is told on standard error first.
    pub fn report(&self) -> i32 {
        match self {
            Self::Exited(code) => (code & 0xff) as i32,
            Self::Trapped(trap) => {
                trap.print();
                Trap::STATUS
            }
        }
    }
}

/// WasmEdge's refusal of a module; its log says where in the module.
fn refusal(name: &str, kind: FailureKind, error: &VmError) -> Failure {
    let place = error.log.iter().skip(1).take(2).map(|line| line.trim()).collect::<Vec<_>>().join(", ");
    let place = if place.is_empty() { place } else { format!(" ({place})") };
    Failure { kind, message: format!("{name}: WasmEdge refuses the module: {error}{place}") }
}
