//! A trap: the end of a guest that did something WebAssembly forbids.

use std::fmt;
use std::io::Write;

use wasmparser::{Parser, Payload};

use super::source::Origin;
use crate::calling_stack;
use crate::module::{ImportKind, Module};
use crate::shown;
use crate::vm::VmError;

/// What trapped, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    module: String,
    cause: String,
    function: Option<Place>,
}

/// What is known of where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In this function.
    In(String),
    /// In this function, or one that it called: native code has functions inlined in others.
    Under(String),
}

impl Trap {
    /// The exit status of a trapped guest: 128 + SIGABRT, as of a native program that aborts.
    pub const STATUS: i32 = 134;

    pub(super) fn new(origin: &Origin, error: &VmError) -> Self {
        let function = match bytecode_offset(error) {
            Some(offset) => {
                origin.inspect_again(|module| Some(Place::In(name_of(module, function_at(module, offset)?))))
            }
            None => calling_stack::innermost().and_then(|function| Place::under(origin, function)),
        };
        Self { module: origin.to_string(), cause: error.message.clone(), function }
    }

    /// A trap that only ends the process, so WasmEdge never tells of it: in native code, when `function` is known.
    pub(super) fn at_once(origin: &Origin, cause: &str, function: Option<u32>) -> Self {
        let function = function.and_then(|function| Place::under(origin, function));
        Self { module: origin.to_string(), cause: cause.to_owned(), function }
    }

    /// Whether the failure came from executing the guest's code, and not from linking it.
    pub(super) fn is_trap(error: &VmError) -> bool {
        error.trapped
    }

    /// Writes the one line that tells of it to standard error, which may be closed.
    pub(crate) fn print(&self) {
        let _ = std::io::stderr().write_all(self.line().as_bytes());
    }

    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        format!("{}\n", shown::message(&self.to_string()))
    }
}

/// Tells of a trap and ends the process, from wherever it is: both are async-signal-safe.
pub(super) fn end(line: &str) -> ! {
    // SAFETY: writes from a string that is alive, and leaves; nothing of this process runs any more.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
        libc::_exit(Trap::STATUS)
    }
}

impl Place {
    fn under(origin: &Origin, function: u32) -> Option<Self> {
        origin.inspect_again(|module| Some(Self::Under(name_of(module, function))))
    }
}

fn name_of(module: &Module<'_>, function: u32) -> String {
    module.names().name_of(function).unwrap_or_else(|| format!("#{function}"))
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: trap: {}", self.module, self.cause)?;
        match &self.function {
            Some(Place::In(function)) => write!(f, " in function {function}"),
            Some(Place::Under(function)) => write!(f, " in or below function {function}"),
            None => Ok(()),
        }
    }
}

/// Where in the module's bytes the last instruction was. WasmEdge tells it in its log only.
fn bytecode_offset(error: &VmError) -> Option<u64> {
    let tail = error.log.iter().find_map(|line| line.split_once("Bytecode offset: 0x"))?.1;
    let digits = tail.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

/// The index of the function whose body holds the byte at `offset`; imported functions are counted first.
fn function_at(module: &Module<'_>, offset: u64) -> Option<u32> {
    let imported = module.imports().iter().filter(|import| import.kind == ImportKind::Function).count();
    let bodies = Parser::new(0).parse_all(module.code()).filter_map(|payload| match payload {
        Ok(Payload::CodeSectionEntry(body)) => Some(body.range()),
        _ => None,
    });
    let body =
        bodies.enumerate().find(|(_, range)| (range.start as u64..range.end as u64).contains(&offset))?.0;
    u32::try_from(imported + body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Limits;

    #[test]
    fn the_function_is_found_by_the_offset_that_wasmedge_logs() {
        let text =
            br#"(module (import "m" "f" (func)) (func $inner (unreachable)) (func $outer (call $inner)))"#;
        let module = Module::parse(&text[..], Limits::default()).unwrap();
        let at = module.code().windows(4).position(|body| body == [3, 0, 0x00, 0x0b]).unwrap() as u64 + 2;
        let error = VmError {
            message: "unreachable".to_owned(),
            trapped: true,
            log: vec![format!("In instruction: unreachable (0x00) , Bytecode offset: 0x{at:08x}")],
        };
        let index = function_at(&module, bytecode_offset(&error).unwrap()).unwrap();
        assert_eq!(module.names().name_of(index).as_deref(), Some("inner"));
    }
}
