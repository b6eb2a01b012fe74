//! A pod, as far as a sandbox has to know it: what CRI says of it in its `PodSandboxConfig`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use prost::Message;

/// The type that CRI sends.
const CRI: &str = "runtime.v1.PodSandboxConfig";

/// `NamespaceMode` (k8s.io/cri-api, `runtime/v1/api.proto`).
const POD: i32 = 0;
const NODE: i32 = 2;

/// What the containers of a pod share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    /// The network namespace, which containerd makes; `None` for the node's.
    pub(crate) network: Option<PathBuf>,
    /// Whether it has an IPC namespace of its own.
    pub(crate) ipc: bool,
    /// Whether its containers share a process namespace.
    pub(crate) shares_processes: bool,
    /// The host name; empty for the node's.
    pub(crate) hostname: String,
    /// The text of `/etc/resolv.conf`; `None` for the node's.
    pub(crate) resolver: Option<String>,
    /// Kernel parameters, all of which are of its namespaces.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// The path of the cgroup that all its containers are in.
    pub(crate) cgroup: Option<PathBuf>,
}

impl Pod {
    /// Reads what came with CreateSandbox; without options it is a pod of which nothing is known but its network.
    ///
    /// # Errors
    /// For options of another type, and for what a sandbox cannot do.
    pub(crate) fn from_options(options: Option<&Any>, network: &str) -> Result<Self> {
        let options = options.filter(|any| !any.type_url.is_empty() || !any.value.is_empty());
        let config = match options {
            None => PodSandboxConfig { linux: Some(Linux::of_no_options()), ..Default::default() },
            // containerd writes the bare name, others put a host before it.
            Some(any) if any.type_url.rsplit('/').next() == Some(CRI) => {
                PodSandboxConfig::decode(any.value.as_slice()).context("reading the pod's configuration")?
            }
            Some(any) => bail!("options of type {:?} are not a pod's; supported is {CRI}", any.type_url),
        };
        Self::of(config, (!network.is_empty()).then(|| network.into()))
    }

    fn of(config: PodSandboxConfig, network: Option<PathBuf>) -> Result<Self> {
        let linux = config.linux.unwrap_or_default();
        let namespaces = linux.security_context.and_then(|context| context.namespaces).unwrap_or_default();
        if let Some(users) = namespaces.users.filter(|users| users.mode == POD) {
            let map = |id: &IdMapping| format!("{}:{}:{}", id.container_id, id.host_id, id.length);
            let map = users.uids.iter().map(map).collect::<Vec<_>>().join(",");
            // containerd takes such a pod's network from the sandbox's process, and that is the daemon, in the node's.
            bail!(
                "a pod with user namespaces (uidmap={map}) takes a pause container: use a runtime handler without `sandboxer`"
            );
        }
        let mut sysctls: BTreeMap<_, _> = linux.sysctls.into_iter().collect();
        if network.is_some() {
            // containerd's own defaults for pods (enable_unprivileged_ports, enable_unprivileged_icmp).
            let mut default = |name: &str, value: &str| {
                sysctls.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            };
            default("net.ipv4.ip_unprivileged_port_start", "0");
            default("net.ipv4.ping_group_range", "0 2147483647");
        }
        let pod = Self {
            network,
            ipc: namespaces.ipc != NODE,
            shares_processes: namespaces.pid == POD,
            hostname: config.hostname,
            resolver: config.dns.as_ref().map(Dns::text),
            sysctls,
            cgroup: Some(linux.cgroup_parent).filter(|path| !path.is_empty()).map(PathBuf::from),
        };
        match pod.sysctls.keys().find(|name| !pod.owns(name)) {
            Some(name) => bail!("sysctl {name:?} is not in a namespace of the pod"),
            None => Ok(pod),
        }
    }

    /// Whether the kernel keeps this parameter for one of the pod's namespaces.
    fn owns(&self, sysctl: &str) -> bool {
        const IPC: [&str; 8] =
            ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
        let path = sysctl.replace('.', "/");
        if path.split('/').any(str::is_empty) {
            return false;
        }
        match path.split_once('/') {
            Some(("net", _)) => self.network.is_some(),
            Some(("kernel", "domainname")) => self.network.is_some(),
            Some(("kernel", name)) => self.ipc && IPC.contains(&name),
            Some(("fs", name)) => self.ipc && name.starts_with("mqueue/"),
            _ => false,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxConfig {
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(message, optional, tag = "4")]
    dns: Option<Dns>,
    #[prost(message, optional, tag = "8")]
    linux: Option<Linux>,
}

#[derive(Clone, PartialEq, Message)]
struct Dns {
    #[prost(string, repeated, tag = "1")]
    servers: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    searches: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    options: Vec<String>,
}

impl Dns {
    /// As resolv.conf(5) has it.
    fn text(&self) -> String {
        let line = |word: &str, values: &[String]| match values {
            [] => String::new(),
            values => format!("{word} {}\n", values.join(" ")),
        };
        let servers: String = self.servers.iter().map(|server| format!("nameserver {server}\n")).collect();
        line("search", &self.searches) + &servers + &line("options", &self.options)
    }
}

#[derive(Clone, PartialEq, Message)]
struct Linux {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security_context: Option<SecurityContext>,
    #[prost(map = "string, string", tag = "3")]
    sysctls: std::collections::HashMap<String, String>,
}

impl Linux {
    /// Processes are shared only if that is said.
    fn of_no_options() -> Self {
        const CONTAINER: i32 = 1;
        let namespaces = Some(NamespaceOption { pid: CONTAINER, ..Default::default() });
        Self { security_context: Some(SecurityContext { namespaces }), ..Default::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
struct SecurityContext {
    #[prost(message, optional, tag = "1")]
    namespaces: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct NamespaceOption {
    #[prost(int32, tag = "2")]
    pid: i32,
    #[prost(int32, tag = "3")]
    ipc: i32,
    #[prost(message, optional, tag = "5")]
    users: Option<UserNamespace>,
}

#[derive(Clone, PartialEq, Message)]
struct UserNamespace {
    #[prost(int32, tag = "1")]
    mode: i32,
    #[prost(message, repeated, tag = "2")]
    uids: Vec<IdMapping>,
}

#[derive(Clone, PartialEq, Message)]
struct IdMapping {
    #[prost(uint32, tag = "1")]
    host_id: u32,
    #[prost(uint32, tag = "2")]
    container_id: u32,
    #[prost(uint32, tag = "3")]
    length: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(sysctl: &str) -> PodSandboxConfig {
        let sysctls = [(sysctl.to_owned(), "1".to_owned())].into();
        PodSandboxConfig { linux: Some(Linux { sysctls, ..Linux::of_no_options() }), ..Default::default() }
    }

    fn sent(config: &PodSandboxConfig, network: &str) -> Result<Pod> {
        let any = Any { type_url: CRI.into(), value: config.encode_to_vec(), ..Default::default() };
        Pod::from_options(Some(&any), network)
    }

    #[test]
    fn a_pod_is_read_as_cri_sends_it() {
        let dns = Dns {
            servers: vec!["10.96.0.10".into()],
            searches: vec!["a.svc".into(), "svc".into()],
            options: vec!["ndots:5".into()],
        };
        let linux = Linux { cgroup_parent: "/kubepods/pod1".into(), ..Linux::of_no_options() };
        let config = PodSandboxConfig { hostname: "web".into(), dns: Some(dns), linux: Some(linux) };
        let pod = sent(&config, "/run/netns/cni-1").unwrap();
        assert_eq!((pod.hostname.as_str(), pod.ipc), ("web", true));
        assert_eq!(
            (pod.network, pod.cgroup),
            (Some("/run/netns/cni-1".into()), Some("/kubepods/pod1".into()))
        );
        assert_eq!(pod.resolver.unwrap(), "search a.svc svc\nnameserver 10.96.0.10\noptions ndots:5\n");
        assert_eq!(pod.sysctls["net.ipv4.ip_unprivileged_port_start"], "0");
    }

    #[test]
    fn without_options_it_has_the_network_that_is_named() {
        let pod = Pod::from_options(None, "").unwrap();
        assert_eq!((pod.network, pod.ipc, pod.resolver), (None, true, None));
        assert!(pod.sysctls.is_empty());
    }

    #[test]
    fn a_sysctl_of_the_node_is_refused_and_one_of_the_pod_is_not() {
        for name in ["net.core.somaxconn", "kernel.shm_rmid_forced", "kernel/msgmax", "fs.mqueue.msg_max"] {
            assert_eq!(sent(&with(name), "/run/netns/n").unwrap().sysctls[name], "1");
        }
        for name in ["vm.swappiness", "kernel.hostname", "net", "net..x", "fs.mqueue", "net/../vm/swappiness"]
        {
            assert!(sent(&with(name), "/run/netns/n").unwrap_err().to_string().contains(name), "{name}");
        }
        assert!(sent(&with("net.core.somaxconn"), "").is_err(), "the network is the node's");
    }

    #[test]
    fn what_a_sandbox_cannot_do_is_refused_by_name() {
        let of = |namespaces| {
            let security_context = Some(SecurityContext { namespaces: Some(namespaces) });
            let linux = Some(Linux { security_context, ..Default::default() });
            sent(&PodSandboxConfig { linux, ..Default::default() }, "").unwrap_err().to_string()
        };
        let uids = vec![IdMapping { host_id: 100_000, container_id: 0, length: 65_536 }];
        let users = Some(UserNamespace { mode: POD, uids });
        let refused = of(NamespaceOption { pid: 1, ipc: 0, users });
        assert!(refused.contains("user namespaces (uidmap=0:100000:65536)"), "{refused}");
        let any = Any { type_url: "io.example.Pod".into(), ..Default::default() };
        assert!(Pod::from_options(Some(&any), "").unwrap_err().to_string().contains("io.example.Pod"));
    }
}
