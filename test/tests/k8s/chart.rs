//! The chart, as helm sees it.

use std::fs;
use std::process::Command;

use wasmedge_shim_tests::{DEADLINE, Finished, finish, part, repository};

fn helm(words: &[&str]) -> Finished {
    let mut helm = Command::new(part("helm/bin/helm"));
    finish(helm.args(words).current_dir(repository()), DEADLINE)
}

#[test]
fn helm_finds_nothing_wrong_with_the_chart() {
    let lint = helm(&["lint", "--strict", "deploy/chart"]).success();
    assert!(lint.stdout.contains("0 chart(s) failed"), "{lint}");
}

#[test]
fn the_plain_manifest_is_what_the_chart_makes() {
    let made = finish(Command::new(repository().join("deploy/manifest")).arg("-"), DEADLINE).success();
    let kept = fs::read_to_string(repository().join("deploy/kubernetes.yaml")).unwrap();
    assert!(made.stdout == kept, "deploy/kubernetes.yaml is not up to date: run `make manifest`");
}

#[test]
fn values_that_do_not_exist_or_do_not_fit_are_refused_by_name() {
    let refused = |value: &str, text: &str| {
        helm(&["template", "deploy/chart", "--set", value]).with_code(1).complaining(&[text]);
    };
    refused("runtimeClas.name=x", "runtimeClas");
    refused("options.Compile=sometimes", "Compile");
    refused("node.directory=opt", "directory");
    refused("options.compile=off", "compile");
}

#[test]
fn what_is_chosen_arrives_in_the_pods() {
    let values = [
        "--set",
        "options.Compile=off",
        "--set",
        "options.CompileWait=3",
        "--set",
        "node.socket=/run/x.sock",
    ];
    let words = [&["template", "deploy/chart", "--set", "image.tag=v7"][..], &values].concat();
    let text = helm(&words).success().stdout;
    for expected in [
        "--option=Compile=off",
        "--option=CompileWait=3",
        "{ name: CONTAINERD_SOCKET, value: \"/run/x.sock\" }",
        "wasmedge-node-installer:v7",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}
