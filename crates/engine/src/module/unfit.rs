//! Unfit: what a module has that the native code WasmEdge 0.17.1 makes of it gets wrong. Such a module is interpreted.
//!
//! Two of these take room on the native stack each time they are executed and give it back when the function
//! returns, so that a loop ends with an exhausted stack (`createAlloca` and `createArray` amid a function's body, in
//! WasmEdge's `lib/llvm/compiler.cpp`).

use std::fmt;

use wasmparser::{Operator, Parser, Payload};

use super::ModuleError;

/// Why a module must not become native code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Accesses to a memory with 64-bit addresses are not checked.
    Memory64,
    /// An index into a table with 64-bit indices is cut off.
    Table64,
    /// Structures and arrays are made, read and written by way of the native stack.
    Collected,
    /// A function of the engine's that is called by reference (`call_indirect`, `call_ref`) gets its arguments and
    /// results by way of the native stack; one that is called by its name does, too, but in a function of its own.
    ImportByReference,
    /// A tail call is an ordinary call: a loop made of them is a recursion without end.
    TailCall,
}

/// Looks for what only the instructions of a binary module tell.
pub(super) fn instructions(code: &[u8]) -> Result<Option<Unfit>, ModuleError> {
    for payload in Parser::new(0).parse_all(code) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        for operator in body.get_operators_reader()? {
            if let Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. } = operator?
            {
                return Ok(Some(Unfit::TailCall));
            }
        }
    }
    Ok(None)
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory64 => {
                "the module has a 64-bit memory, whose accesses WasmEdge's native code does not check"
            }
            Self::Table64 => {
                "the module has a 64-bit table, whose indices WasmEdge's native code cuts off at 32 bits"
            }
            Self::Collected => {
                "the module has structure or array types, with which WasmEdge's native code exhausts its stack"
            }
            Self::ImportByReference => {
                "the module refers to an imported function (in a table, for example), and WasmEdge's native code \
                 exhausts its stack when it calls one by reference"
            }
            Self::TailCall => "the module has tail calls, for which WasmEdge's native code takes stack",
        })
    }
}
