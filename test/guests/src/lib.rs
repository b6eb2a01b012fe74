//! A guest is a file that the tests put into an image: a module that runs, one that must not, or a
//! native executable. They are built from the sources beside this crate by its build script, into
//! `build/guests/` of the repository; here are their names.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// A built guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Its name, which is its file's name in `build/guests/`.
    pub name: &'static str,
}

impl Guest {
    /// The built file.
    pub fn path(self) -> PathBuf {
        PathBuf::from(env!("GUESTS_DIR")).join(self.name)
    }

    /// The built file's bytes. Fails if `build/guests/` was emptied after the build.
    pub fn bytes(self) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.path())
    }
}

macro_rules! guests {
    ($($(#[doc = $doc:literal])+ $constant:ident = $file:literal;)+) => {
        $($(#[doc = $doc])+ pub const $constant: Guest = Guest { name: $file };)+

        /// Every guest.
        pub const ALL: &[Guest] = &[$($constant),+];
    };
}

guests! {
    /// Prints `hello from wasm`.
    HELLO = "hello.wasm";
    /// Does the one thing its arguments name: see its `main.rs`.
    PROBE = "probe.wasm";
    /// [`PROBE`] as a native program, for runc.
    NATIVE_PROBE = "probe";
    /// [`CLIENT`] as a native program.
    NATIVE_CLIENT = "client";
    /// hyper and tokio as they are, an HTTP server on port 8080.
    HTTP = "http.wasm";
    /// An HTTP client of the standard library: `client HOST PORT PATH`.
    CLIENT = "client.wasm";
    /// A TCP echo server in C, on port 9000.
    C_SERVER = "c-server.wasm";
    /// Prints `hello from text`; it is text itself.
    TEXT = "text.wat";
    /// Traps by `unreachable` in `inner_function`, called by `outer_function`.
    NAMED_TRAP = "named-trap.wasm";
    /// Traps by a division in `divide_by_zero`.
    DIVIDE = "divide.wasm";
    /// Traps in its start section.
    START_TRAPS = "start-traps.wasm";
    /// Imports `provides_this` from `nobody`.
    MISSING_IMPORT = "missing-import.wasm";
    /// Imports `proc_exit` as a type that it does not have.
    WRONG_IMPORT = "wrong-import.wasm";
    /// No `_start`; exports `greet`, which prints `greet`, and `add_one`, which takes an argument.
    EXPORTS = "exports.wasm";
    /// Declares and touches 4 GiB.
    BIG_MEMORY = "big-memory.wasm";
    /// Recurses without end.
    DEEP = "deep.wasm";
    /// A memory with 64-bit addresses.
    MEMORY64 = "memory64.wasm";
    /// A table with 64-bit indices; traps by one of them.
    TABLE64 = "table64.wasm";
    /// Uses a structure a million times, then exits with 3.
    STRUCTS = "structs.wasm";
    /// Calls an import by reference a million times, then exits with 3.
    IMPORT_BY_REFERENCE = "import-by-reference.wasm";
    /// Three million tail calls, then exits with 3.
    TAIL_CALLS = "tail-calls.wasm";
    /// A component.
    COMPONENT = "component.wasm";
    /// No bytes at all.
    EMPTY = "empty.wasm";
    /// The first half of [`HELLO`].
    TRUNCATED = "truncated.wasm";
    /// [`HELLO`] with another magic number.
    WRONG_MAGIC = "wrong-magic.wasm";
    /// [`HELLO`] with version 2.
    WRONG_VERSION = "wrong-version.wasm";
    /// A native shared object whose constructor prints `NATIVE CODE FROM THE IMAGE RAN`.
    ELF = "elf.wasm";
    /// [`HELLO`] with a `wasmedge` section that holds [`ELF`].
    WASMEDGE_SECTION = "wasmedge-section.wasm";
    /// A static native executable that waits for SIGTERM: the pause container of a pod.
    PAUSE = "pause";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_was_built() {
        for guest in ALL {
            assert!(guest.path().is_file(), "{} is missing", guest.name);
        }
    }
}
