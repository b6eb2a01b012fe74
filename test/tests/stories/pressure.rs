//! Pressure: hundreds at once, nobody at the other end, no descriptors left, two who want the same name.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;
use wasmedge_shim_tests::api;
use wasmedge_shim_tests::ttrpc::Code;
use wasmedge_shim_tests::{DEADLINE, MockContainerd, Task, eventually, guests};

use crate::signal;

fn sleeper(containerd: &MockContainerd) -> Task<'_> {
    let task = containerd.task(guests::PROBE).args(&["sleep"]).create().start();
    task.stdout().wait_for("sleeping", DEADLINE);
    task
}

/// The daemon's descriptors and threads.
fn belongings(containerd: &MockContainerd, daemon: u32) -> [usize; 2] {
    ["fd", "task"].map(|directory| {
        let directory = containerd.cell().outside(format!("/proc/{daemon}/{directory}"));
        std::fs::read_dir(directory).unwrap().count()
    })
}

/// The number that the daemon's next descriptor has. A limit is one of numbers.
fn first_free(containerd: &MockContainerd, daemon: u32) -> usize {
    let open = containerd.cell().outside(format!("/proc/{daemon}/fd"));
    (0..).find(|number| !open.join(format!("{number}")).is_symlink()).unwrap()
}

#[test]
fn three_hundred_containers_at_once_are_all_accounted_for() {
    let containerd = MockContainerd::start();
    let companion = sleeper(&containerd);
    let daemon = companion.connect().shim_pid;
    let before = belongings(&containerd, daemon);
    let tasks: Vec<_> = (0..300)
        .map(|n: u32| {
            let task = containerd.task(guests::PROBE).args(&["exit", &(n % 100).to_string()]);
            task.without_output().within(4 * DEADLINE)
        })
        .collect();
    let ids: Vec<_> = tasks.iter().map(|task| task.id().to_owned()).collect();
    thread::scope(|scope| {
        let run = |task: Task<'_>| {
            let task = task.start();
            (task.wait(), task.try_delete().unwrap())
        };
        let threads: Vec<_> = tasks.into_iter().map(|task| scope.spawn(move || run(task.create()))).collect();
        for (n, thread) in (0..).zip(threads) {
            assert_eq!(thread.join().unwrap(), (n % 100, n % 100), "the container's own exit code");
        }
    });
    for id in ids {
        containerd.expect_events(&id, &["create", "start", "exit", "delete"]);
    }
    assert_eq!(companion.connect().shim_pid, daemon);
    eventually("the daemon has what it had before", DEADLINE, || {
        let now = belongings(&containerd, daemon);
        (now[0] <= before[0] && now[1] <= before[1]).then_some(())
    });
    companion.kill(signal::KILL).unwrap();
    companion.finish();
}

#[test]
fn fifos_that_nobody_opens_hold_up_nobody() {
    let containerd = MockContainerd::start();
    let task = containerd.task(guests::PROBE).args(&["exit", "7"]).with_fifos_that_nobody_opens();
    let task = task.within(Duration::from_secs(2)).create().start();
    assert_eq!(task.wait(), 7);
    // As runc's, its standard input has no end before somebody has opened and closed it.
    let reads =
        containerd.task(guests::PROBE).args(&["echo"]).with_fifos_that_nobody_opens().create().start();
    task.delete();
    reads.kill(signal::TERM).unwrap();
    assert_eq!(reads.finish(), 143);
}

#[test]
fn without_descriptors_a_create_fails_and_the_daemon_lives() {
    let containerd = MockContainerd::start();
    let companion = sleeper(&containerd);
    let daemon = companion.connect().shim_pid;
    let limit = |limit: usize| {
        let pid = daemon.to_string();
        let limit = format!("--nofile={limit}:");
        containerd.cell().run(&["prlimit", "--pid", &pid, &limit]).success();
    };
    // What is about to be closed is closed when the daemon has answered often enough.
    for _ in 0..20 {
        companion.state().unwrap();
    }
    let [before, _] = belongings(&containerd, daemon);
    // One for the caller's connection, and not enough for a container.
    for more in [1, 3, 6] {
        limit(first_free(&containerd, daemon) + more);
        let refusal = containerd.task(guests::HELLO).try_create().err().expect("refused");
        assert!(refusal.message.contains("No file descriptors available"), "{more}: {refusal}");
        eventually("the caller's connection is closed", DEADLINE, || {
            (belongings(&containerd, daemon)[0] <= before).then_some(())
        });
    }
    // A connection that cannot be taken waits, and disturbs nobody.
    limit(first_free(&containerd, daemon));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| containerd.task(guests::HELLO).create().start().finish());
        for _ in 0..20 {
            companion.state().unwrap();
        }
        limit(1024);
        assert_eq!(waiting.join().unwrap(), 0);
    });
    eventually("the daemon has what it had before", DEADLINE, || {
        (belongings(&containerd, daemon)[0] <= before).then_some(())
    });
    companion.kill(signal::KILL).unwrap();
    assert_eq!(companion.finish(), 137);
}

#[test]
fn on_a_full_disk_a_create_fails_and_leaves_nothing() {
    let containerd = MockContainerd::start();
    let companion = sleeper(&containerd);
    let id = format!("{}-full", containerd.cell().name());
    // The companion's bundle once more, on a disk that it fills.
    let script = "mkdir /run/small && mount -t tmpfs -o size=4m small /run/small
        cp -a $1 /run/small/$2 && cd /run/small/$2 && rm -rf wasmedge && sed -i s/$3/$2/g config.json
        cat /dev/zero > ../rest 2> /dev/null || true";
    let bundle = companion.bundle().display().to_string();
    containerd.cell().run(&["sh", "-ec", script, "sh", &bundle, &id, companion.id()]).success();
    let request =
        api::CreateTaskRequest { id: id.clone(), bundle: format!("/run/small/{id}"), ..Default::default() };
    let create = || companion.call::<_, api::CreateTaskResponse>("Create", &request);
    let refusal = create().unwrap_err();
    assert!(refusal.message.contains("No space left on device"), "{refusal}");
    containerd.verb("delete", &id, Path::new(&request.bundle)).success();
    assert_eq!(companion.state().unwrap().status(), api::Status::RUNNING);

    containerd.cell().run(&["rm", "/run/small/rest"]).success();
    create().unwrap();
    let delete = api::DeleteRequest { id, ..Default::default() };
    companion.call::<_, api::DeleteResponse>("Delete", &delete).unwrap();
    containerd.cell().run(&["umount", "/run/small"]).success();
    companion.kill(signal::KILL).unwrap();
    assert_eq!(companion.finish(), 137);
}

#[test]
fn of_two_creates_with_one_id_one_wins() {
    let containerd = MockContainerd::start();
    let companion = sleeper(&containerd);
    let gate = containerd.cell().directory().join("gate").display().to_string();
    containerd.cell().run(&["mkfifo", &gate]).success();
    let again = |task: &str, bundle: &str| {
        let request =
            api::CreateTaskRequest { id: task.to_owned(), bundle: bundle.to_owned(), ..Default::default() };
        companion.call::<_, api::CreateTaskResponse>("Create", &request).unwrap_err().code
    };
    let hook =
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("echo here > {gate}; cat {gate}")] }]);
    let first = containerd.task(guests::PROBE).args(&["exit", "7"]);
    let first = first.configure(|config| config["hooks"] = json!({ "createRuntime": hook }));
    let (id, bundle) = (first.id().to_owned(), first.bundle().display().to_string());
    thread::scope(|scope| {
        let first = scope.spawn(move || first.create());
        containerd.cell().run(&["cat", &gate]).success().printing("here\n");
        assert_eq!(again(&id, &bundle), Code::ALREADY_EXISTS, "while it is being created");
        // To a containerd that is started now it says that there is no container yet.
        let of = |id: &str| api::PidsRequest { id: id.to_owned(), ..Default::default() };
        let pids = companion.call::<_, api::PidsResponse>("Pids", &of(&id));
        assert_eq!(pids.unwrap_err().code, Code::NOT_FOUND, "while it is being created");
        containerd.cell().run(&["sh", "-c", &format!("echo go > {gate}")]).success();
        let first = first.join().unwrap().start();
        assert_eq!(again(&id, &bundle), Code::ALREADY_EXISTS, "when it is there");
        assert_eq!(first.wait(), 7);
        first.try_delete().unwrap();
    });
    companion.kill(signal::KILL).unwrap();
    companion.finish();
}
