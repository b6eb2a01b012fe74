//! A container's life: hooks, grace period, termination message, restarts.

use std::time::Instant;

use wasmedge_shim_tests::{Cluster, PodManifest};

#[test]
fn post_start_and_pre_stop_are_executed_in_the_container() {
    let namespace = Cluster::shared().namespace("hooks");
    let name = namespace.name();
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: app}}
spec:
  runtimeClassName: wasmedge
  terminationGracePeriodSeconds: 5
  volumes: [{{name: said, hostPath: {{path: /var/lib/hooks/{name}, type: DirectoryOrCreate}}}}]
  containers:
  - name: app
    image: probe:1
    args: [sleep]
    volumeMounts: [{{name: said, mountPath: /said}}]
    lifecycle:
      postStart: {{exec: {{command: [/app.wasm, write, /said/started, 'yes']}}}}
      preStop: {{exec: {{command: [/app.wasm, write, /said/stopped, 'yes']}}}}
"#
    ));
    namespace.wait("pod/app", "condition=Ready");
    namespace.exec("app", &["/app.wasm", "ls", "/said"]).success().printing("started\n");
    namespace.kubectl(&["delete", "pod", "app"]).success();
    let said = namespace.cluster().node("wasm").cell().outside(format!("/var/lib/hooks/{name}/stopped"));
    assert_eq!(std::fs::read_to_string(said).unwrap(), "yes");
}

#[test]
fn a_failing_post_start_hook_is_told_and_the_container_killed() {
    let namespace = Cluster::shared().namespace("hook-fails");
    let hook = "lifecycle: {postStart: {exec: {command: [/app.wasm, exit, '9']}}}";
    let pod = PodManifest::new("app", "probe:1").args(&["sleep"]).once().container(hook);
    namespace.run_until_described(&pod, "FailedPostStartHook");
    namespace.wait("pod/app", "jsonpath={.status.phase}=Failed");
}

#[test]
fn a_guest_gets_sigterm_and_one_that_stays_is_killed_after_its_grace_period() {
    let namespace = Cluster::shared().namespace("grace");
    namespace.run(&PodManifest::new("polite", "probe:1").grace(6).args(&["sleep"]));
    let stays = "trap : TERM; while :; do sleep 1; done";
    namespace.run(&PodManifest::new("stubborn", "busybox:1").grace(6).args(&["-c", stays]));
    namespace.wait("pod/polite", "condition=Ready");
    namespace.wait("pod/stubborn", "condition=Ready");
    let removal = |name: &str| {
        let started = Instant::now();
        namespace.kubectl(&["delete", "pod", name]).success();
        started.elapsed().as_secs_f64()
    };
    let polite = removal("polite");
    let stubborn = removal("stubborn");
    assert!(polite < 6.0, "a guest that leaves at SIGTERM took {polite} s");
    assert!((6.0..20.0).contains(&stubborn), "one that does not leave took {stubborn} s");
}

#[test]
fn a_termination_message_is_read_from_its_file_or_from_the_log() {
    let namespace = Cluster::shared().namespace("message");
    namespace.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  runtimeClassName: wasmedge
  restartPolicy: Never
  containers:
  - name: file
    image: probe:1
    args: [write, /dev/termination-log, all went well]
  - name: log
    image: probe:1
    args: [trap, unreachable]
    terminationMessagePolicy: FallbackToLogsOnError
"#,
    );
    namespace.wait("pod/app", "jsonpath={.status.phase}=Failed");
    let message = |name: &str| {
        let path = format!("{{.status.containerStatuses[?(@.name=='{name}')].state.terminated.message}}");
        namespace.field("pod/app", &path)
    };
    assert_eq!(message("file"), "all went well");
    assert!(message("log").contains("trap: unreachable"), "{}", message("log"));
}

#[test]
fn a_container_that_ends_is_started_again_with_a_pause_that_grows() {
    let namespace = Cluster::shared().namespace("crash");
    namespace.run(&PodManifest::new("app", "probe:1").args(&["exit", "3"]));
    namespace.eventually_has(
        "pod/app",
        "{.status.containerStatuses[0].state.waiting.reason}",
        "CrashLoopBackOff",
    );
    let last = "{.status.containerStatuses[0].lastState.terminated.exitCode}";
    assert_eq!(namespace.field("pod/app", last), "3");
    namespace.describe_until("app", "Back-off restarting failed container");
}
