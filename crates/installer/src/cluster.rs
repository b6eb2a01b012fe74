//! The cluster is Kubernetes' API, as far as the installer's pod may use it: its node's label, events, its DaemonSet.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::containerd::Verified;
use crate::retry::until_it_succeeds;

/// The label that a RuntimeClass selects nodes by.
pub(crate) const READY: &str = "containerd-shim-wasmedge/ready";
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PATIENCE: Duration = Duration::from_secs(30);

/// Where in the cluster the installer runs. The chart sets all of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Identity {
    /// The node's name in the cluster; without it no label is set and no event is sent
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
    /// The installer's own pod
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "")]
    pod_name: String,
    /// Its UID
    #[arg(long, env = "POD_UID", value_name = "UID", default_value = "")]
    pod_uid: String,
    /// Its namespace
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "")]
    pod_namespace: String,
}

/// A connection to the API.
#[derive(Debug)]
pub(crate) struct Cluster {
    agent: Agent,
    server: String,
}

/// The node that the installer's pod is on.
#[derive(Debug)]
pub(crate) struct Home {
    cluster: Cluster,
    identity: Identity,
    node: String,
}

/// How an event is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// `Normal`
    Normal,
    /// `Warning`
    Warning,
}

impl Cluster {
    /// By the service account of the pod that this process is in. Fails outside of a pod.
    pub(crate) fn of_pod() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let path = format!("{ACCOUNT}/ca.crt");
        let pem = fs::read(&path).with_context(|| format!("reading {path}"))?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(certificates))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Ok(Self { agent: config.build().into(), server: format!("https://{host}:{port}") })
    }

    /// What is at that path; `None` if there is nothing.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>> {
        self.call("GET", path, None)
    }

    /// Deletes what is at that path, with what it owns first, as far as it is there.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let options =
            json!({ "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground" });
        self.call("DELETE", path, Some(&options)).map(drop)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let asking = || format!("{method} {path}");
        let token =
            fs::read_to_string(format!("{ACCOUNT}/token")).context("reading the service account's token")?;
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("Authorization", format!("Bearer {}", token.trim()))
            .header("Accept", "application/json")
            .header("Content-Type", kind);
        let sent = match body {
            Some(body) => self.agent.run(request.body(body.to_string())?),
            None => self.agent.run(request.body(())?),
        };
        let mut response = sent.with_context(asking)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().with_context(asking)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status.as_u16() {
            200..300 => Ok(Some(answer)),
            404 if method != "PATCH" => Ok(None),
            _ => {
                Err(anyhow!("{status}: {}", answer["message"].as_str().unwrap_or(&text))).with_context(asking)
            }
        }
    }
}

impl Home {
    /// The node that `identity` names, or `None` if it names none.
    pub(crate) fn of(identity: &Identity) -> Result<Option<Self>> {
        let Some(node) = identity.node_name.clone() else { return Ok(None) };
        Ok(Some(Self { cluster: Cluster::of_pod()?, identity: identity.clone(), node }))
    }

    /// Labels the node: from now on Wasm pods come.
    pub(crate) fn label(&self, _: &Verified) -> Result<()> {
        self.set_label(&json!("true")).context("labelling the node")
    }

    /// Changes the label: no more Wasm pods come, and the node is seen not to be done with.
    pub(crate) fn close(&self) -> Result<()> {
        self.set_label(&json!("leaving")).context("changing the node's label")
    }

    /// Takes the label away.
    pub(crate) fn unlabel(&self) -> Result<()> {
        self.set_label(&Value::Null).context("taking the node's label away")
    }

    /// An API that does not answer is asked again for a while: a k3s server restarts it with containerd.
    fn set_label(&self, value: &Value) -> Result<()> {
        let patch = json!({ "metadata": { "labels": { READY: value } } });
        let path = format!("/api/v1/nodes/{}", self.node);
        until_it_succeeds(PATIENCE * 2, || self.cluster.call("PATCH", &path, Some(&patch)).map(drop))
    }

    /// Sends an event of the installer's pod.
    pub(crate) fn tell(&self, severity: Severity, reason: &str, message: &str) -> Result<()> {
        let Identity { pod_name, pod_uid, pod_namespace, .. } = &self.identity;
        let now = rfc3339(std::time::SystemTime::now());
        let event = json!({
            "metadata": { "generateName": format!("{pod_name}."), "namespace": pod_namespace },
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "name": pod_name, "namespace": pod_namespace, "uid": pod_uid,
            },
            "type": match severity { Severity::Normal => "Normal", Severity::Warning => "Warning" },
            "reason": reason,
            // The API takes 1024 bytes.
            "message": message.chars().take(1000).collect::<String>(),
            "source": { "component": "wasmedge-node-installer", "host": self.node },
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let path = format!("/api/v1/namespaces/{pod_namespace}/events");
        self.cluster.call("POST", &path, Some(&event)).map(drop)
    }

    /// Whether this DaemonSet of the pod's namespace still wants the installer on this node: it exists, is not being
    /// deleted, and selects the node. Fails if the API does not say.
    pub(crate) fn is_wanted_by(&self, daemon_set: &str) -> Result<bool> {
        let namespace = &self.identity.pod_namespace;
        let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{daemon_set}");
        let Some(set) = self.cluster.get(&path)? else { return Ok(false) };
        let Some(node) = self.cluster.get(&format!("/api/v1/nodes/{}", self.node))? else {
            bail!("the cluster has no node {}", self.node)
        };
        Ok(wants(&set, &node))
    }
}

fn wants(daemon_set: &Value, node: &Value) -> bool {
    let is_going = daemon_set["metadata"].get("deletionTimestamp").is_some();
    let labels = &node["metadata"]["labels"];
    let selector = daemon_set["spec"]["template"]["spec"]["nodeSelector"].as_object();
    let selects =
        selector.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    !is_going && selects
}

/// A point in time as the API writes it, in UTC and whole seconds.
fn rfc3339(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date that is so many days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_daemon_set_wants_the_nodes_that_it_selects_until_it_goes() {
        let set = json!({ "metadata": {}, "spec": { "template": { "spec": { "nodeSelector": { "pool": "wasm" } } } } });
        let node = |pool: &str| json!({ "metadata": { "labels": { "pool": pool, "zone": "a" } } });
        assert!(wants(&set, &node("wasm")));
        assert!(!wants(&set, &node("plain")));
        assert!(!wants(&set, &json!({ "metadata": {} })));
        let mut going = set.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(!wants(&going, &node("wasm")));
    }

    #[test]
    fn a_time_is_written_as_the_api_wants_it() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59Z");
    }
}
