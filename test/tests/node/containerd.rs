//! Debian's containerd, by `ctr`.

use wasmedge_shim_tests::{Image, guests};

use crate::node::{Node, RUNTIME};

#[test]
fn hello_runs_by_ctr() {
    let node = Node::take();
    let image = node.import(&Image::classic(guests::HELLO));
    let run = node.ctr(&["run", "--rm", "--runtime", RUNTIME, &image, "hello"]);
    run.success().printing("hello from wasm\n");
    node.expect_nothing_left_of("hello");
}
