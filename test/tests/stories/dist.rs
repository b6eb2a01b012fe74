//! The tarball of `make dist`: unpacked into a root with nothing but busybox, it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use wasmedge_shim_tests::{Cell, DEADLINE, Finished, finish, guests, part, repository};

struct BareRoot {
    cell: Cell,
    root: PathBuf,
}

impl BareRoot {
    /// A root with busybox, the guest and the unpacked tarball.
    fn new() -> Self {
        let cell = Cell::new();
        let root = cell.directory().join("root");
        fs::create_dir_all(root.join("usr/local")).unwrap();
        for directory in ["bin", "proc", "tmp"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        fs::copy(part("busybox/bin/busybox"), root.join("bin/sh")).unwrap();
        fs::set_permissions(root.join("bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(guests::HELLO.path(), root.join("hello.wasm")).unwrap();
        fs::copy(guests::NAMED_TRAP.path(), root.join("trap.wasm")).unwrap();
        let here = root.join("usr/local").display().to_string();
        cell.run(&["tar", "-xzf", &tarball(), "-C", &here]).success();
        cell.run(&["mount", "-t", "proc", "proc", &root.join("proc").display().to_string()]).success();
        Self { cell, root }
    }

    fn run(&self, words: &[&str]) -> Finished {
        self.cell.run(&[&["chroot", &self.root.display().to_string()], words].concat())
    }
}

fn tarball() -> String {
    let directory = repository().join("build/dist");
    let tarballs: Vec<_> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    assert_eq!(tarballs.len(), 1, "one tarball in {}: run `make dist` first", directory.display());
    tarballs[0].display().to_string()
}

#[test]
fn the_engine_runs_a_module_in_a_bare_root() {
    let bare = BareRoot::new();
    bare.run(&["/usr/local/bin/wasmedge-engine", "run", "/hello.wasm"])
        .success()
        .printing("hello from wasm\n");
    let trapped = bare.run(&["/usr/local/bin/wasmedge-engine", "run", "/trap.wasm"]).with_code(134);
    trapped.complaining(&["inner_function"]);
}

#[test]
fn the_shim_answers_in_a_bare_root() {
    let bare = BareRoot::new();
    bare.run(&["/usr/local/bin/containerd-shim-wasmedge-v1", "-v"]).success();
}

#[test]
fn an_installation_goes_where_it_is_told_and_away_again() {
    let root = tempfile::tempdir().unwrap();
    let destination = root.path().join("a place");
    let prefix = destination.join("usr/local");
    fs::create_dir_all(prefix.join("sbin")).unwrap();
    std::os::unix::fs::symlink("sbin", prefix.join("bin")).unwrap();
    let make = |verb: &str| {
        let script = r#"umask 077 && exec make --silent "$1" DESTDIR="$2" PREFIX=/usr/local"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", verb]).arg(&destination).current_dir(repository());
        finish(command.env_remove("MAKEFLAGS"), DEADLINE).success();
    };
    make("uninstall");
    make("install");
    let shim = prefix.join("sbin/containerd-shim-wasmedge-v1");
    let library = prefix.join("lib/containerd-shim-wasmedge");
    for path in [&shim, &library, &library.join("wasmedge-engine")] {
        let mode = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(mode.permissions().mode() & 0o777, 0o755, "{}", path.display());
    }
    assert!(fs::symlink_metadata(prefix.join("bin")).unwrap().is_symlink());
    make("uninstall");
    assert!(!shim.exists() && !library.exists());
}
