//! The README's section on Kubernetes, as it stands there.

use wasmedge_shim_tests::{Cluster, repository};

#[test]
fn the_readmes_pod_says_hello() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split_once("### Kubernetes").unwrap().1;
    let manifest = section.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    let namespace = Cluster::shared().namespace("readme");
    namespace.apply(manifest);
    namespace.wait("pod/hello", "jsonpath={.status.phase}=Succeeded");
    namespace.kubectl(&["logs", "hello"]).success().printing("hello from wasm\n");
    assert_eq!(namespace.field("pod/hello", "{.spec.nodeName}"), "wasm");
}
