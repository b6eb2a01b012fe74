//! Many pods: one node of a cluster takes as many HTTP servers as it is told to, each with an address of its own. How fast
//! they come and go, what one costs the node, and what stays behind; under runc, and under this shim with a pause
//! container and without.
//!
//! `PODS` says how many (100), `ROUNDS` how often they come and go (3). Kubernetes' parts have to be there: `make
//! bench-k8s` sees to it. The control plane is on the same machine, and its part of the processor time is told too.

mod census;
mod costs;
mod crowd;
mod pod_watch;

use std::fs;
use std::time::Duration;

use wasmedge_shim_tests::{Cluster, Image, NodeSpec, repository};

use crate::bed::Bed;
use crate::contender::Contender;
use crate::program::{self, Program};
use crate::row::{Aim, Figure, Row, in_turns};
use census::Census;
use crowd::{Crowd, Round};

/// The node's name. Another one has the cluster's DNS.
const NODE: &str = "wasm";
const ROOM: u32 = 1100;

/// A way to run a pod.
#[derive(Debug, Clone, Copy)]
struct Way {
    contender: Contender,
    /// The runtime handler and the RuntimeClass; none is the default, runc.
    class: Option<&'static str>,
    how: &'static str,
}

const WAYS: [Way; 3] = [
    Way { contender: Contender::Runc, class: None, how: "" },
    Way { contender: Contender::Native, class: Some("wasmedge"), how: "" },
    Way { contender: Contender::Native, class: Some("wasmedge-sandbox"), how: ", held by the daemon" },
];

pub(crate) fn rows(_: &[Bed]) -> Vec<Row> {
    program::build();
    let (pods, rounds) = (setting("PODS", 100), setting("ROUNDS", 3));
    let cluster = cluster();
    let namespaces = WAYS.map(|way| (way, cluster.namespace(way.class.unwrap_or("runc"))));
    // One pod of each stays: what is done once has been done, and the shim's daemon stays for as long.
    let crowds =
        namespaces.each_ref().map(|(way, namespace)| (way, Crowd::gather(namespace, &deployment(*way))));
    for (_, crowd) in &crowds {
        crowd.borrow_mut().resize(1);
    }
    let before = Census::of(cluster.node(NODE));
    let taken = in_turns(&crowds, rounds, |(way, crowd)| {
        let round = crowd.borrow_mut().round(cluster, 1 + pods, &before);
        eprintln!("figures: many: {}{}: {round}", way.contender.name(), way.how);
        round
    });
    let mut rows: Vec<Row> = Vec::new();
    for (way, rounds) in WAYS.iter().zip(&taken) {
        for row in of_way(*way, rounds, pods) {
            match rows.iter_mut().find(|known| known.what == row.what) {
                Some(known) => known.figures.extend(row.figures),
                None => rows.push(row),
            }
        }
    }
    rows
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// It lives as long as this process.
fn cluster() -> &'static Cluster {
    let read = |file: &str| fs::read_to_string(repository().join("deploy").join(file)).unwrap();
    let node = NodeSpec::new(NODE).label("pool=wasm").with_runtime().max_pods(ROOM);
    let node = node.containerd("wasmedge-sandbox.toml", &read("containerd-sandbox.toml"));
    let other = NodeSpec::new("plain").label("pool=plain");
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(vec![node, other])));
    let settings = cluster.node(NODE).cell().outside("/run/containerd-shim-wasmedge.toml");
    fs::write(settings, Contender::Native.settings()).unwrap();
    cluster.apply(
        "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: wasmedge-sandbox}, handler: wasmedge-sandbox}",
    );
    for contender in [Contender::Runc, Contender::Native] {
        cluster.import(&image(contender));
    }
    cluster
}

fn image(contender: Contender) -> Image {
    Bed::image(contender, Program::Http).named(&format!("http-{}", contender.name()))
}

fn deployment(way: Way) -> String {
    let class = way.class.map_or(String::new(), |class| format!("runtimeClassName: {class}"));
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: crowd}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: crowd}}}}
  template:
    metadata: {{labels: {{app: crowd}}}}
    spec:
      {class}
      nodeSelector: {{pool: wasm}}
      terminationGracePeriodSeconds: 1
      containers: [{{name: http, image: "{}"}}]
"#,
        image(way.contender).name()
    )
}

fn of_way(way: Way, rounds: &[Round], pods: usize) -> Vec<Row> {
    let name = |what: &str| format!("{pods} pods{}: {what}", way.how);
    let of = |take: fn(&Round) -> f64| Figure::of(rounds.iter().map(take).collect());
    let per_pod = |take: fn(&Round) -> Duration| {
        Figure::of(rounds.iter().map(|round| take(round).as_secs_f64() * 1e3 / pods as f64).collect())
    };
    let mut times: Vec<_> =
        rounds.iter().flat_map(|round| &round.to_ready).map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    let percentile = |percent: usize| Figure::once(times[(times.len() - 1) * percent / 100]);
    let created = Figure::of(rounds.iter().map(|round| pods as f64 / round.growing.as_secs_f64()).collect());
    let removed =
        Figure::of(rounds.iter().map(|round| pods as f64 / round.shrinking.as_secs_f64()).collect());
    let less = |what: &str, unit, figure| Row::less(name(what), unit).figure(way.contender, figure);
    let more = |what: &str, unit, figure| Row::more(name(what), unit).figure(way.contender, figure);
    let memory: Vec<f64> = rounds.iter().filter_map(|round| round.memory).collect();
    let memory = (!memory.is_empty()).then(|| less("the node's memory for one", "MiB", Figure::of(memory)));
    let rows = [
        more("created, ready", "/s", created),
        less("time to ready, 50th percentile", "s", percentile(50)),
        less("time to ready, 99th percentile", "s", percentile(99)),
        more("that answer", "", of(|round| round.answers as f64)),
        less("processor time to create one", "ms", per_pod(|round| round.costs.total())),
        less("… of the control plane", "ms", per_pod(|round| round.costs.control)),
        less("… of the kubelet", "ms", per_pod(|round| round.costs.kubelet)),
        less("… of containerd, its plugins, shims", "ms", per_pod(|round| round.costs.containerd)),
        less("… of the pods themselves", "ms", per_pod(|round| round.costs.pods)),
        more("removed", "/s", removed),
    ];
    let left = less("kinds of things left on the node", "", of(|round| round.left.len() as f64));
    let left = rounds.iter().flat_map(|round| &round.left).fold(left.aim(Aim::AtMost(0.0)), Row::note);
    rows.into_iter().chain(memory).chain([left]).collect()
}
