//! Volumes and configuration: ConfigMap, Secret, emptyDir, projected, downward API, subPath, read-only.

use wasmedge_shim_tests::{Cluster, PodManifest};

const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, size: large}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: correct horse}
"#;

#[test]
fn settings_and_secrets_come_as_environment_and_as_files() {
    let namespace = Cluster::shared().namespace("settings");
    namespace.apply(SETTINGS);
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app, labels: {tier: front}, annotations: {note: seen}}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: probe:1
    args: [sleep]
    resources: {limits: {memory: 64Mi}}
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: password, key: password}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: GREETING, value: hello $(COLOR)}
    envFrom: [{configMapRef: {name: settings}, prefix: ALL_}]
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /etc/color, subPath: color}
    - {name: secret, mountPath: /secret, readOnly: true}
    - {name: everything, mountPath: /everything}
    - {name: scratch, mountPath: /scratch}
    - {name: memory, mountPath: /memory}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: secret, secret: {secretName: password, defaultMode: 0400}}
  - {name: scratch, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 4Mi}}
  - name: everything
    projected:
      sources:
      - configMap: {name: settings}
      - secret: {name: password}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
      - serviceAccountToken: {path: token}
"#,
    );
    namespace.wait("pod/app", "condition=Ready");
    let guest = |words: &[&str]| namespace.exec("app", &[&["/app.wasm"], words].concat());
    let environment = guest(&["env"]).success().stdout;
    let has = |line: &str| assert!(environment.lines().any(|found| found == line), "{line}\n{environment}");
    has("COLOR=blue");
    has("PASSWORD=correct horse");
    has("POD=app");
    has("NODE=wasm");
    has("LIMIT=67108864");
    has("GREETING=hello blue");
    has("ALL_size=large");
    guest(&["cat", "/settings/size"]).success().printing("large");
    guest(&["cat", "/etc/color"]).success().printing("blue");
    guest(&["cat", "/secret/password"]).success().printing("correct horse");
    guest(&["cat", "/everything/labels"]).success().printing("tier=\"front\"");
    assert!(guest(&["cat", "/everything/token"]).success().stdout.starts_with("ey"), "a token");
    guest(&["write", "/secret/password", "x"]).with_code(1);
    guest(&["write", "/settings/color", "x"]).with_code(1);
    guest(&["write", "/scratch/file", "kept"]).success();
    guest(&["cat", "/scratch/file"]).success().printing("kept");
    guest(&["write", "/memory/file", "kept"]).success();

    // A changed setting comes into the running guest's files, by the kubelet's next look.
    namespace.kubectl(&["patch", "configmap/settings", "-p", r#"{"data":{"size":"small"}}"#]).success();
    wasmedge_shim_tests::eventually("the changed setting", std::time::Duration::from_secs(120), || {
        (guest(&["cat", "/settings/size"]).stdout == "small").then_some(())
    });
}

#[test]
fn a_sub_path_is_a_directory_of_the_volume_and_nothing_else_of_it() {
    let namespace = Cluster::shared().namespace("subpath");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 1
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - name: fill
    image: busybox:1
    args: [-c, "mkdir /data/mine /data/other; echo mine > /data/mine/file; echo other > /data/other/file"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: app
    image: probe:1
    args: [sleep]
    env: [{name: WHOSE, value: mine}]
    volumeMounts:
    - {name: data, mountPath: /mine, subPathExpr: $(WHOSE)}
    - {name: data, mountPath: /whole, readOnly: true}
"#,
    );
    namespace.wait("pod/app", "condition=Ready");
    namespace.exec("app", &["/app.wasm", "ls", "/mine"]).success().printing("file\n");
    namespace.exec("app", &["/app.wasm", "ls", "/whole"]).success().printing("mine\nother\n");
    namespace.exec("app", &["/app.wasm", "cat", "/mine/../other/file"]).with_code(1);
    namespace.exec("app", &["/app.wasm", "write", "/mine/file", "changed"]).success();
    namespace.exec("app", &["/app.wasm", "cat", "/whole/mine/file"]).success().printing("changed");
    namespace.exec("app", &["/app.wasm", "write", "/whole/mine/file", "no"]).with_code(1);
}

#[test]
fn a_missing_config_map_is_named_and_the_pod_starts_once_it_is_there() {
    let namespace = Cluster::shared().namespace("missing-map");
    let pod = PodManifest::new("app", "probe:1").args(&["env"]).once();
    let pod = pod.container("envFrom: [{configMapRef: {name: settings}}]");
    namespace.run_until_described(&pod, r#"configmap "settings" not found"#);
    namespace.apply(SETTINGS);
    namespace.wait("pod/app", "jsonpath={.status.phase}=Succeeded");
    let said = namespace.kubectl(&["logs", "app"]).success().stdout;
    assert!(said.contains("color=blue\n"), "{said}");
}
