//! Sockets: guests listen, accept, connect, use UDP and resolve names by WasmEdge's socket extensions.
//! Containers in the host's network are reached from the cell they are in.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use wasmedge_shim_tests::{Attached, Cell, Containerd, DEADLINE, Finished, Image, finish, guests, part};

const HOST: &[&str] = &["--net-host"];

fn busybox(cell: &Cell, words: &[&str]) -> Finished {
    finish(cell.command(part("busybox/bin/busybox")).args(words), DEADLINE)
}

/// The HTTP server in the host's network, once it listens.
fn http_server(containerd: &Containerd) -> Attached<'_> {
    let image = containerd.import(&Image::classic(guests::HTTP));
    let server = containerd.container(&image).flags(HOST).attached();
    server.stdout().wait_for("listening on 0.0.0.0:8080", DEADLINE);
    server
}

/// Somebody who has connected to it and says nothing until the standard input is closed.
fn idle_client(containerd: &Containerd) -> Child {
    let mut nc = containerd.cell().command(part("busybox/bin/busybox"));
    nc.args(["nc", "127.0.0.1", "8080"]).stdin(Stdio::piped()).spawn().unwrap()
}

/// A mount that gives a container this text as a file.
fn file_mount(containerd: &Containerd, destination: &str, text: &str) -> String {
    let source: PathBuf = containerd.cell().directory().join(destination.replace('/', "-"));
    fs::write(&source, text).unwrap();
    format!("type=bind,src={},dst={destination},options=rbind:ro", source.display())
}

#[test]
fn an_unpatched_hyper_server_answers() {
    let containerd = Containerd::start();
    let server = http_server(&containerd);
    // Connections that stay open, one that comes and goes between: descriptors get numbers that others had.
    let mut idle = Vec::new();
    for round in 0..40 {
        if round % 4 == 0 {
            idle.push(idle_client(&containerd));
        }
        if round % 8 == 7 {
            drop(idle[round / 8].stdin.take());
        }
        let answer =
            busybox(containerd.cell(), &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/some/path"]);
        answer.success().printing("hello from wasm, you asked for /some/path\n");
    }
    server.kill("SIGTERM");
    assert_eq!(server.wait(), 143);
    for mut nc in idle {
        drop(nc.stdin.take());
        nc.wait().unwrap();
    }
}

#[test]
fn requests_in_pieces_and_several_at_once_are_answered_in_order() {
    let containerd = Containerd::start();
    let server = http_server(&containerd);
    let busybox = part("busybox/bin/busybox").display().to_string();
    let pieces = [
        "GET /in-pi",
        "eces HTTP/1.1\\r\\nhost: x\\r\\n\\r\\nGET /at-once HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n",
        "GET /late HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n",
    ];
    let sent: Vec<String> =
        pieces.iter().map(|piece| format!("printf '{piece}'; {busybox} sleep 0.1")).collect();
    let script = format!("({}) | {busybox} nc 127.0.0.1 8080", sent.join("; "));
    let answers = containerd.cell().run(&["sh", "-c", &script]).success().stdout;
    let asked: Vec<&str> =
        answers.lines().filter_map(|line| line.split_once("you asked for ")).map(|(_, path)| path).collect();
    assert_eq!(asked, ["/in-pieces", "/at-once", "/late"], "{answers}");
    server.kill("SIGTERM");
    assert_eq!(server.wait(), 143);
}

#[test]
fn a_server_with_an_idle_connection_uses_no_processor() {
    let containerd = Containerd::start();
    let server = http_server(&containerd);
    let mut idle = idle_client(&containerd);
    busybox(containerd.cell(), &["wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]).success();
    let ticks = || -> u64 {
        let stat = containerd.cell().outside(format!("/proc/{}/stat", server.pid()));
        let stat = fs::read_to_string(stat).unwrap();
        // utime and stime, in ticks of 10 ms (proc_pid_stat(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks() - before;
    assert!(used < 40, "{used} ticks of the 200 that there were");
    server.kill("SIGTERM");
    assert_eq!(server.wait(), 143);
    drop(idle.stdin.take());
    idle.wait().unwrap();
}

#[test]
fn a_client_of_the_standard_library_reaches_a_server_by_name() {
    let containerd = Containerd::start();
    let [http, client] =
        [guests::HTTP, guests::CLIENT].map(|guest| containerd.import(&Image::classic(guest)));
    let server = containerd.container(&http).flags(HOST).attached();
    server.stdout().wait_for("listening", DEADLINE);
    // With the host's network come the host's names: these are the cell's.
    let hosts = containerd.cell().directory().join("hosts");
    fs::write(&hosts, "127.0.0.1 the-server\n").unwrap();
    containerd.cell().run(&["mount", "--bind", &hosts.display().to_string(), "/etc/hosts"]).success();
    let client = containerd.container(&client).flags(HOST);
    let answer = client.args(&["the-server", "8080", "/by/name"]).run();
    answer.success().printing("hello from wasm, you asked for /by/name\n");
    server.kill("SIGTERM");
    server.wait();
    containerd.cell().run(&["umount", "/etc/hosts"]).success();
}

#[test]
fn a_server_in_c_echoes() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::C_SERVER));
    let server = containerd.container(&image).flags(HOST).attached();
    server.stdout().wait_for("listening on 0.0.0.0:9000", DEADLINE);
    let busybox = part("busybox/bin/busybox").display().to_string();
    let script = format!("(echo over tcp; {busybox} sleep 0.2) | {busybox} nc 127.0.0.1 9000");
    containerd.cell().run(&["sh", "-c", &script]).success().printing("over tcp\n");
    server.kill("SIGTERM");
    assert_eq!(server.wait(), 143);
}

#[test]
fn tcp_and_udp_go_from_guest_to_guest() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let probe = |words: &[&str]| containerd.container(&image).flags(HOST).args(words);
    let tcp = probe(&["listen", "7000"]).attached();
    tcp.stdout().wait_for("listening", DEADLINE);
    probe(&["connect", "127.0.0.1", "7000", "over tcp"]).run().success().printing("over tcp\n");
    tcp.kill("SIGKILL");
    tcp.wait();

    let udp = probe(&["udp-echo", "7001"]).attached();
    udp.stdout().wait_for("listening", DEADLINE);
    probe(&["udp-ask", "127.0.0.1", "7001", "over udp"]).run().success().printing("over udp\n");
    udp.kill("SIGKILL");
    udp.wait();
}

#[test]
fn names_come_from_the_containers_own_files() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let hosts = file_mount(&containerd, "/etc/hosts", "192.0.2.7 only-here\n");
    let found =
        containerd.container(&image).flags(&["--mount", &hosts]).args(&["resolve", "only-here"]).run();
    found.success().printing("192.0.2.7\n");
    containerd.container(&image).args(&["resolve", "only-here"]).run().with_code(1);
}

#[test]
fn a_connection_that_is_refused_is_an_error_to_the_guest() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::PROBE));
    let refused = containerd.container(&image).flags(HOST).args(&["connect", "127.0.0.1", "1", "x"]).run();
    refused.with_code(1).complaining(&["efused"]);
}
