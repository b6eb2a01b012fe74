//! A bundle on its way to become a task: what containerd would have made of an image and a request.

use std::cell::RefCell;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField};
use serde_json::{Value, json};

use super::fifos::{Fifos, Readers, fifo, open_both_ways};
use super::rpc::Connection;
use super::{MockContainerd, Refusal, Task, config};
use crate::{Captured, DEADLINE};

/// A task that has not been created yet.
pub struct TaskBuilder<'a> {
    containerd: &'a MockContainerd,
    id: String,
    bundle: PathBuf,
    config: Value,
    input: bool,
    log: Captured,
    readers: Readers,
    terminal: bool,
    log_uri: Option<String>,
    options: Option<Any>,
    mounts: Vec<api::Mount>,
    deadline: Duration,
}

impl<'a> TaskBuilder<'a> {
    pub(super) fn new(containerd: &'a MockContainerd, id: String) -> Self {
        let bundle = containerd.cell().directory().join("bundles").join(&id);
        fs::create_dir_all(bundle.join("rootfs")).unwrap();
        let config = config::for_cgroup(&format!("/{}/{id}", containerd.cell().name()));
        Self {
            containerd,
            id,
            bundle,
            config,
            input: false,
            log: Captured::nothing(),
            readers: Readers::Collect,
            terminal: false,
            log_uri: None,
            options: None,
            mounts: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its bundle is.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// Puts a file into the image.
    pub fn file(self, path: &str, bytes: &[u8], mode: u32) -> Self {
        let file = self.bundle.join("rootfs").join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Puts a FIFO into the image.
    pub fn fifo_in_the_image(self, path: &str) -> Self {
        fifo(&self.bundle, &format!("rootfs{path}"));
        self
    }

    /// The whole command, entrypoint first.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.config["process"]["args"] = json!(words);
        self
    }

    /// What follows the entrypoint.
    pub fn args(mut self, words: &[&str]) -> Self {
        let args = self.config["process"]["args"].as_array_mut().unwrap();
        args.truncate(1);
        args.extend(words.iter().map(|word| json!(word)));
        self
    }

    /// Changes the `config.json`.
    pub fn configure(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Has a standard input to write to.
    pub fn with_input(mut self) -> Self {
        self.input = true;
        self
    }

    /// Has its output counted, not kept.
    pub fn only_counting_output(mut self) -> Self {
        self.readers = Readers::Count;
        self
    }

    /// Has output FIFOs that are open for reading, but that nobody reads.
    pub fn without_reader(mut self) -> Self {
        self.readers = Readers::Asleep;
        self
    }

    /// Has FIFOs for all three streams, and nobody who opens one.
    pub fn with_fifos_that_nobody_opens(mut self) -> Self {
        self.readers = Readers::Absent;
        self
    }

    /// Has no output at all.
    pub fn without_output(mut self) -> Self {
        self.readers = Readers::None;
        self
    }

    /// Has a `log` FIFO in its bundle, as containerd makes it, without containerd at its other end.
    pub fn with_log_that_nobody_reads(self) -> Self {
        fifo(&self.bundle, "log");
        self
    }

    /// Has a `log` FIFO in its bundle, with a reader: what the daemon logs of it.
    pub fn with_log(mut self) -> Self {
        // Open for writing too: it has a reader before it has a writer.
        self.log = Captured::from_reader(open_both_ways(&fifo(&self.bundle, "log")));
        self
    }

    /// Has its module compiled, or not, by that policy; the compiler may take its time.
    pub fn compiled(self, policy: &str) -> Self {
        self.option(&format!("Compile = \"{policy}\"\nCompileWait = 100\n"))
    }

    /// Has a terminal, and an input to type into.
    pub fn with_terminal(mut self) -> Self {
        self.terminal = true;
        self.input = true;
        self.config["process"]["terminal"] = json!(true);
        self
    }

    /// Has its output go to a URI, and to nobody else.
    pub fn with_log_uri(mut self, uri: &str) -> Self {
        self.log_uri = Some(uri.to_owned());
        self.readers = Readers::None;
        self
    }

    /// The runtime options, by their type and bytes.
    pub fn options(mut self, type_url: &str, value: Vec<u8>) -> Self {
        self.options = Some(Any { type_url: type_url.to_owned(), value, ..Default::default() });
        self
    }

    /// Runtime options as CRI sends those of a runtime it does not know: a text in TOML.
    pub fn option(self, toml: &str) -> Self {
        let url = "runtimeoptions.v1.Options";
        self.options(url, [field(1, url), field(3, toml)].concat())
    }

    /// A mount that the shim is to make below the bundle's `rootfs`.
    pub fn rootfs(mut self, kind: &str, source: &str, options: &[&str]) -> Self {
        self.mounts.push(api::Mount {
            type_: kind.to_owned(),
            source: source.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            ..Default::default()
        });
        self
    }

    /// How long create may take.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Writes the `config.json` as it is so far.
    pub fn write_config(&self) {
        fs::write(self.bundle.join("config.json"), self.config.to_string()).unwrap();
    }

    /// Creates it.
    #[track_caller]
    pub fn create(self) -> Task<'a> {
        self.try_create().unwrap_or_else(|refusal| panic!("create: {refusal}"))
    }

    /// Creates it, or tells why the shim would not. Then, as containerd, it has the bundle cleaned by the
    /// delete verb, and takes the bundle away.
    #[track_caller]
    pub fn try_create(self) -> Result<Task<'a>, Refusal> {
        self.write_config();
        self.try_create_as_written()
    }

    /// Creates it from the `config.json` that is in its bundle.
    #[track_caller]
    pub fn try_create_as_written(self) -> Result<Task<'a>, Refusal> {
        let options =
            self.options.as_ref().map(|options| options.write_to_bytes().unwrap()).unwrap_or_default();
        let answer = self.containerd.verb_with_input("start", &self.id, &self.bundle, &options).success();
        let connection = self.containerd.connect(&MockContainerd::address_in(&answer));
        let fifos = Fifos::make(&self.bundle, self.readers, self.input, self.terminal);
        let begun = Instant::now();
        match connection.call("Create", &self.request(), self.deadline) {
            Ok(created) => Ok(self.into_task(connection, &created, fifos, begun.elapsed())),
            Err(refusal) => {
                self.containerd.shut_down(&connection, &self.id);
                self.containerd.verb("delete", &self.id, &self.bundle).success();
                let left: Vec<_> = fs::read_dir(self.bundle.join("wasmedge")).into_iter().flatten().collect();
                assert!(left.is_empty(), "left in the bundle: {left:?}");
                fs::remove_dir_all(&self.bundle).unwrap();
                Err(refusal)
            }
        }
    }

    fn into_task(
        self,
        connection: Connection,
        created: &api::CreateTaskResponse,
        fifos: Fifos,
        creating: Duration,
    ) -> Task<'a> {
        assert_ne!(created.pid, 0, "create answers with the pid");
        let stdin =
            self.input.then(|| OpenOptions::new().write(true).open(self.bundle.join("stdin")).unwrap());
        Task {
            containerd: self.containerd,
            connection,
            id: self.id,
            pid: created.pid,
            creating,
            bundle: self.bundle,
            stdin: RefCell::new(stdin),
            stdout: fifos.stdout,
            stderr: fifos.stderr,
            log: self.log,
            _asleep: fifos.asleep,
        }
    }

    fn request(&self) -> api::CreateTaskRequest {
        let stream = |name: &str| {
            let path = self.bundle.join(name);
            if path.exists() { path.display().to_string() } else { String::new() }
        };
        api::CreateTaskRequest {
            id: self.id.clone(),
            bundle: self.bundle.display().to_string(),
            rootfs: self.mounts.clone(),
            terminal: self.terminal,
            stdin: stream("stdin"),
            stdout: self.log_uri.clone().unwrap_or_else(|| stream("stdout")),
            stderr: match &self.log_uri {
                Some(uri) => uri.clone(),
                None if self.terminal => String::new(),
                None => stream("stderr"),
            },
            options: MessageField::from_option(self.options.clone()),
            ..Default::default()
        }
    }
}

/// A text field of a protobuf message.
fn field(number: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 0x80, "one byte of length");
    [&[number << 3 | 2, length], text.as_bytes()].concat()
}
