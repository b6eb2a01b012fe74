//! A client of containerd that only has tasks: what containerd and its shim cost, without `ctr`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use containerd_client::services::v1::container::Runtime as RuntimeName;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::tasks_client::TasksClient;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateTaskRequest, DeleteContainerRequest, DeleteTaskRequest,
    KillRequest, StartRequest, WaitRequest,
};
use containerd_client::tonic::Request;
use containerd_client::tonic::transport::Channel;
use containerd_client::types::Mount;
use prost_types::Any;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use crate::bed::{Bed, ENTRYPOINT};
use crate::program::Program;

const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// A connection to a bed's containerd, for containers of one program.
#[derive(Clone)]
pub(crate) struct Client(Arc<Connected>);

struct Connected {
    channel: Channel,
    namespace: String,
    runtime: String,
    rootfs: String,
    words: Vec<String>,
    next: AtomicUsize,
}

/// A task, known by its container's id.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) pid: u32,
    pub(crate) creating: Duration,
    pub(crate) starting: Duration,
}

/// What drives the calls: one thread.
pub(crate) fn driver() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

impl Client {
    pub(crate) async fn to(bed: &Bed, program: Program, words: &[&str]) -> Self {
        let cell = bed.containerd.cell();
        let rootfs = cell.directory().join(format!("rootfs-{}", program.name()));
        for directory in ["proc", "dev", "sys"] {
            fs::create_dir_all(rootfs.join(directory)).unwrap();
        }
        fs::copy(bed.contender.file(program), rootfs.join(&ENTRYPOINT[1..])).unwrap();
        Self(Arc::new(Connected {
            channel: containerd_client::connect(bed.containerd.socket()).await.unwrap(),
            namespace: bed.containerd.namespace().to_owned(),
            runtime: bed.contender.runtime().to_owned(),
            rootfs: rootfs.display().to_string(),
            words: [&[ENTRYPOINT], words].concat().iter().map(|&word| word.to_owned()).collect(),
            next: AtomicUsize::new(0),
        }))
    }

    /// Declares a container, without a task; its id.
    pub(crate) async fn declare(&self) -> String {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{}{number}", self.0.namespace, self.0.words.join("").replace(['/', '.'], ""));
        let spec = Any { type_url: SPEC.to_owned(), value: self.spec(&id).into_bytes() };
        let runtime = RuntimeName { name: self.0.runtime.clone(), options: None };
        let container =
            Container { id: id.clone(), runtime: Some(runtime), spec: Some(spec), ..Default::default() };
        let request = self.request(CreateContainerRequest { container: Some(container) });
        ContainersClient::new(self.0.channel.clone()).create(request).await.unwrap();
        id
    }

    /// Creates and starts a declared container's task.
    pub(crate) async fn start(&self, id: String) -> Task {
        let mut tasks = TasksClient::new(self.0.channel.clone());
        let rootfs = Mount {
            r#type: "bind".to_owned(),
            source: self.0.rootfs.clone(),
            options: vec!["rbind".to_owned(), "rw".to_owned()],
            ..Default::default()
        };
        let create =
            CreateTaskRequest { container_id: id.clone(), rootfs: vec![rootfs], ..Default::default() };
        let begun = Instant::now();
        tasks.create(self.request(create)).await.unwrap();
        let creating = begun.elapsed();
        let begun = Instant::now();
        let start = StartRequest { container_id: id.clone(), ..Default::default() };
        let pid = tasks.start(self.request(start)).await.unwrap().into_inner().pid;
        Task { id, pid, creating, starting: begun.elapsed() }
    }

    /// Waits for a task's end and removes it with its container; its exit code.
    pub(crate) async fn end(&self, task: &Task) -> u32 {
        let mut tasks = TasksClient::new(self.0.channel.clone());
        let wait = WaitRequest { container_id: task.id.clone(), ..Default::default() };
        let status = tasks.wait(self.request(wait)).await.unwrap().into_inner().exit_status;
        let delete = DeleteTaskRequest { container_id: task.id.clone() };
        tasks.delete(self.request(delete)).await.unwrap();
        let delete = DeleteContainerRequest { id: task.id.clone() };
        ContainersClient::new(self.0.channel.clone()).delete(self.request(delete)).await.unwrap();
        status
    }

    /// Kills a task, and then as [`Client::end`].
    pub(crate) async fn kill(&self, task: &Task) {
        let kill = KillRequest { container_id: task.id.clone(), signal: 9, ..Default::default() };
        TasksClient::new(self.0.channel.clone()).kill(self.request(kill)).await.unwrap();
        assert_eq!(self.end(task).await, 137);
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.0.namespace.parse().unwrap());
        request
    }

    fn spec(&self, id: &str) -> String {
        let mount = |to: &str, kind: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": kind, "options": options });
        let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
        let capabilities = json!(["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
        json!({
            "ociVersion": "1.1.0",
            "process": {
                "user": { "uid": 0, "gid": 0 }, "args": self.0.words, "cwd": "/", "noNewPrivileges": true,
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            },
            "root": { "path": "rootfs" },
            "mounts": [
                mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
                mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{id}", self.0.namespace),
                "namespaces": namespaces,
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
                "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
                "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            },
        })
        .to_string()
    }
}
