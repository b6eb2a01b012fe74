//! A pod and its containers. A pod is stopped and removed, containers and all, when it is dropped.

use std::fs;
use std::path::PathBuf;

use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatsRequest, ContainerStatus,
    ContainerStatusRequest, CreateContainerRequest, ExecSyncRequest, ImageSpec, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, Mount, NamespaceOption, PodSandboxConfig,
    PodSandboxState, PodSandboxStats, PodSandboxStatsRequest, RemovePodSandboxRequest, StartContainerRequest,
    StopContainerRequest, StopPodSandboxRequest, UpdateContainerResourcesRequest,
};
use tonic::Status;

use super::Cri;
use crate::{DEADLINE, eventually};

/// A running pod.
pub struct Pod<'a> {
    cri: &'a Cri<'a>,
    id: String,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
}

impl<'a> Pod<'a> {
    pub(super) fn new(
        cri: &'a Cri<'a>,
        id: String,
        config: PodSandboxConfig,
        namespaces: NamespaceOption,
    ) -> Self {
        Self { cri, id, config, namespaces }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its address in the bridge network.
    #[track_caller]
    pub fn address(&self) -> String {
        self.cri.address_of(&self.id)
    }

    /// Whether it is ready, as the kubelet wants it to be.
    #[track_caller]
    pub fn is_ready(&self) -> bool {
        self.cri.status_of(&self.id).state() == PodSandboxState::SandboxReady
    }

    /// Waits until CRI says that it is not ready any more. For a moment it may not know.
    #[track_caller]
    pub fn wait(&self) {
        eventually("the pod's end", DEADLINE, || {
            let status = self.cri.try_status_of(&self.id).ok()?;
            (status.state() == PodSandboxState::SandboxNotready).then_some(())
        });
    }

    /// Its use of the machine.
    #[track_caller]
    pub fn stats(&self) -> PodSandboxStats {
        let request = PodSandboxStatsRequest { pod_sandbox_id: self.id.clone() };
        self.cri.call(async |mut client| client.pod_sandbox_stats(request).await).unwrap().stats.unwrap()
    }

    /// What is known of it, for when its containerd is another.
    pub fn keep(self) -> KeptPod {
        let kept =
            KeptPod { id: self.id.clone(), config: self.config.clone(), namespaces: self.namespaces.clone() };
        std::mem::forget(self);
        kept
    }

    /// Creates a container in it and starts it, or tells why CRI would not.
    #[track_caller]
    pub fn try_run(&self, name: &str, image: &str, args: &[&str]) -> Result<PodContainer<'a>, Status> {
        self.try_run_with(name, image, args, Vec::new())
    }

    /// As [`Self::try_run`], with mounts.
    #[track_caller]
    pub fn try_run_with(
        &self,
        name: &str,
        image: &str,
        args: &[&str],
        mounts: Vec<Mount>,
    ) -> Result<PodContainer<'a>, Status> {
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: image.to_owned(), ..Default::default() }),
            args: args.iter().map(|&word| word.to_owned()).collect(),
            log_path: format!("{name}.log"),
            mounts,
            linux: Some(LinuxContainerConfig {
                resources: Some(LinuxContainerResources {
                    memory_limit_in_bytes: 256 << 20,
                    cpu_shares: 512,
                    ..Default::default()
                }),
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(self.namespaces.clone()),
                    ..Default::default()
                }),
            }),
            ..Default::default()
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        let id = self.cri.call(async |mut client| client.create_container(request).await)?.container_id;
        let log = PathBuf::from(&self.config.log_directory).join(format!("{name}.log"));
        let container = PodContainer { cri: self.cri, id, log };
        let request = StartContainerRequest { container_id: container.id.clone() };
        self.cri.call(async |mut client| client.start_container(request).await)?;
        Ok(container)
    }

    /// Runs the shell's words in a busybox to their end: what they print.
    #[track_caller]
    pub fn sh(&self, name: &str, image: &str, words: &str) -> String {
        let shell = self.run(name, image, &["-c", words]);
        let code = shell.wait().exit_code;
        let lines: String = shell
            .log()
            .lines()
            .filter_map(|line| line.split_once(" F "))
            .map(|(_, text)| format!("{text}\n"))
            .collect();
        assert_eq!(code, 0, "{words}: {lines}");
        lines
    }

    /// Creates a container in it and starts it.
    #[track_caller]
    pub fn run(&self, name: &str, image: &str, args: &[&str]) -> PodContainer<'a> {
        self.try_run(name, image, args).unwrap_or_else(|status| panic!("{name}: {status}"))
    }

    /// Stops it.
    #[track_caller]
    pub fn stop(&self) {
        let stop = StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.call(async |mut client| client.stop_pod_sandbox(stop).await).unwrap();
    }

    /// Stops it and removes it.
    #[track_caller]
    pub fn remove(&self) {
        self.stop();
        let remove = RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.cri.call(async |mut client| client.remove_pod_sandbox(remove).await).unwrap();
    }
}

/// A pod between two connections.
pub struct KeptPod {
    id: String,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
}

impl KeptPod {
    /// The pod on a new connection.
    pub fn on<'a>(self, cri: &'a Cri<'a>) -> Pod<'a> {
        Pod::new(cri, self.id, self.config, self.namespaces)
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.remove();
        }
    }
}

/// A container of a pod.
pub struct PodContainer<'a> {
    cri: &'a Cri<'a>,
    id: String,
    log: PathBuf,
}

/// A container between two connections.
pub struct KeptContainer {
    id: String,
    log: PathBuf,
}

impl KeptContainer {
    /// The container on a new connection.
    pub fn on<'a>(self, cri: &'a Cri<'a>) -> PodContainer<'a> {
        PodContainer { cri, id: self.id, log: self.log }
    }
}

impl PodContainer<'_> {
    /// What is known of it, for when its containerd is another.
    pub fn keep(self) -> KeptContainer {
        KeptContainer { id: self.id, log: self.log }
    }

    /// Its status as CRI tells it.
    #[track_caller]
    pub fn status(&self) -> ContainerStatus {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: false };
        self.cri.call(async |mut client| client.container_status(request).await).unwrap().status.unwrap()
    }

    /// Waits until it has exited: its status.
    #[track_caller]
    pub fn wait(&self) -> ContainerStatus {
        eventually("the container's exit", DEADLINE, || {
            let status = self.status();
            (status.state() == ContainerState::ContainerExited).then_some(status)
        })
    }

    /// Runs a command in it to its end, as an exec probe does: its exit code and output.
    #[track_caller]
    pub fn exec(&self, words: &[&str]) -> Result<(i32, String), Status> {
        let cmd = words.iter().map(|&word| word.to_owned()).collect();
        let request = ExecSyncRequest { container_id: self.id.clone(), cmd, timeout: 10 };
        let answer = self.cri.call(async |mut client| client.exec_sync(request).await)?;
        Ok((answer.exit_code, String::from_utf8_lossy(&answer.stdout).into_owned()))
    }

    /// Changes its memory limit, in bytes.
    #[track_caller]
    pub fn limit_memory(&self, bytes: i64) {
        let request = UpdateContainerResourcesRequest {
            container_id: self.id.clone(),
            linux: Some(LinuxContainerResources { memory_limit_in_bytes: bytes, ..Default::default() }),
            ..Default::default()
        };
        self.cri.call(async |mut client| client.update_container_resources(request).await).unwrap();
    }

    /// Stops it with that grace period in seconds.
    #[track_caller]
    pub fn stop(&self, timeout: i64) {
        let request = StopContainerRequest { container_id: self.id.clone(), timeout };
        self.cri.call(async |mut client| client.stop_container(request).await).unwrap();
    }

    /// Its log file as it is.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its log has the text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), DEADLINE, || self.log().contains(text).then_some(()));
    }

    /// Its CPU time in nanoseconds and its working set in bytes, as the kubelet reads them.
    #[track_caller]
    pub fn figures(&self) -> (u64, u64) {
        let request = ContainerStatsRequest { container_id: self.id.clone() };
        let stats =
            self.cri.call(async |mut client| client.container_stats(request).await).unwrap().stats.unwrap();
        let cpu = stats.cpu.and_then(|cpu| cpu.usage_core_nano_seconds).map_or(0, |value| value.value);
        let memory = stats.memory.and_then(|memory| memory.working_set_bytes).map_or(0, |value| value.value);
        (cpu, memory)
    }
}
