//! A trap: the end of a guest that did something WebAssembly forbids.

use std::fmt;
use std::io::Write;

use wasmparser::{Parser, Payload};

use super::source::Origin;
use crate::diagnosis;
use crate::module::{ImportKind, Module};
use crate::vm::VmError;

/// A longer line about a stack is likely to be cut, by WasmEdge or by us.
const LONGEST_STACK: usize = diagnosis::MAX_LINE / 2;

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
        let name =
            |module: &Module<'_>, index| module.names().name_of(index).unwrap_or_else(|| format!("#{index}"));
        let function = match (bytecode_offset(error), calling_stack(error)) {
            (Some(offset), _) => {
                origin.inspect_again(|module| Some(Place::In(name(module, function_at(module, offset)?))))
            }
            (None, Some(stack)) => origin.inspect_again(|module| {
                Some(Place::Under(name(module, innermost(&stack, function_count(module)?)?)))
            }),
            (None, None) => None,
        };
        Self { module: origin.to_string(), cause: error.message.clone(), function }
    }

    /// Whether the failure came from executing the guest's code, and not from linking it.
    pub(super) fn is_trap(error: &VmError) -> bool {
        error.trapped
    }

    /// Writes the one line that tells of it to standard error, which may be closed.
    pub(crate) fn print(&self) {
        let _ = writeln!(std::io::stderr(), "{self}");
    }
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

/// The functions that were being called when native code trapped, innermost first. WasmEdge takes the frames of its
/// own for those of whichever function lies nearest.
fn calling_stack(error: &VmError) -> Option<Vec<u32>> {
    let line = error.log.iter().find(|line| line.starts_with("calling stack:"))?;
    // A line that was cut cannot be told from a stack of other functions.
    let frames = line.split_once(':')?.1.split(',').map_while(|frame| frame.trim().parse().ok());
    Some(frames.collect()).filter(|_| line.len() < LONGEST_STACK)
}

/// The innermost function that certainly was called. The outermost frame is WasmEdge's, and so are all others with
/// the same number; its code that ends a guest lies behind the last function.
fn innermost(stack: &[u32], functions: u32) -> Option<u32> {
    let wasmedges = *stack.last()?;
    stack.iter().copied().find(|frame| *frame != wasmedges && frame.saturating_add(1) < functions)
}

/// How many functions there are, imported ones included.
fn function_count(module: &Module<'_>) -> Option<u32> {
    let imported = module.imports().iter().filter(|import| import.kind == ImportKind::Function).count();
    let defined = Parser::new(0).parse_all(module.code()).find_map(|payload| match payload {
        Ok(Payload::FunctionSection(functions)) => Some(functions.count()),
        _ => None,
    });
    u32::try_from(imported).ok()?.checked_add(defined?)
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

    #[test]
    fn of_native_code_a_function_that_surely_was_called_is_named() {
        let error =
            |line: &str| VmError { message: String::new(), trapped: true, log: vec![line.to_owned()] };
        let stack = calling_stack(&error("calling stack:325, 325, 350, 118, 107, 325")).unwrap();
        assert_eq!(innermost(&stack, 351), Some(118));
        assert_eq!(innermost(&calling_stack(&error("calling stack:0")).unwrap(), 2), None);
        assert_eq!(calling_stack(&error(&format!("calling stack:{}", "12, ".repeat(999)))), None);
    }
}
