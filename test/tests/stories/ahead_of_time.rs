//! Ahead of time: modules become native code, once per node, and nobody can tell but by the clock.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use wasmedge_shim_tests::guests::{self, Guest};
use wasmedge_shim_tests::{
    Containerd, DEADLINE, Image, MockContainerd, Task, TaskBuilder, eventually, finish, part, product,
};

use crate::signal;

/// A compile of a small guest, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);
const NATIVE: &str = "runs native code";
const INTERPRETED: &str = "runs interpreted";

fn run(task: TaskBuilder<'_>) -> (u32, String, String, String) {
    let task = task.with_log().within(PATIENCE).create();
    let task = task.start();
    let status = task.wait();
    task.log().wait_for(" runs ", DEADLINE);
    let (out, err) = (task.stdout().to_end(DEADLINE), task.stderr().to_end(DEADLINE));
    let log = task.log().so_far();
    task.delete();
    (status, out, err, log)
}

fn entries(containerd: &MockContainerd, ending: &str) -> Vec<PathBuf> {
    let cache = containerd.cell().outside("/var/cache/containerd-shim-wasmedge");
    let entries = fs::read_dir(cache).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

#[test]
fn a_guest_that_waits_for_the_compiler_and_the_next_one_run_native_code() {
    let containerd = MockContainerd::start();
    let interpreted = run(containerd.task(guests::HELLO));
    assert!(interpreted.3.contains("compiling is off"), "{}", interpreted.3);
    for _ in 0..2 {
        let native = run(containerd.task(guests::HELLO).compiled("wait"));
        assert!(native.3.contains(NATIVE), "{}", native.3);
        assert_eq!((native.0, native.1, native.2), (interpreted.0, interpreted.1.clone(), String::new()));
    }
    assert_eq!(entries(&containerd, "so").len(), 1);
}

#[test]
fn in_the_background_the_first_start_is_interpreted_and_a_later_one_native() {
    let containerd = MockContainerd::start();
    let first = run(containerd.task(guests::HELLO).compiled("background"));
    assert!(first.3.contains(INTERPRETED) && first.3.contains("being compiled"), "{}", first.3);
    eventually("the artifact is there", PATIENCE, || (entries(&containerd, "so").len() == 1).then_some(()));
    let next = run(containerd.task(guests::HELLO).compiled("background"));
    assert!(next.3.contains(NATIVE), "{}", next.3);
    assert_eq!(next.1, first.1);
}

#[test]
fn a_trap_in_native_code_is_a_trap() {
    let containerd = MockContainerd::start();
    let trap = |guest: Guest, words: &[&str], said: &str, function: &str| {
        let (status, _, err, log) = run(containerd.task(guest).args(words).compiled("wait"));
        assert!(log.contains(NATIVE), "{log}");
        assert_eq!(status, 134, "{err}");
        assert!(err.contains(&format!("/app.wasm: trap: {said}")) && err.contains(function), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    };
    trap(guests::DIVIDE, &[], "integer divide by zero", "in or below function divide_by_zero");
    // The trapping function may be inlined into its caller.
    trap(guests::NAMED_TRAP, &[], "unreachable", "er_function");
    trap(guests::DEEP, &[], "call stack exhausted", "in or below function down");
    trap(guests::PROBE, &["trap", "memory"], "out of bounds memory access", "in or below function ");
}

#[test]
fn a_trap_in_the_start_section_of_native_code_names_its_function() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::START_TRAPS).compiled("wait").create();
    let refusal = task.try_start().unwrap_err();
    task.finish();
    for word in ["/app.wasm: trap: unreachable", "in_the_start_section"] {
        assert!(refusal.message.contains(word), "expected to read {word:?} in: {refusal}");
    }
}

#[test]
fn an_exec_runs_native_code_when_there_is_some_and_is_not_kept_waiting_otherwise() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).compiled("wait").within(PATIENCE).with_log();
    let task = task.file("/other.wasm", &guests::HELLO.bytes().unwrap(), 0o644).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    assert_eq!(task.run_exec("same", &["/app.wasm", "say", "hi"]), (0, "hi\n".to_owned()));
    task.log().wait_for("exec same of", DEADLINE);
    assert_eq!(task.run_exec("new", &["/other.wasm"]), (0, "hello from wasm\n".to_owned()));
    eventually("the artifact is there", PATIENCE, || (entries(&containerd, "so").len() == 2).then_some(()));
    assert_eq!(task.run_exec("known", &["/other.wasm"]), (0, "hello from wasm\n".to_owned()));
    task.log().wait_for("exec known of", DEADLINE);
    let log = task.log().so_far();
    for (exec, mode) in [("same", NATIVE), ("new", INTERPRETED), ("known", NATIVE)] {
        assert!(log.contains(&format!("exec {exec} of container {} {mode}", task.id())), "{exec}: {log}");
    }
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
}

#[test]
fn ps_lists_the_guests_of_a_node_and_how_they_run() {
    let containerd = MockContainerd::start();
    let ps = |flags: &[&str]| {
        let mut ps = containerd.cell().command(product("bin/wasmedge-engine"));
        finish(ps.arg("ps").args(flags), DEADLINE).success().stdout
    };
    assert_eq!(ps(&[]).lines().count(), 1, "only the heading");
    let native = containerd.task(guests::PROBE).args(&["sleep"]).compiled("wait").within(PATIENCE);
    let native = native.create().start();
    let interpreted = containerd.task(guests::PROBE).args(&["sleep"]).compiled("off").create().start();
    let busybox = fs::read(part("busybox/bin/busybox")).unwrap();
    let program = containerd.bare_task().file("/bin/sleep", &busybox, 0o755).command(&["/bin/sleep", "1000"]);
    let program = program.create().start();
    native.stdout().wait_for("sleeping", DEADLINE);
    let exec = native.exec("e1", &["/app.wasm", "sleep"]).add();
    exec.start();
    let listed: Vec<serde_json::Value> = serde_json::from_str(&ps(&["--json"])).unwrap();
    let of = |id: &str| listed.iter().filter(|guest| guest["container"] == id).cloned().collect::<Vec<_>>();
    let [first, more] = <[_; 2]>::try_from(of(native.id())).unwrap();
    assert_eq!((&first["mode"], &first["exec"]), (&json!("native"), &json!(null)));
    assert_eq!((&more["mode"], &more["exec"]), (&json!("native"), &json!("e1")));
    assert_eq!(of(interpreted.id())[0]["mode"], json!({ "interpreted": { "why": "compiling is off" } }));
    assert_eq!(of(program.id()), [] as [serde_json::Value; 0], "a native program is no guest");
    let table = ps(&[]);
    assert!(table.contains("interpreted: compiling is off") && table.contains("NAMESPACE"), "{table}");
    for task in [native, interpreted, program] {
        task.kill(signal::KILL).unwrap();
        task.finish();
    }
}

#[test]
fn a_signal_ends_native_code_at_once() {
    let containerd = MockContainerd::start();
    for (work, sign) in [("sleep", "sleeping"), ("spin", "spinning")] {
        let task = containerd.task(guests::PROBE).args(&[work]).compiled("require").within(PATIENCE);
        let task = task.create().start();
        task.stdout().wait_for(sign, DEADLINE);
        // Somebody who sends what a fault would send changes nothing.
        task.kill(signal::SEGV).unwrap();
        task.kill(signal::TERM).unwrap();
        assert_eq!(task.finish(), 143);
    }
}

#[test]
fn a_flipped_bit_is_never_run_and_the_artifact_is_made_anew() {
    let containerd = MockContainerd::start();
    run(containerd.task(guests::HELLO).compiled("wait"));
    let [artifact] = entries(&containerd, "so").try_into().unwrap();
    let sound = fs::read(&artifact).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&artifact).unwrap();
    file.write_all_at(&[!sound[sound.len() / 2]], sound.len() as u64 / 2).unwrap();
    let (status, out, _, log) = run(containerd.task(guests::HELLO).compiled("wait"));
    assert_eq!((status, out.as_str()), (0, "hello from wasm\n"));
    assert!(log.contains(NATIVE), "{log}");
    assert_eq!(fs::read(&artifact).unwrap(), sound, "the compiler makes the same again");
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    let containerd = MockContainerd::start();
    let cache = containerd.cell().outside("/var/cache/containerd-shim-wasmedge");
    fs::create_dir(&cache).unwrap();
    std::os::unix::fs::chown(&cache, Some(1000), Some(1000)).unwrap();
    let (status, out, _, log) = run(containerd.task(guests::HELLO).compiled("wait"));
    assert_eq!((status, out.as_str()), (0, "hello from wasm\n"));
    assert!(log.contains(INTERPRETED), "{log}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
    std::os::unix::fs::chown(&cache, Some(0), Some(0)).unwrap();
    fs::set_permissions(&cache, Permissions::from_mode(0o775)).unwrap();
    containerd.cell().dismiss_idle_daemons();
    let (_, _, _, log) = run(containerd.task(guests::HELLO).compiled("wait"));
    assert!(log.contains(INTERPRETED), "{log}");
}

#[test]
fn a_running_daemon_notices_what_becomes_of_the_caches_directory() {
    let containerd = MockContainerd::start();
    let cache = containerd.cell().outside("/var/cache/containerd-shim-wasmedge");
    let daemon = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let log = || run(containerd.task(guests::HELLO).compiled("wait")).3;
    let native = || {
        let log = log();
        assert!(log.contains(NATIVE), "{log}");
        assert_eq!(entries(&containerd, "so").len(), 1);
    };
    native();
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    let open = log();
    assert!(open.contains(INTERPRETED) && open.contains("others can write"), "{open}");
    fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
    native();
    fs::remove_dir_all(&cache).unwrap();
    native();
    end(daemon);
}

#[test]
fn a_full_disk_costs_the_native_code_and_not_the_container() {
    let containerd = MockContainerd::start();
    containerd.cell().run(&["mount", "-o", "remount,size=64k", "/var/cache"]).success();
    let (status, out, _, log) = run(containerd.task(guests::HELLO).compiled("wait"));
    assert_eq!((status, out.as_str()), (0, "hello from wasm\n"));
    assert!(log.contains(INTERPRETED) && log.contains("No space left"), "{log}");
    for ending in ["so", "json", "new"] {
        assert_eq!(entries(&containerd, ending), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_wasmedge_section_is_not_native_code() {
    let containerd = MockContainerd::start();
    for policy in ["wait", "require"] {
        let (status, out, err, log) = run(containerd.task(guests::WASMEDGE_SECTION).compiled(policy));
        assert_eq!((status, out.as_str(), err.as_str()), (0, "hello from wasm\n", ""));
        assert!(log.contains(NATIVE), "{log}");
    }
}

#[test]
fn two_containers_at_once_cost_one_compile() {
    let containerd = MockContainerd::start();
    let daemon = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let tasks = [(); 2].map(|()| containerd.task(guests::HELLO).compiled("wait").with_log().within(PATIENCE));
    let compilers = || containerd.cell().processes_named("compile --memory").len();
    std::thread::scope(|scope| {
        let running = tasks.map(|task| scope.spawn(|| task.create().start()));
        let most = eventually("a compiler at work", PATIENCE, || match compilers() {
            0 => None,
            some => Some(some),
        });
        // The one that waits for the other in its pid namespace, seen from here, is the same command.
        assert!(most <= 2, "{most} processes");
        for task in running {
            let task = task.join().unwrap();
            task.log().wait_for(NATIVE, DEADLINE);
            assert_eq!(task.finish(), 0);
        }
    });
    assert_eq!(entries(&containerd, "so").len(), 1);
    end(daemon);
}

#[test]
fn a_compiler_that_is_killed_leaves_no_entry_and_the_guest_is_interpreted() {
    let containerd = MockContainerd::start();
    let (status, out) = std::thread::scope(|scope| {
        let task = containerd.task(guests::HTTP).args(&["--no-such-option"]).compiled("wait").with_log();
        let task = task.within(PATIENCE);
        let creating = scope.spawn(|| task.create());
        let compilers = eventually("a compiler at work", PATIENCE, || {
            let found = containerd.cell().processes_named("compile --memory");
            (found.len() == 2).then_some(found)
        });
        for compiler in &compilers {
            let score = containerd.cell().outside(format!("/proc/{compiler}/oom_score_adj"));
            assert_eq!(fs::read_to_string(score).unwrap(), "1000\n", "it goes before any container");
        }
        containerd.cell().kill("KILL", &compilers);
        let task = creating.join().unwrap();
        task.log().wait_for(INTERPRETED, DEADLINE);
        let log = task.log().so_far();
        assert!(log.contains("signal 9"), "{log}");
        // That was not the module's fault; but to try again at once would not help either.
        let next = containerd.task(guests::HTTP).compiled("require").within(PATIENCE).try_create();
        let refusal = next.err().unwrap().to_string();
        assert!(refusal.contains("signal 9") && refusal.contains("it is tried again after"), "{refusal}");
        task.kill(signal::KILL).unwrap();
        (task.finish(), log)
    });
    assert_eq!(status, 137, "{out}");
    for ending in ["so", "json", "new"] {
        assert_eq!(entries(&containerd, ending), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_module_that_takes_too_much_processor_time_is_interpreted_and_the_log_says_so() {
    let containerd = MockContainerd::start();
    let settings = containerd.cell().outside("/run/containerd-shim-wasmedge.toml");
    fs::write(settings, "CompileTime = 1\n").unwrap();
    let too_long = "compiling it takes more than the 1 s of processor time that CompileTime allows";
    let task = containerd.task(guests::HTTP).compiled("wait").with_log().within(PATIENCE).create();
    task.log().wait_for(INTERPRETED, DEADLINE);
    assert!(task.log().so_far().contains(too_long), "{}", task.log().so_far());
    end(task);
    let module = guests::HTTP.path().display().to_string();
    let engine = product("bin/wasmedge-engine").display().to_string();
    let warmed = containerd.cell().run(&[&engine, "cache", "warm", &module]).with_code(1);
    warmed.complaining(&["http.wasm", too_long]);
    assert_eq!(entries(&containerd, "new"), Vec::<PathBuf>::new());
}

#[test]
fn a_start_that_waits_does_not_wait_for_what_others_compile() {
    let containerd = MockContainerd::start();
    let daemon = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let others = all_turns_taken(&containerd);
    let (_, _, _, log) = run(containerd.task(guests::HELLO).compiled("wait"));
    assert!(log.contains(NATIVE), "{log}");

    // One that nobody waits for any longer makes room for the next, and is made when there is room for it.
    let long = containerd.task(guests::HTTP).option("Compile = \"wait\"\nCompileWait = 1\n").with_log();
    let long = long.within(PATIENCE).create();
    long.log().wait_for("it is still being compiled", DEADLINE);
    let (_, _, _, log) = run(containerd.task(guests::DIVIDE).compiled("wait"));
    assert!(log.contains(NATIVE), "{log}");
    assert_eq!(entries(&containerd, "so").len(), 2);
    drop(others);
    eventually("the long one", PATIENCE, || (entries(&containerd, "so").len() == 3).then_some(()));
    end(long);
    end(daemon);
}

/// The locks that a node's compilers hold when there is room for no further one.
fn all_turns_taken(containerd: &MockContainerd) -> Vec<fs::File> {
    let cache = containerd.cell().outside("/var/cache/containerd-shim-wasmedge");
    fs::DirBuilder::new().mode(0o700).create(&cache).unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    let turns = (0..=processors).map(|number| {
        let turn = fs::File::create(cache.join(format!("turn-{number}"))).unwrap();
        turn.lock().unwrap();
        turn
    });
    turns.collect()
}

#[test]
fn what_is_installed_again_has_its_native_code_still() {
    let containerd = MockContainerd::start();
    containerd.install();
    run(containerd.task(guests::HELLO).compiled("wait"));
    let [artifact] = entries(&containerd, "so").try_into().unwrap();
    let made = fs::metadata(&artifact).unwrap().ino();
    containerd.install();
    let (_, _, _, log) = run(containerd.task(guests::HELLO).compiled("background"));
    assert!(log.contains(NATIVE), "{log}");
    let [artifact] = entries(&containerd, "so").try_into().unwrap();
    assert_eq!(fs::metadata(&artifact).unwrap().ino(), made, "it was not made anew");
}

#[test]
fn a_daemon_that_is_killed_takes_its_compiler_with_it_and_the_next_one_compiles() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::HTTP).compiled("background").create();
    eventually("a draft", PATIENCE, || (entries(&containerd, "new").len() == 1).then_some(()));
    containerd.cell().kill("KILL", &[task.connect().shim_pid]).success();
    containerd.verb("delete", task.id(), task.bundle()).success();
    eventually("the compiler is gone", DEADLINE, || {
        containerd.cell().processes_named("compile --memory").is_empty().then_some(())
    });
    assert_eq!(entries(&containerd, "so"), Vec::<PathBuf>::new());
    let next = containerd.task(guests::HTTP).compiled("require").with_log().within(PATIENCE).create();
    next.log().wait_for(NATIVE, DEADLINE);
    end(next);
    assert_eq!(entries(&containerd, "new"), Vec::<PathBuf>::new());
}

#[test]
fn what_native_code_would_get_wrong_is_interpreted_and_where_it_is_required_refused() {
    let containerd = MockContainerd::start();
    let unfit = [
        (guests::MEMORY64, 0, "64-bit memory"),
        (guests::TABLE64, 134, "64-bit table"),
        (guests::STRUCTS, 3, "structure or array types"),
        (guests::IMPORT_BY_REFERENCE, 3, "refers to an imported function"),
        (guests::TAIL_CALLS, 3, "tail calls"),
    ];
    for (guest, expected, why) in unfit {
        let (status, _, _, log) = run(containerd.task(guest).compiled("wait"));
        assert!(log.contains(INTERPRETED) && log.contains(why), "{log}");
        assert_eq!(status, expected, "{}", guest.name);
        let refused = containerd.task(guest).compiled("require").within(PATIENCE).try_create();
        let refusal = refused.err().unwrap().to_string();
        assert!(refusal.contains("native code is required") && refusal.contains(why), "{refusal}");
    }
}

#[test]
fn containers_of_one_module_share_its_native_code() {
    let containerd = MockContainerd::start();
    run(containerd.task(guests::PROBE).args(&["exit", "0"]).compiled("require"));
    let sleeper = || {
        let task = containerd.task(guests::PROBE).args(&["sleep"]).compiled("require").create().start();
        task.stdout().wait_for("sleeping", DEADLINE);
        task
    };
    let tasks: Vec<_> = (0..20).map(|_| sleeper()).collect();
    let (mut code, mut shares) = (0, 0);
    for task in &tasks {
        let (resident, share) = executable_artifact(task);
        code = code.max(resident);
        shares += share;
    }
    assert!(code > 0, "the code is resident");
    // Pages of one copy are counted in equal parts; a part of a KiB is lost in each.
    assert!(shares <= code + 20, "20 containers have {shares} KiB of code between them, one has {code} KiB");
    tasks.into_iter().for_each(end);
}

#[test]
fn a_daemon_that_does_not_answer_is_named_by_ps() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    let daemon = containerd.cell().processes_named("containerd-shim-wasmedge-v1");
    containerd.cell().kill("STOP", &daemon).success();
    let mut ps = containerd.cell().command(product("bin/wasmedge-engine"));
    let listed = finish(ps.arg("ps"), DEADLINE).with_code(1);
    containerd.cell().kill("CONT", &daemon).success();
    assert!(listed.stdout.starts_with("NAMESPACE"), "{listed}");
    listed.complaining(&["the list is not whole", "guests.sock: no answer after 5s"]);
    task.kill(signal::TERM).unwrap();
    assert_eq!(task.finish(), 143);
}

#[test]
fn a_person_can_warm_list_verify_and_prune_the_cache() {
    let containerd = MockContainerd::start();
    let cache = |words: &[&str]| {
        let engine = wasmedge_shim_tests::product("bin/wasmedge-engine").display().to_string();
        containerd.cell().run(&[&[engine.as_str(), "cache"], words].concat())
    };
    let hello = guests::HELLO.path().display().to_string();
    assert!(cache(&["warm", &hello]).success().stdout.contains("compiled in"));
    assert!(cache(&["warm", &hello]).success().stdout.contains("there already"));
    assert!(cache(&["ls"]).success().stdout.contains("hello.wasm"));
    let (_, _, _, log) = run(containerd.task(guests::HELLO).compiled("background"));
    assert!(log.contains(NATIVE), "it was compiled before its first start: {log}");

    let [artifact] = entries(&containerd, "so").try_into().unwrap();
    fs::set_permissions(&artifact, Permissions::from_mode(0o666)).unwrap();
    let verified = cache(&["verify"]).success();
    assert!(verified.stdout.contains("1 removed") && verified.stderr.contains("can write"), "{verified}");
    cache(&["warm", &hello]).success();
    assert!(cache(&["prune", "--size", "0"]).success().stdout.starts_with("1 removed"));
    assert!(!cache(&["ls"]).success().stdout.contains("hello.wasm"));

    fs::write(containerd.cell().outside("/run/containerd-shim-wasmedge.toml"), "CacheSize = 1\n").unwrap();
    let warmed = cache(&["warm", &hello]).with_code(1);
    warmed.complaining(&["hello.wasm: its native code was removed again: CacheSize is 1 bytes"]);
}

#[test]
fn an_image_is_compiled_before_it_is_first_started() {
    let containerd = Containerd::start();
    let (socket, namespace) = (containerd.socket().display().to_string(), containerd.namespace().to_owned());
    let warm = |image: &str| {
        let mut engine = containerd.cell().command(product("bin/wasmedge-engine"));
        engine.args(["cache", "warm", "--address", &socket, "--namespace", &namespace, image]);
        finish(&mut engine, PATIENCE)
    };
    let unpacked = |image: &Image| {
        let archive = image.pack(containerd.cell().directory()).display().to_string();
        containerd.ctr(&["image", "import", &archive]).success();
        image.name().to_owned()
    };
    let image = Image::classic(guests::HELLO).add(&guests::DIVIDE.path(), "/lib/for-an-exec");
    let image = image.add(&guests::TEXT.path(), "/lib/text.wat");
    let files = unpacked(&image);
    let warmed = warm(&files).success().stdout;
    assert_eq!(warmed.matches("compiled in").count(), 3, "{warmed}");
    assert!(warmed.contains("/lib/for-an-exec") && warmed.contains("/lib/text.wat"), "{warmed}");
    let layer = containerd.import(&Image::classic(guests::PROBE).flag("--layer"));
    assert!(warm(&layer).success().stdout.contains("compiled in"));
    let short = files.strip_prefix("docker.io/library/").unwrap();
    assert!(warm(short).success().stdout.contains("there already"), "the same image by its short name");
    for kept in ["snapshots", "leases"] {
        assert!(!containerd.ctr(&[kept, "list"]).success().stdout.contains("wasmedge-engine"), "{kept}");
    }
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains("wasmedge-engine"));

    warm("docker.io/library/nothing:1").with_code(1).complaining(&["nothing:1", "no such image"]);
    let busybox = Image::of_files("native", "/bin/sh").add(&part("busybox/bin/busybox"), "/bin/sh");
    let nothing = warm(&unpacked(&busybox)).success().stdout;
    assert!(
        nothing.ends_with("native:1: no file of it is a Wasm module, there is nothing to compile\n"),
        "{nothing}"
    );
}

/// Resident and proportional KiB of the executable part of the artifact in a task's process.
fn executable_artifact(task: &Task<'_>) -> (u64, u64) {
    let smaps = task.smaps();
    let mut lines = smaps.lines().skip_while(|line| {
        !(line.contains(" r-xp ")
            && line.ends_with(".so")
            && line.contains("containerd-shim-wasmedge/")
            && !line.contains("/lib"))
    });
    let mut value = |name: &str| {
        let line =
            lines.find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {smaps}"));
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    (value("Rss:"), value("Pss:"))
}

fn end(task: Task<'_>) {
    task.kill(signal::KILL).unwrap();
    task.finish();
}
