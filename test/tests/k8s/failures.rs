//! Failures: what a person reads in `kubectl describe pod` names the cause.

use wasmedge_shim_tests::{Cluster, Image, PodManifest, guests};

/// A pod of that image, run once.
fn pod(image: &str) -> PodManifest {
    PodManifest::new("app", image).once()
}

#[test]
fn a_component_is_called_a_component() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::COMPONENT).flag("--no-check"));
    let namespace = cluster.namespace("component");
    namespace
        .run_until_described(&pod("component:1"), "/app.wasm: this is a WebAssembly component (WASI 0.2");
}

#[test]
fn a_missing_import_is_named() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::MISSING_IMPORT).flag("--no-check"));
    let namespace = cluster.namespace("import");
    let described = namespace.run_until_described(&pod("missing-import:1"), "provides_this");
    assert!(described.contains("nobody"), "{described}");
}

#[test]
fn a_missing_entrypoint_is_named() {
    let namespace = Cluster::shared().namespace("entrypoint");
    let pod = pod("probe:1").container("command: [/not-there.wasm]");
    namespace.run_until_described(&pod, "/not-there.wasm: no such file or directory");
}

#[test]
fn a_truncated_module_is_called_truncated() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::TRUNCATED).flag("--no-check"));
    let namespace = cluster.namespace("truncated");
    namespace.run_until_described(&pod("truncated:1"), "/app.wasm: the module is truncated");
}

#[test]
fn a_module_that_needs_more_memory_than_the_limit_is_refused_with_both_figures() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::BIG_MEMORY).flag("--no-check"));
    let namespace = cluster.namespace("too-big");
    let pod = pod("big-memory:1").container("resources: {limits: {memory: 64Mi}}");
    let described = namespace.run_until_described(&pod, "the container's limit is 67108864");
    assert!(described.contains("needs at least 4294967296 bytes of memory"), "{described}");
}

#[test]
fn a_node_without_the_runtime_says_that_it_has_no_such_handler() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("no-runtime");
    let class = namespace.name();
    cluster.apply(&format!(
        r#"
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {{name: {class}}}
handler: wasmedge
scheduling: {{nodeSelector: {{pool: plain}}}}
"#
    ));
    let pod = pod("probe:1").class(class).args(&["sleep"]);
    let described = namespace.run_until_described(&pod, "FailedCreatePodSandBox");
    assert!(described.contains(r#"no runtime for "wasmedge" is configured"#), "{described}");
    cluster.kubectl(&["delete", "runtimeclass", class]).success();
}

#[test]
fn an_image_for_other_platforms_is_refused_by_that_cause() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("platform");
    let for_arm = Image::classic(guests::HELLO).named("hello-for-arm").option("--platform", "linux/arm64");
    // The kubelet's interface asks for the node's platform, whatever the runtime class is.
    for image in [for_arm, Image::layer(guests::HELLO).named("hello-for-wasm")] {
        let image = cluster.push(&image);
        let described = namespace.run_until_described(&pod(&image), "no match for platform in manifest");
        assert!(described.contains(&image), "{described}");
        namespace.kubectl(&["delete", "pod", "app"]).success();
    }
}

#[test]
fn an_image_that_no_node_has_is_named_and_its_pod_can_be_removed() {
    let namespace = Cluster::shared().namespace("no-image");
    namespace.run_until_described(&pod("there-is-no-such:1"), "docker.io/library/there-is-no-such:1");
}

#[test]
fn a_wasm_image_without_the_runtime_class_fails_by_its_format() {
    let namespace = Cluster::shared().namespace("no-class");
    namespace.run(&pod("hello:1").without_class());
    namespace.eventually_says(&["app"], "exec /app.wasm: exec format error");
}
