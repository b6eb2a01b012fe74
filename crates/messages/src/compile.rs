//! A compile: one module that `wasmedge-engine compile` turns into native code.
//!
//! The compiler is started with three descriptors and says on the last one what became of the module.
//! Without a report it was killed, or died of the module.

use serde::{Deserialize, Serialize};

/// Where the compiler finds the module, to be read from its start.
pub const COMPILE_MODULE_FD: i32 = 3;
/// Where it writes the artifact, from its start.
pub const COMPILE_ARTIFACT_FD: i32 = 4;
/// Where it writes its [`CompileReport`].
pub const COMPILE_REPORT_FD: i32 = 5;

/// What the compiler says of a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompileReport {
    /// The artifact is written.
    Compiled,
    /// This module is not compiled, and never will be by this compiler.
    Refused {
        /// Why, for a person.
        why: String,
    },
    /// The compiler itself could not work; it has nothing to do with the module.
    Failed {
        /// Why, for a person.
        why: String,
    },
}
