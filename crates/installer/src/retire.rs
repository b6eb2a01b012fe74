//! `retire`: has every node uninstalled, before `helm uninstall` takes away what that needs.
//!
//! The DaemonSet is deleted and its pods are waited for; each of them finds its DaemonSet going and uninstalls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::cluster::{Cluster, READY};
use crate::report;
use crate::retry::until_it_succeeds;

/// See [the module](self).
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The DaemonSet's namespace
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    namespace: String,

    /// The DaemonSet
    #[arg(long, env = "DAEMON_SET", value_name = "NAME")]
    daemon_set: String,

    /// The RuntimeClass that no pod may still have
    #[arg(long, env = "RUNTIME_CLASS", value_name = "NAME")]
    runtime_class: String,

    /// For how many seconds the nodes are waited for
    #[arg(long, default_value = "300", value_name = "SECONDS")]
    wait: u64,
}

impl Retire {
    /// Returns when every node is as it was. Fails, and has done nothing, if pods still use the runtime.
    pub(crate) fn run(self) -> Result<()> {
        let done = self.retire();
        if let Err(error) = &done {
            report::failed(None, "RetireFailed", error);
        }
        done
    }

    fn retire(&self) -> Result<()> {
        let cluster = Cluster::of_pod()?;
        let pods = cluster.get("/api/v1/pods")?.context("the cluster lists no pods")?;
        let users = users(&pods, &self.runtime_class);
        ensure!(
            users.is_empty(),
            "{} pods still have the runtime class {}, delete them first: {}",
            users.len(),
            self.runtime_class,
            users.join(", ")
        );
        let path = format!("/apis/apps/v1/namespaces/{}/daemonsets/{}", self.namespace, self.daemon_set);
        cluster.delete(&path)?;
        // A watch would need to survive that the API server goes away; this is asked a few times at most.
        until_it_succeeds(Duration::from_secs(self.wait), || {
            let is_gone = cluster.get(&path)?.is_none();
            ensure!(is_gone, "the pods of {path} have not ended within {} s", self.wait);
            Ok(())
        })?;
        let nodes = cluster.get("/api/v1/nodes")?.context("the cluster lists no nodes")?;
        let left = labelled(&nodes);
        ensure!(
            left.is_empty(),
            "the runtime could not be taken away from {}: see their events",
            left.join(", ")
        );
        Ok(())
    }
}

/// The pods of that runtime class that have not ended, as `namespace/name`.
fn users(pods: &Value, class: &str) -> Vec<String> {
    let uses = |pod: &&Value| {
        pod["spec"]["runtimeClassName"] == class
            && !["Succeeded", "Failed"].contains(&pod["status"]["phase"].as_str().unwrap_or_default())
    };
    items(pods)
        .iter()
        .filter(uses)
        .map(|pod| format!("{}/{}", text(pod, "namespace"), text(pod, "name")))
        .collect()
}

fn labelled(nodes: &Value) -> Vec<String> {
    let ready = |node: &&Value| node["metadata"]["labels"].get(READY).is_some();
    items(nodes).iter().filter(ready).map(|node| text(node, "name").to_owned()).collect()
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_have_ended_do_not_use_a_runtime_class() {
        let pod = |name: &str, class: &str, phase: &str| {
            json!({
                "metadata": { "namespace": "default", "name": name },
                "spec": { "runtimeClassName": class }, "status": { "phase": phase },
            })
        };
        let pods = json!({ "items": [
            pod("a", "wasmedge", "Running"), pod("b", "wasmedge", "Succeeded"), pod("c", "kata", "Running"),
            pod("d", "wasmedge", "Pending"),
        ] });
        assert_eq!(users(&pods, "wasmedge"), ["default/a", "default/d"]);
    }

    #[test]
    fn nodes_are_told_by_their_label() {
        let nodes = json!({ "items": [
            { "metadata": { "name": "a", "labels": { READY: "true" } } },
            { "metadata": { "name": "b", "labels": {} } },
        ] });
        assert_eq!(labelled(&nodes), ["a"]);
    }
}
