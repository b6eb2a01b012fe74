//! The cluster's network: a bridge in the control plane's cell that each node's cell has a cable to, and routes to
//! the pods of each node.

use std::process::Command;

use super::control_plane::{ADDRESS, ControlPlane};
use super::node::Node;
use crate::{Cell, DEADLINE, finish, part};

/// Makes the bridge, in the control plane's cell.
pub(super) fn make_fabric(cell: &Cell) {
    ip(cell, &["link", "add", "fabric", "type", "bridge"]);
    ip(cell, &["address", "add", &format!("{ADDRESS}/24"), "dev", "fabric"]);
    ip(cell, &["link", "set", "fabric", "up"]);
}

/// The address of the node with that number, from 1.
pub(super) fn address_of(number: usize) -> String {
    format!("172.30.0.{}", 10 + number)
}

/// The addresses of its pods.
pub(super) fn pods_of(number: usize) -> String {
    // A node of many pods needs more than 254.
    format!("10.244.{}.0/20", number * 16)
}

/// Connects a node's cell to the bridge.
pub(super) fn connect(control: &Cell, node: &Cell, number: usize) {
    let cable = format!("node{number}");
    // The pid is the machine's, so only the network is the cell's.
    let mut link = Command::new("nsenter");
    link.arg(format!("--net=/proc/{}/ns/net", control.first_process()))
        .arg("--")
        .arg(part("hosttools/bin/ip"))
        .args(["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns"])
        .arg(node.first_process().to_string());
    finish(&mut link, DEADLINE).success();
    ip(control, &["link", "set", &cable, "master", "fabric", "up"]);
    ip(node, &["address", "add", &format!("{}/24", address_of(number)), "dev", "eth0"]);
    ip(node, &["link", "set", "eth0", "up"]);
    ip(node, &["route", "add", "default", "via", ADDRESS]);
    node.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]).success();
}

/// Tells every cell where each node's pods are.
pub(super) fn route(control: &ControlPlane, nodes: &[Node]) {
    for node in nodes {
        let others = nodes.iter().filter(|other| other.name() != node.name()).map(Node::cell);
        for cell in others.chain([control.cell()]) {
            ip(cell, &["route", "add", &pods_of(node.number()), "via", node.address()]);
        }
    }
}

#[track_caller]
fn ip(cell: &Cell, words: &[&str]) {
    cell.run(&[&["ip"], words].concat()).success();
}
