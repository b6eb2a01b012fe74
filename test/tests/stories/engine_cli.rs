//! `wasmedge-engine`: a module tried without containerd.

use std::path::Path;
use std::process::Command;

use wasmedge_shim_tests::guests::{self, Guest};
use wasmedge_shim_tests::{DEADLINE, Finished, finish, product};

fn engine(words: &[&str]) -> Finished {
    finish(Command::new(product("bin/wasmedge-engine")).args(words), DEADLINE)
}

fn run(guest: Guest, flags: &[&str], words: &[&str]) -> Finished {
    let path = guest.path().display().to_string();
    engine(&[&["run"], flags, &[&path], words].concat())
}

#[test]
fn a_module_runs_with_its_arguments_and_exit_code() {
    run(guests::HELLO, &[], &[]).success().printing("hello from wasm\n");
    run(guests::TEXT, &[], &[]).success().printing("hello from text\n");
    run(guests::PROBE, &[], &["exit", "42"]).with_code(42);
    run(guests::PROBE, &["--env", "A=b"], &["env"]).success().printing("A=b\n");
}

#[test]
fn words_after_the_module_are_the_guests() {
    let args = run(guests::PROBE, &[], &["args", "--help", "-e", "--", "x"]).success();
    assert!(args.stdout.ends_with("\nargs\n--help\n-e\n--\nx\n"), "{args}");
}

#[test]
fn a_flag_that_cannot_be_meant_is_refused_by_name() {
    run(guests::HELLO, &["--env", "A"], &[]).with_code(2).complaining(&["--env", "NAME=VALUE"]);
    run(guests::HELLO, &["--dir", "/nowhere"], &[]).with_code(2).complaining(&["--dir", "/nowhere"]);
    run(guests::HELLO, &["--colour"], &[]).with_code(2).complaining(&["--colour"]);
    engine(&["run"]).with_code(2).complaining(&["MODULE"]);
    let module = guests::HELLO.path().display().to_string();
    let pack = engine(&["pack", &module, "--tag=x:1", "--output=/nowhere/below/x.tar"]).with_code(1);
    pack.complaining(&["/nowhere/below/x.tar: No such file or directory"]);
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn a_module_with_much_data_runs() {
    const DATA: usize = (64 << 20) + 1;
    let number = |mut value: usize| {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let section = |id: u8, body: &[u8]| [&[id], &*number(body.len()), body].concat();
    // An active segment at address 0, whose expression is `i32.const 0`.
    let data = [&[1, 0, 0x41, 0, 0x0b], &*number(DATA), &vec![7; DATA]].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(5, &[&[1, 0], &*number(DATA / 65536 + 1)].concat()),
        section(7, b"\x01\x06_start\0\0"),
        section(10, b"\x01\x02\0\x0b"),
        section(11, &data),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.wasm");
    std::fs::write(&path, module.concat()).unwrap();
    engine(&["run", &path.display().to_string()]).success();
}

#[test]
fn an_export_runs_by_its_name() {
    let module = format!("{}#greet", guests::EXPORTS.path().display());
    engine(&["run", &module]).success().printing("greet\n");
}

#[test]
fn a_module_sees_the_directories_that_it_is_given_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("note"), "text").unwrap();
    let given = format!("{}:/data", directory.path().display());
    run(guests::PROBE, &["--dir", &given], &["cat", "/data/note"]).success().printing("text");
    run(guests::PROBE, &[], &["cat", "/etc/passwd"]).with_code(1);
}

#[test]
fn a_symlink_does_not_lead_out_of_a_directory_that_is_given() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../../etc/passwd", directory.path().join("relative")).unwrap();
    let given = format!("{}:/data", directory.path().display());
    for link in ["/data/absolute", "/data/relative", "/data/../../etc/passwd"] {
        run(guests::PROBE, &["--dir", &given], &["cat", link]).with_code(1).printing("");
    }
}

#[test]
fn a_trap_is_134_and_names_its_function() {
    run(guests::NAMED_TRAP, &[], &[]).with_code(134).complaining(&["trap: unreachable", "inner_function"]);
}

#[test]
fn what_cannot_run_is_told_with_its_file_and_cause() {
    let fails = |guest: Guest, words: &[&str]| {
        let failed = run(guest, &[], &[]).complaining(words).complaining(&[guest.name]);
        assert_ne!(failed.code(), 0);
        assert_eq!(failed.stdout, "", "an error is not output");
    };
    fails(guests::COMPONENT, &["component", "wasm32-wasip1"]);
    fails(guests::EMPTY, &["empty"]);
    fails(guests::TRUNCATED, &["truncated"]);
    fails(guests::MISSING_IMPORT, &["nobody", "provides_this"]);
    fails(guests::ELF, &["ELF"]);
    let missing = engine(&["run", "/no/such.wasm"]);
    assert_ne!(missing.code(), 0);
    missing.complaining(&["/no/such.wasm", "No such file"]);
}

#[test]
fn an_elf_file_named_wasm_is_never_loaded() {
    let failed = run(guests::ELF, &[], &[]).printing("");
    assert_ne!(failed.code(), 0);
    assert!(!Path::new("/native-code-ran").exists());
}

#[test]
fn a_wasmedge_section_is_never_executed() {
    run(guests::WASMEDGE_SECTION, &[], &[]).success().printing("hello from wasm\n");
}

#[test]
fn help_tells_of_each_verb() {
    engine(&["--help"]).success();
    let shim = finish(Command::new(product("bin/containerd-shim-wasmedge-v1")).arg("--help"), DEADLINE);
    assert!(shim.success().stdout.contains("docker run --runtime"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let unheard = Command::new(product("bin/wasmedge-engine")).arg("--help").stdout(full).status().unwrap();
    assert!(!unheard.success(), "nobody could read the help");
    for verb in ["run", "pack"] {
        let help = engine(&[verb, "--help"]).success();
        assert!(help.stdout.contains("Usage:"), "{help}");
    }
}

#[test]
fn each_command_of_the_cache_says_how_it_is_used() {
    for verb in ["ls", "verify", "prune", "warm"] {
        let help = engine(&["cache", verb, "--help"]).success();
        assert!(help.stdout.contains(&format!("Usage: wasmedge-engine cache {verb}")), "{help}");
        assert_eq!(help.stderr, "");
    }
    engine(&["cache", "lss", "--help"]).with_code(1).complaining(&["cache lss", "no such command"]);
}
