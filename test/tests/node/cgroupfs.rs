//! Docker told to make cgroups itself.

use serde_json::json;
use wasmedge_shim_tests::{Image, guests};

use crate::node::{Node, cgroup_file, cgroup_of};

#[test]
fn a_container_is_a_directory_below_dockers() {
    let settings = json!({ "exec-opts": ["native.cgroupdriver=cgroupfs"] });
    let node = Node::take().with_docker_settings(&settings);
    node.docker(&["info", "--format={{.CgroupDriver}}"]).success().printing("cgroupfs\n");
    let image = node.load(&Image::classic(guests::PROBE));
    let limits = ["--memory=64m", "--memory-swap=64m", "--pids-limit=50"];
    let id = node.detached(&[&limits[..], &[&image, "sleep"]].concat(), "sleeping");
    let cgroup = cgroup_of(&node.inspect(&id, "{{.State.Pid}}"));
    assert_eq!(cgroup, format!("/docker/{id}"));
    let files = ["memory.max", "memory.swap.max", "pids.max"];
    assert_eq!(files.map(|file| cgroup_file(&cgroup, file)), ["67108864", "0", "50"]);
    node.docker(&["rm", "--force", &id]).success();
    node.expect_nothing_left_of(&id);
}
