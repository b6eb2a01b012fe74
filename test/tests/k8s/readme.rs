//! The README's section on Kubernetes, as it stands there.

use wasmedge_shim_tests::{Cluster, repository};

#[test]
fn the_readmes_runtime_class_and_pod_say_hello() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split_once("### Kubernetes").unwrap().1;
    let section = section.split_once("\n### ").unwrap().0;
    let blocks = section.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    // The pod comes first there, and needs the class that comes last.
    let manifests: Vec<_> = blocks.collect();
    let namespace = Cluster::shared().namespace("readme");
    for manifest in manifests.iter().rev() {
        namespace.apply(manifest);
    }
    namespace.wait("pod/hello", "jsonpath={.status.phase}=Succeeded");
    namespace.kubectl(&["logs", "hello"]).success().printing("hello from wasm\n");
    assert_eq!(namespace.field("pod/hello", "{.spec.nodeName}"), "wasm");
}
