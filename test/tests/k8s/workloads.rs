//! Workloads: Deployment, Job, CronJob, StatefulSet, DaemonSet.

use wasmedge_shim_tests::{Cluster, DEADLINE, eventually};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      runtimeClassName: wasmedge
      terminationGracePeriodSeconds: 10
      containers:
      - name: web
        image: http:1
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 4}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"#;

/// Asks without a pause until it is told to stop, and says how often it was answered and how often not.
const LOAD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  restartPolicy: Never
  nodeSelector: {pool: plain}
  containers:
  - name: load
    image: busybox:1
    args:
    - -c
    - |
      answered=0 failed=0
      while [ ! -e /stop ]; do
        if wget -q -O /dev/null http://$WEB_SERVICE_HOST/; then answered=$((answered + 1)); else failed=$((failed + 1)); fi
        [ $answered != 20 ] || echo loading
      done
      echo "answered $answered failed $failed"
"#;

#[test]
fn a_deployment_is_updated_under_load_and_no_request_fails() {
    let namespace = Cluster::shared().namespace("rolling");
    namespace.apply(WEB);
    namespace.rolled_out("deployment/web");
    namespace.apply(LOAD);
    namespace.eventually_says(&["load"], "loading");
    let before = namespace.field("pods", "{.items[?(@.metadata.labels.app=='web')].metadata.name}");
    namespace.kubectl(&["set", "env", "deployment/web", "VERSION=2"]).success();
    namespace.rolled_out("deployment/web");
    for pod in before.split_whitespace() {
        namespace.wait(&format!("pod/{pod}"), "delete");
    }
    namespace.exec("load", &["sh", "-c", "echo > /stop"]).success();
    namespace.wait("pod/load", "jsonpath={.status.phase}=Succeeded");
    let said = namespace.kubectl(&["logs", "load"]).success().stdout;
    let words: Vec<_> = said.lines().last().unwrap().split(' ').collect();
    assert!(words[1].parse::<u32>().unwrap() > 100, "{said}");
    assert_eq!(words[3], "0", "{said}");
}

#[test]
fn a_deployment_is_scaled_up_and_down_and_rolled_back() {
    let namespace = Cluster::shared().namespace("scaled");
    namespace.apply(WEB);
    namespace.kubectl(&["scale", "deployment/web", "--replicas=4"]).success();
    namespace.rolled_out("deployment/web");
    assert_eq!(namespace.field("deployment/web", "{.status.readyReplicas}"), "4");
    namespace.kubectl(&["scale", "deployment/web", "--replicas=1"]).success();
    namespace.eventually_has("deployment/web", "{.status.replicas}", "1");
    namespace.kubectl(&["set", "image", "deployment/web", "web=there-is-no-such:1"]).success();
    namespace.eventually_is(
        "pods",
        "{.items[*].status.containerStatuses[0].state.waiting.reason}",
        |reasons| reasons.contains("ImagePull"),
    );
    assert_eq!(namespace.field("deployment/web", "{.status.readyReplicas}"), "1", "the old one goes on");
    namespace.kubectl(&["rollout", "undo", "deployment/web"]).success();
    namespace.rolled_out("deployment/web");
    assert_eq!(namespace.field("deployment/web", "{.spec.template.spec.containers[0].image}"), "http:1");
}

#[test]
fn a_job_succeeds_and_one_that_fails_is_tried_again_and_given_up_with_its_exit_code() {
    let namespace = Cluster::shared().namespace("jobs");
    namespace.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: three}
spec:
  completions: 3
  parallelism: 2
  template:
    spec:
      runtimeClassName: wasmedge
      restartPolicy: Never
      containers: [{name: say, image: probe:1, args: [say, done]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: failing}
spec:
  backoffLimit: 1
  template:
    spec:
      runtimeClassName: wasmedge
      restartPolicy: Never
      containers: [{name: exit, image: probe:1, args: [exit, "3"]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: trapping}
spec:
  backoffLimit: 0
  template:
    spec:
      runtimeClassName: wasmedge
      restartPolicy: Never
      containers: [{name: trap, image: probe:1, args: [trap, unreachable]}]
"#,
    );
    namespace.wait("job/three", "condition=Complete");
    assert_eq!(namespace.field("job/three", "{.status.succeeded}"), "3");
    assert_eq!(namespace.kubectl(&["logs", "job/three"]).success().stdout, "done\n");

    namespace.wait("job/failing", "condition=Failed");
    assert_eq!(
        namespace.field("job/failing", "{.status.conditions[?(@.type=='Failed')].reason}"),
        "BackoffLimitExceeded"
    );
    let codes = "{.items[*].status.containerStatuses[0].state.terminated.exitCode}";
    let of_job = |job: &str| {
        let words = ["get", "pods", "-l", &format!("job-name={job}"), "-o", &format!("jsonpath={codes}")];
        namespace.kubectl(&words).success().stdout
    };
    assert_eq!(of_job("failing"), "3 3");
    namespace.wait("job/trapping", "condition=Failed");
    assert_eq!(of_job("trapping"), "134");
}

#[test]
fn a_cron_job_runs_on_its_minute() {
    let namespace = Cluster::shared().namespace("cron");
    namespace.apply(
        r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: minutely}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          runtimeClassName: wasmedge
          restartPolicy: Never
          containers: [{name: say, image: probe:1, args: [say, on time]}]
"#,
    );
    namespace.eventually_is("cronjob/minutely", "{.status.lastSuccessfulTime}", |time| !time.is_empty());
    let pods = namespace.field("pods", "{.items[0].metadata.name}");
    namespace.kubectl(&["logs", &pods]).success().printing("on time\n");
    // No other minute begins while it is removed.
    namespace.kubectl(&["delete", "cronjob/minutely"]).success();
}

#[test]
fn a_stateful_set_keeps_each_pods_name_and_volume() {
    let namespace = Cluster::shared().namespace("stateful");
    let name = namespace.name();
    for number in 0..2 {
        namespace.apply(&format!(
            r#"
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}-{number}}}
spec:
  storageClassName: {name}
  capacity: {{storage: 1Mi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {{path: /var/lib/volumes/{name}-{number}, type: DirectoryOrCreate}}
"#
        ));
    }
    namespace.apply(&format!(
        r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 2
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      runtimeClassName: wasmedge
      terminationGracePeriodSeconds: 2
      containers:
      - name: db
        image: probe:1
        args: [sleep]
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec:
      storageClassName: {name}
      accessModes: [ReadWriteOnce]
      resources: {{requests: {{storage: 1Mi}}}}
"#
    ));
    namespace.rolled_out("statefulset/db");
    for pod in ["db-0", "db-1"] {
        namespace.exec(pod, &["/app.wasm", "write", "/data/mark", pod]).success();
    }
    let uid = namespace.field("pod/db-0", "{.metadata.uid}");
    namespace.kubectl(&["delete", "pod", "db-0"]).success();
    namespace.eventually_is("pod/db-0", "{.metadata.uid}", |now| !now.is_empty() && now != uid);
    namespace.rolled_out("statefulset/db");
    for pod in ["db-0", "db-1"] {
        namespace.exec(pod, &["/app.wasm", "cat", "/data/mark"]).success().printing(pod);
    }
    for number in 0..2 {
        let volume = format!("persistentvolume/{name}-{number}");
        namespace.kubectl(&["delete", &volume, "--wait=false"]).success();
    }
}

#[test]
fn a_daemon_set_has_a_pod_on_every_node_of_the_pool() {
    let namespace = Cluster::shared().namespace("daemons");
    namespace.apply(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      runtimeClassName: wasmedge
      nodeSelector: {pool: wasm}
      terminationGracePeriodSeconds: 2
      containers: [{name: agent, image: probe:1, args: [sleep]}]
"#,
    );
    namespace.rolled_out("daemonset/agent");
    assert_eq!(namespace.field("daemonset/agent", "{.status.numberReady}"), "1");
    let node = namespace.field("pods", "{.items[*].spec.nodeName}");
    assert_eq!(node, "wasm");
    let pod = namespace.field("pods", "{.items[0].metadata.name}");
    namespace.kubectl(&["delete", "pod", &pod]).success();
    eventually("another pod of the set", DEADLINE * 2, || {
        let now = namespace.field("pods", "{.items[0].metadata.name}");
        (!now.is_empty() && now != pod).then_some(())
    });
    namespace.rolled_out("daemonset/agent");
}
