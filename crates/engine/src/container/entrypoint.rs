//! An entrypoint: the first argument of the container's process, found in its root filesystem.
//!
//! What the file is, is decided by its first bytes: an ELF file or a script runs natively, everything
//! else is taken for a module. All of it happens inside the container, as its user.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use wasmedge_messages::{Failure, FailureKind};

/// A file that was found and opened.
#[derive(Debug)]
pub(super) struct Entrypoint<'a> {
    /// Where it was found.
    pub(super) path: PathBuf,
    /// Opened for reading, at its start.
    pub(super) file: File,
    /// Whether the kernel runs it, and not WasmEdge.
    pub(super) native: bool,
    /// Whether it begins as a module in binary form does.
    binary: bool,
    /// Whether its user may execute it, which a module need not be.
    pub(super) executable: bool,
    /// The function to call, if one is named behind the path.
    pub(super) function: Option<&'a str>,
}

impl Entrypoint<'_> {
    /// Whether it is a module by its first bytes, or wants to be one by its name.
    pub(super) fn is_meant_as_module(&self) -> bool {
        self.binary
            || self.path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat")
    }
}

/// Finds and opens the file that `arg0` names: `path`, or `path#func` for a module.
///
/// # Errors
/// [`FailureKind::NotFound`] and [`FailureKind::PermissionDenied`] in the words that Docker turns into
/// exit codes 127 and 126.
pub(super) fn find<'a>(arg0: &'a str, env: &[String]) -> Result<Entrypoint<'a>, Failure> {
    let whole = open(arg0, env);
    let Some((path, function)) = arg0.split_once('#') else { return whole };
    if whole.is_ok() {
        return whole;
    }
    let mut found = open(path, env)?;
    if found.native {
        let what = format!("not a WebAssembly module, so there is no function {function:?} in it");
        return Err(failure(FailureKind::InvalidModule, &found.path, &what));
    }
    found.function = Some(function).filter(|function| !function.is_empty());
    Ok(found)
}

fn open<'a>(name: &str, env: &[String]) -> Result<Entrypoint<'a>, Failure> {
    let path = locate(name, env)?;
    let denied = |what: &str| failure(FailureKind::PermissionDenied, &path, what);
    let failed = |error: std::io::Error| io_failure(&path, &error);
    let check = |metadata: fs::Metadata| match metadata {
        directory if directory.is_dir() => Err(denied("is a directory")),
        file if file.is_file() => Ok(()),
        _ => Err(denied("permission denied (not a regular file)")),
    };
    // Before it is opened, since to open a device can do something; and after that, in case it is another by then.
    check(fs::metadata(&path).map_err(failed)?)?;
    let mut file = open_in_image(&path).map_err(failed)?;
    check(file.metadata().map_err(failed)?)?;
    let mut magic = Vec::with_capacity(4);
    let read = file.by_ref().take(4).read_to_end(&mut magic).and_then(|_| file.rewind());
    read.map_err(|error| io_failure(&path, &error))?;
    let native = magic.starts_with(b"\x7fELF") || magic.starts_with(b"#!");
    // In the working directory only a module is looked for, as under runwasi.
    if native && !name.contains('/') && path == Path::new(name) {
        return Err(not_in_path(name));
    }
    let executable = access(&path, AccessFlags::X_OK).is_ok();
    if native && !executable {
        return Err(denied("permission denied (not executable)"));
    }
    let binary = magic.starts_with(b"\0asm");
    Ok(Entrypoint { path, file, native, binary, executable, function: None })
}

/// Opens a file, but not by a link of `/proc` that leads to what a process has open or is run from: for this process that
/// is no file of the container.
fn open_in_image(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Err(Errno::LOOP) => Err(ErrorKind::NotFound.into()),
        // A system call filter from before Linux 5.6. What such a link could lead to is sealed anyway.
        Err(Errno::NOSYS | Errno::PERM) => Ok(rustix::fs::open(path, flags, Mode::empty())?.into()),
        opened => Ok(opened?.into()),
    }
}

/// As a shell does: a name with a slash is a path, any other is looked up in `$PATH`; a module may
/// also lie in the working directory (as under runwasi).
fn locate(name: &str, env: &[String]) -> Result<PathBuf, Failure> {
    if name.is_empty() {
        let message = "the entrypoint names no file, and the image has no layer that is a module".to_owned();
        return Err(Failure {
            kind: FailureKind::NotFound,
            message: format!("{message}: no such file or directory"),
        });
    }
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let search = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
    search
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(dir).join(name))
        .chain([PathBuf::from(name)])
        .find(|path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file()))
        .ok_or_else(|| not_in_path(name))
}

fn not_in_path(name: &str) -> Failure {
    Failure {
        kind: FailureKind::NotFound,
        message: format!("exec: {name:?}: executable file not found in $PATH"),
    }
}

fn io_failure(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => failure(FailureKind::NotFound, path, "no such file or directory"),
        ErrorKind::NotADirectory => failure(FailureKind::NotFound, path, "not a directory"),
        ErrorKind::PermissionDenied => failure(FailureKind::PermissionDenied, path, "permission denied"),
        _ => failure(FailureKind::Runtime, path, &error.to_string()),
    }
}

fn failure(kind: FailureKind, path: &Path, what: &str) -> Failure {
    Failure { kind, message: format!("{}: {what}", path.display()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8], mode: u32) -> String {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn first_bytes_decide_not_the_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find(&file(&dir, "elf.wasm", b"\x7fELF...", 0o755), &[]).unwrap().native);
        assert!(find(&file(&dir, "script", b"#!/bin/sh\n", 0o755), &[]).unwrap().native);
        assert!(!find(&file(&dir, "app.exe", b"\0asm\x01\0\0\0", 0o644), &[]).unwrap().native);
    }

    #[test]
    fn a_module_is_found_with_and_without_a_function() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "app.wasm", b"\0asm\x01\0\0\0", 0o644);
        assert_eq!(find(&format!("{path}#run"), &[]).unwrap().path, Path::new(&path));
        assert_eq!(find(&path, &[]).unwrap().path, Path::new(&path));
    }

    #[test]
    fn a_file_with_a_hash_in_its_name_is_found_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "a#b.wasm", b"\0asm\x01\0\0\0", 0o644);
        let found = find(&path, &[]).unwrap();
        assert_eq!((found.path.as_path(), found.function), (Path::new(&path), None));
        let with_function = format!("{path}#run");
        assert!(find(&with_function, &[]).is_err(), "the first hash is the one that splits");
    }

    #[test]
    fn a_link_of_proc_to_what_a_process_runs_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/proc/self/exe", &link).unwrap();
        for path in ["/proc/self/exe", link.to_str().unwrap()] {
            let failure = find(path, &[]).unwrap_err();
            assert_eq!(failure.message, format!("{path}: no such file or directory"));
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_containers_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(&dir, "tool", b"\x7fELF", 0o755);
        let env = [format!("PATH=/nonexistent:{}", dir.path().display())];
        assert_eq!(find("tool", &env).unwrap().path, Path::new(&path));
        let missing = find("nothing", &env).unwrap_err();
        assert_eq!(missing.message, "exec: \"nothing\": executable file not found in $PATH");
    }

    #[test]
    fn what_cannot_be_run_says_so_in_dockers_words() {
        let dir = tempfile::tempdir().unwrap();
        let missing = find("/no/such.wasm", &[]).unwrap_err();
        assert_eq!(missing.message, "/no/such.wasm: no such file or directory");
        let directory = find(dir.path().to_str().unwrap(), &[]).unwrap_err();
        assert!(directory.message.ends_with(": is a directory"), "{directory}");
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let fifo = find(fifo.to_str().unwrap(), &[]).unwrap_err();
        assert!(fifo.message.ends_with(": permission denied (not a regular file)"), "{fifo}");
        let plain = find(&file(&dir, "elf", b"\x7fELF", 0o644), &[]).unwrap_err();
        assert!(plain.message.contains(": permission denied"), "{plain}");
    }
}
