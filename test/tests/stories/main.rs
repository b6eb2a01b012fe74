//! The stories.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "stories fail by panicking")]
use wasmedge_shim_tests::*;

#[test]
fn a_cell_holds_its_processes() {
    let cell = Cell::new();
    let out = cell.run(&["/bin/busybox", "sh", "-c", "echo hi; ip addr; ls /run; (sleep 0.1 &) ; (sh -c 'sleep 0.2 &' &)"]).success();
    eprintln!("{out}");
    cell.expect_nothing_left(&[], std::time::Duration::from_secs(2));
}

#[test]
fn containerd_boots_and_runs_runc() {
    let c = Containerd::start();
    eprintln!("{}", c.ctr(&["version"]));
    eprintln!("{:?}", c.cell().mounts());
    let layer = OddImage::new().layer("application/vnd.oci.image.layer.v1.tar", b"");
    c.import_archive(&layer.pack(c.cell().directory(), "docker.io/library/odd:1"));
    eprintln!("{}", c.ctr(&["image", "list"]));
    let dir = c.cell().directory().join("rootfs/bin");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(part("busybox/bin/busybox"), dir.join("busybox")).unwrap();
    let root = dir.parent().unwrap().display().to_string();
    let out = c.container(&root).runtime("io.containerd.runc.v2").flags(&["--rootfs"]).args(&["/bin/busybox", "sh", "-c", "echo hello; exit 3"]).run();
    eprintln!("{out}");
    let a = c.container(&root).runtime("io.containerd.runc.v2").flags(&["--rootfs"]).args(&["/bin/busybox", "sh", "-c", "echo hello; trap 'exit 9' TERM; while true; do /bin/busybox sleep 0.1; done"]).attached();
    a.stdout().wait_for("hello", DEADLINE);
    eprintln!("{}", a.pid());
    a.kill("SIGTERM");
    assert_eq!(a.wait(), 9);
    c.container(&root).runtime("io.containerd.runc.v2").flags(&["--rootfs"]).args(&["/bin/busybox", "sh", "-c", "echo hello;  while true; do /bin/busybox sleep 0.1; done"]).detached();
}

#[test]
fn docker_boots() {
    for store in [Store::Docker, Store::Containerd] {
    let t = std::time::Instant::now();
    let d = Dockerd::shared(store);
    eprintln!("{:?}", t.elapsed());
    eprintln!("{}", d.docker(&["version"]));
    let dir = d.cell().directory().join("b");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(part("busybox/bin/busybox"), dir.join("busybox")).unwrap();
    std::fs::write(dir.join("Dockerfile"), "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\"]\n").unwrap();
    let image = d.build(&dir, &[]);
    eprintln!("{}", d.docker(&["run", "--rm", "-p", "8080:80", &image, "sh", "-c", "echo hi; /bin/busybox ip addr; exit 4"]));
    eprintln!("{:?}", t.elapsed());
    }
}
