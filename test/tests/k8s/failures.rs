//! Failures: what a person reads in `kubectl describe pod` names the cause.

use wasmedge_shim_tests::{Cluster, Image, Namespace, guests};

fn pod(namespace: &Namespace, image: &str, rest: &str) {
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  containers: [{{name: app, image: "{image}"{rest}}}]
"#
    ));
}

#[test]
fn a_component_is_called_a_component() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::COMPONENT).flag("--no-check"));
    let namespace = cluster.namespace("component");
    pod(&namespace, "component:1", "");
    namespace.describe_until("app", "/app.wasm: this is a WebAssembly component (WASI 0.2");
}

#[test]
fn a_missing_import_is_named() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::MISSING_IMPORT).flag("--no-check"));
    let namespace = cluster.namespace("import");
    pod(&namespace, "missing-import:1", "");
    let described = namespace.describe_until("app", "provides_this");
    assert!(described.contains("nobody"), "{described}");
}

#[test]
fn a_missing_entrypoint_is_named() {
    let namespace = Cluster::shared().namespace("entrypoint");
    pod(&namespace, "probe:1", ", command: [/not-there.wasm]");
    namespace.describe_until("app", "/not-there.wasm: no such file or directory");
}

#[test]
fn a_truncated_module_is_called_truncated() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::TRUNCATED).flag("--no-check"));
    let namespace = cluster.namespace("truncated");
    pod(&namespace, "truncated:1", "");
    namespace.describe_until("app", "/app.wasm: the module is truncated");
}

#[test]
fn a_module_that_needs_more_memory_than_the_limit_is_refused_with_both_figures() {
    let cluster = Cluster::shared();
    cluster.import(&Image::classic(guests::BIG_MEMORY).flag("--no-check"));
    let namespace = cluster.namespace("too-big");
    pod(&namespace, "big-memory:1", ", resources: {limits: {memory: 64Mi}}");
    let described = namespace.describe_until("app", "the container's limit is 67108864");
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
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  runtimeClassName: {class}
  containers: [{{name: app, image: "probe:1", args: [sleep]}}]
"#
    ));
    let described = namespace.describe_until("app", "FailedCreatePodSandBox");
    assert!(described.contains(r#"no runtime for "wasmedge" is configured"#), "{described}");
    cluster.kubectl(&["delete", "runtimeclass", class]).success();
}

#[test]
fn an_image_that_no_node_has_is_named_and_its_pod_can_be_removed() {
    let namespace = Cluster::shared().namespace("no-image");
    pod(&namespace, "there-is-no-such:1", "");
    namespace.describe_until("app", "docker.io/library/there-is-no-such:1");
}

#[test]
fn a_wasm_image_without_the_runtime_class_fails_by_its_format() {
    let namespace = Cluster::shared().namespace("no-class");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  restartPolicy: Never
  nodeSelector: {pool: wasm}
  containers: [{name: app, image: "hello:1"}]
"#,
    );
    namespace.eventually_says(&["app"], "exec /app.wasm: exec format error");
}
