//! The engine is the executable that loads WasmEdge; it is installed beside its libraries, not beside the shim.
//!
//! ```text
//! PREFIX/bin/containerd-shim-wasmedge-v1         this crate
//! PREFIX/bin/wasmedge-engine                     this crate's launcher
//! PREFIX/lib/containerd-shim-wasmedge/wasmedge-engine
//! PREFIX/lib/containerd-shim-wasmedge/ld-linux-x86-64.so.2, lib*.so*
//! ```
//!
//! With a loader beside it the engine runs on that loader and its libraries alone, so that it does not
//! matter which C library the machine has, if any. Without one it is an executable of this machine.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasmedge_cache::Digest;

use crate::program::Program;

const LIBRARIES: &str = "lib/containerd-shim-wasmedge";
const EXECUTABLE: &str = "wasmedge-engine";
const LOADER: &str = "ld-linux-x86-64.so.2";
/// Where an ELF file has its build id, which its linker made from its content: in the first bytes. All of LLVM would
/// take too long to read.
const START: u64 = 4096;
/// The owner of the note that is a build id, and its kind (elf(5), `NT_GNU_BUILD_ID`).
const BUILD_ID: (&[u8], [u8; 4]) = (b"GNU\0", 3_u32.to_le_bytes());

/// An engine that is there to be run.
#[derive(Debug, Clone)]
pub struct Engine {
    libraries: PathBuf,
}

impl Engine {
    /// Finds the engine that was installed with the running executable. Fails if it is not there.
    pub fn locate() -> Result<Self> {
        let this = std::env::current_exe().context("finding the running executable")?;
        let prefix = this.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        Self::in_prefix(prefix)
    }

    fn in_prefix(prefix: &Path) -> Result<Self> {
        let libraries = prefix.join(LIBRARIES);
        let executable = libraries.join(EXECUTABLE);
        ensure!(executable.is_file(), "the engine is not installed: {} is missing", executable.display());
        Ok(Self { libraries })
    }

    /// The engine's executable.
    pub fn executable(&self) -> PathBuf {
        self.libraries.join(EXECUTABLE)
    }

    /// What changes whenever code that this engine compiles may change: the content of its executable and of the
    /// libraries beside it that compile, by name and size, the start of the file and the build id in it; a file without
    /// one is read whole. Where and when they were installed makes no difference. Fails if they cannot be read.
    ///
    /// With a WasmEdge that is installed elsewhere the libraries are not seen; WasmEdge itself then refuses code of
    /// another format.
    pub fn identity(&self) -> Result<String> {
        let reading = || format!("reading {}", self.libraries.display());
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.libraries).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if [EXECUTABLE, "libwasmedge.", "libLLVM"].iter().any(|start| name.starts_with(start)) {
                let content =
                    content(&entry.path()).with_context(|| format!("reading {}", entry.path().display()))?;
                parts.push(format!("{name}:{content}"));
            }
        }
        parts.sort();
        Ok(format!("{} {}", env!("CARGO_PKG_VERSION"), parts.join(" ")))
    }

    /// A command that runs the engine, its arguments still to be added.
    pub fn command(&self) -> Command {
        self.command_of(&self.program())
    }

    /// As [`Engine::command`], for processes that containers can look at: run from a sealed copy, which must live until
    /// the command has been spawned. Fails if there can be no copy.
    pub(crate) fn sealed_command(&self) -> Result<(Command, Program)> {
        let program = Program::copy(&self.program())?;
        Ok((self.command_of(&program.path()), program))
    }

    /// What is executed: the loader, if there is one.
    fn program(&self) -> PathBuf {
        let loader = self.libraries.join(LOADER);
        if loader.is_file() { loader } else { self.executable() }
    }

    fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg0(EXECUTABLE);
        if self.libraries.join(LOADER).is_file() {
            command.arg("--library-path").arg(&self.libraries).arg(self.executable());
        }
        command
    }
}

/// What tells a file from one with other content.
fn content(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut start = Vec::new();
    file.by_ref().take(START).read_to_end(&mut start)?;
    if !has_build_id(&start) {
        file.rewind()?;
        return Ok(format!("{size}:{}", Digest::of_rest(&mut file)?));
    }
    Ok(format!("{size}:{}", Digest::of(&start)))
}

/// Whether there is a note that is a build id: the lengths of its owner and content, its kind, the owner.
fn has_build_id(start: &[u8]) -> bool {
    let (owner, kind) = BUILD_ID;
    let is_note =
        |words: &[u8]| words[..4] == 4_u32.to_le_bytes() && words[8..12] == kind && &words[12..] == owner;
    start.starts_with(b"\x7fELF") && start.windows(16).any(is_note)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn prefix(files: &[&str]) -> tempfile::TempDir {
        let prefix = tempfile::tempdir().unwrap();
        fs::create_dir_all(prefix.path().join(LIBRARIES)).unwrap();
        for file in files {
            fs::write(prefix.path().join(LIBRARIES).join(file), "").unwrap();
        }
        prefix
    }

    #[test]
    fn an_engine_with_a_loader_runs_on_its_own_libraries() {
        let prefix = prefix(&[EXECUTABLE, LOADER]);
        let command = Engine::in_prefix(prefix.path()).unwrap().command();
        let libraries = prefix.path().join(LIBRARIES);
        assert_eq!(command.get_program(), libraries.join(LOADER));
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, [Path::new("--library-path"), &libraries, &libraries.join(EXECUTABLE)]);
    }

    #[test]
    fn an_engine_without_a_loader_is_run_as_it_is() {
        let prefix = prefix(&[EXECUTABLE]);
        let command = Engine::in_prefix(prefix.path()).unwrap().command();
        assert_eq!(command.get_program(), prefix.path().join(LIBRARIES).join(EXECUTABLE));
        assert_eq!(command.get_args().count(), 0);
    }

    #[test]
    fn another_library_is_another_engine() {
        let prefix = prefix(&[EXECUTABLE, "libwasmedge.so.0", "libc.so.6"]);
        let identity = || Engine::in_prefix(prefix.path()).unwrap().identity().unwrap();
        let before = identity();
        fs::write(prefix.path().join(LIBRARIES).join("libc.so.6"), "another").unwrap();
        assert_eq!(identity(), before);
        fs::write(prefix.path().join(LIBRARIES).join("libwasmedge.so.0"), "another").unwrap();
        assert_ne!(identity(), before);

        // Of the same length, and the same age as far as anybody can tell.
        let before = identity();
        let library = prefix.path().join(LIBRARIES).join("libwasmedge.so.0");
        let modified = fs::metadata(&library).unwrap().modified().unwrap();
        fs::write(&library, "ANOTHER").unwrap();
        File::options().write(true).open(&library).unwrap().set_modified(modified).unwrap();
        assert_ne!(identity(), before);
    }

    #[test]
    fn what_is_installed_again_is_the_same_engine() {
        let prefix = prefix(&[EXECUTABLE]);
        let library = prefix.path().join(LIBRARIES).join("libLLVM.so");
        let install = |file: &[u8]| {
            fs::write(&library, file).unwrap();
            Engine::in_prefix(prefix.path()).unwrap().identity().unwrap()
        };
        let first = install(b"the same");
        File::options().write(true).open(&library).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(install(b"the same"), first);
    }

    #[test]
    fn of_a_file_with_a_build_id_only_the_start_is_read() {
        let prefix = prefix(&[EXECUTABLE]);
        let of = |id: &[u8], end: &[u8]| {
            let note = [&b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0"[..], id].concat();
            let file = [&b"\x7fELF"[..], &note, &[0; START as usize], end].concat();
            fs::write(prefix.path().join(LIBRARIES).join("libLLVM.so"), file).unwrap();
            Engine::in_prefix(prefix.path()).unwrap().identity().unwrap()
        };
        assert_eq!(of(b"same", b"a"), of(b"same", b"b"));
        assert_ne!(of(b"same", b"a"), of(b"none", b"a"));
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has_build_id(&this[..START as usize]), "what is linked here has one");
    }

    #[test]
    fn a_missing_engine_is_named() {
        let prefix = prefix(&[]);
        let error = Engine::in_prefix(prefix.path()).unwrap_err().to_string();
        assert!(error.contains("lib/containerd-shim-wasmedge/wasmedge-engine is missing"), "{error}");
    }
}
