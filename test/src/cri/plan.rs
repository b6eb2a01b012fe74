//! A plan of a pod: what a kubelet asks for when it runs one.

use std::fs;

use k8s_cri::v1::{
    DnsConfig, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest,
};
use tonic::Status;

use super::{Cri, Pod};

/// A pod that is not there yet.
pub struct PodPlan<'a> {
    cri: &'a Cri<'a>,
    handler: String,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
}

impl<'a> PodPlan<'a> {
    pub(super) fn new(cri: &'a Cri<'a>, handler: &str) -> Self {
        let containerd = cri.containerd;
        let name = containerd.new_id();
        let logs = containerd.cell().directory().join("logs").join(&name);
        fs::create_dir_all(&logs).unwrap();
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.clone(),
                uid: name,
                namespace: "stories".to_owned(),
                attempt: 0,
            }),
            log_directory: logs.display().to_string(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", containerd.cell().name()),
                ..Default::default()
            }),
            ..Default::default()
        };
        // The kubelet's default: a pod shares its network, each container has processes of its own.
        let namespaces = NamespaceOption { pid: NamespaceMode::Container.into(), ..Default::default() };
        Self { cri, handler: handler.to_owned(), config, namespaces }
    }

    /// Its host name.
    pub fn hostname(mut self, name: &str) -> Self {
        name.clone_into(&mut self.config.hostname);
        self
    }

    /// Where it looks names up.
    pub fn dns(mut self, server: &str, search: &str) -> Self {
        let (servers, searches) = (vec![server.to_owned()], vec![search.to_owned()]);
        self.config.dns_config = Some(DnsConfig { servers, searches, options: Vec::new() });
        self
    }

    /// A parameter of the kernel's.
    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        let linux = self.config.linux.get_or_insert_default();
        linux.sysctls.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Namespaces of its own choice, which all its containers have too.
    pub fn namespaces(mut self, namespaces: NamespaceOption) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Runs it, or tells why CRI would not.
    #[track_caller]
    pub fn try_run(mut self) -> Result<Pod<'a>, Status> {
        self.config.linux.get_or_insert_default().security_context = Some(LinuxSandboxSecurityContext {
            namespace_options: Some(self.namespaces.clone()),
            ..Default::default()
        });
        let request =
            RunPodSandboxRequest { config: Some(self.config.clone()), runtime_handler: self.handler };
        let id = self.cri.call(async |mut client| client.run_pod_sandbox(request).await)?.pod_sandbox_id;
        Ok(Pod::new(self.cri, id, self.config, self.namespaces))
    }

    /// Runs it.
    #[track_caller]
    pub fn run(self) -> Pod<'a> {
        self.try_run().unwrap()
    }
}
