//! Debian's Docker, with the runtime's full name.

use wasmedge_shim_tests::{Image, guests, part};

use crate::node::{Node, cgroup_file, cgroup_of};

#[test]
fn hello_runs_by_docker_whose_driver_is_systemd() {
    let node = Node::take();
    let driver = node.docker(&["info", "--format={{.CgroupDriver}} {{.CgroupVersion}}"]).success();
    driver.printing("systemd 2\n");
    let image = node.load(&Image::classic(guests::HELLO));
    node.docker_run(&["--rm", &image]).success().printing("hello from wasm\n");
}

#[test]
fn exec_is_in_the_containers_cgroup() {
    let node = Node::take();
    let image = node.load(&Image::classic(guests::PROBE));
    let id = node.detached(&[&image, "sleep"], "sleeping");
    node.docker(&["exec", &id, "/app.wasm", "exit", "42"]).with_code(42);
    node.docker(&["exec", "--detach", &id, "/app.wasm", "sleep"]).success();
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    wasmedge_shim_tests::eventually("two processes", wasmedge_shim_tests::DEADLINE, || {
        (cgroup_file(&cgroup, "cgroup.procs").lines().count() == 2).then_some(())
    });
    node.docker(&["rm", "--force", &id]).success();
    node.expect_nothing_left_of(&id);
}

#[test]
fn a_native_container_reaches_its_own_devices_only() {
    let node = Node::take();
    let image = Image::of_files("native", "/bin/sh").add(&part("busybox/bin/busybox"), "/bin/sh");
    let image = node.load(&image);
    let script = "mknod /disk b 259 0 && mknod /free c 1 3 && \
                  : > /free && : > /dev/null && (: < /disk)";
    let refused = node.docker_run(&["--rm", &image, "-c", script]);
    refused.with_code(1).complaining(&["/disk: Operation not permitted"]);
    let script = "mknod /disk b 259 0 && (: < /disk) && echo opened";
    let allowed = node.docker_run(&["--rm", "--privileged", &image, "-c", script]);
    allowed.success().printing("opened\n");
    let device = "--device=/dev/nvme0n1:/dev/given:r";
    let given = node.docker_run(&["--rm", device, &image, "-c", "(: < /dev/given) && (: >> /dev/given)"]);
    given.with_code(1).complaining(&["/dev/given: Operation not permitted"]);
}
