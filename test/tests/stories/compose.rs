//! Docker Compose: `deploy/compose.yaml`, with modules and a native program as services.

use std::process::Command;

use wasmedge_shim_tests::{
    DEADLINE, Dockerd, Finished, Image, Store, eventually, finish, guests, part, repository,
};

/// `docker compose` with the example, for a daemon.
fn compose(docker: &Dockerd, words: &[&str]) -> Finished {
    let mut compose: Command = docker.cell().command(part("compose/bin/docker-compose"));
    compose.args(["--project-name", "story", "--file"]).arg(repository().join("deploy/compose.yaml"));
    finish(compose.env("DOCKER_HOST", docker.host()).args(words), 2 * DEADLINE)
}

#[test]
fn services_wait_for_each_others_health_and_find_each_other_by_name() {
    let docker = Dockerd::shared(Store::Docker);
    let server = Image::classic(guests::HTTP).add(&guests::CLIENT.path(), "/client.wasm").named("server");
    let native = Image::of_files("native-client", "/client").add(&guests::NATIVE_CLIENT.path(), "/client");
    for image in [server, Image::classic(guests::CLIENT).named("client"), native] {
        docker.load(&image);
    }
    compose(&docker, &["up", "--detach"]).success();
    for (service, path) in [("client", "/from/wasm"), ("native", "/from/native")] {
        let answer = format!("you asked for {path}");
        eventually(&format!("the answer to {service}"), DEADLINE, || {
            compose(&docker, &["logs", service]).success().stdout.contains(&answer).then_some(())
        });
    }
    let listed =
        compose(&docker, &["ps", "--all", "--format={{.Service}} {{.State}} {{.ExitCode}} {{.Health}}"]);
    let listed = listed.success().stdout;
    for line in ["server running 0 healthy", "client exited 0 ", "native exited 0 "] {
        assert!(listed.contains(line), "{line}: {listed}");
    }
    compose(&docker, &["down", "--timeout=2"]).success();
    assert_eq!(compose(&docker, &["ps", "--all", "--quiet"]).success().stdout, "");
}
