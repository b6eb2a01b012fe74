use std::fs;

use super::*;
use crate::registration::Sandboxer;

/// A node's tree with these files; they are compared with it whole.
struct Node {
    root: tempfile::TempDir,
    host: Host,
}

impl Node {
    fn with(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = Host::new(root.path());
        Self { root, host }
    }

    /// The file that is chosen, and its text with the registration.
    fn registered(&self, generation: Generation) -> Result<(String, String)> {
        let layout = Layout::detect(&self.host);
        let place = Place::choose(&self.host, &layout, generation, &registration())?;
        let now = fs::read_to_string(self.root.path().join(place.file.strip_prefix("/").unwrap())).ok();
        let text = place.register(now.as_deref(), &registration())?;
        // Again changes nothing, and out again gives what was there.
        assert_eq!(place.register(Some(&text), &registration())?, text);
        assert_eq!(place.form.unregister(&text, &registration())?, now.filter(|_| place.form != Form::File));
        Ok((place.file.display().to_string(), text))
    }
}

fn registration() -> Registration {
    Registration {
        handler: "wasmedge".to_owned(),
        shim: "/opt/w/shim".into(),
        sandboxer: Sandboxer::default(),
        options: Vec::new(),
    }
}

const MARK: &str = "# Made by wasmedge-node-installer, which also takes it away again.";
const TABLE_3: &str = "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.wasmedge]
runtime_type = \"io.containerd.wasmedge.v1\"
runtime_path = \"/opt/w/shim\"
";
const TABLE_2: &str = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.wasmedge]
runtime_type = \"io.containerd.wasmedge.v1\"
runtime_path = \"/opt/w/shim\"
";

#[test]
fn kubeadm_with_containerd_2_and_imports_gets_a_file_of_its_own() {
    let node = Node::with(&[(
        "/etc/containerd/config.toml",
        "version = 3\nimports = ['/etc/other.toml', '/etc/containerd/conf.d/*.toml']\n",
    )]);
    let (file, text) = node.registered(Generation::Two).unwrap();
    assert_eq!(file, "/etc/containerd/conf.d/containerd-shim-wasmedge.toml");
    assert_eq!(text, format!("{MARK}\nversion = 3\n\n{TABLE_3}"));
}

#[test]
fn an_imported_file_is_of_the_main_files_version() {
    let node = Node::with(&[(
        "/etc/containerd/config.toml",
        "version = 2\nimports = ['/etc/containerd/d/*.toml']\n",
    )]);
    let (file, text) = node.registered(Generation::Two).unwrap();
    assert_eq!(file, "/etc/containerd/d/containerd-shim-wasmedge.toml");
    assert_eq!(text, format!("{MARK}\nversion = 2\n\n{TABLE_2}"));
}

#[test]
fn kubeadm_with_containerd_2_without_imports_gets_a_table() {
    let config = "version = 3\n\n[grpc]\n  uid = 0 # root\n";
    let node = Node::with(&[("/etc/containerd/config.toml", config)]);
    let (file, text) = node.registered(Generation::Two).unwrap();
    assert_eq!(
        (file.as_str(), text),
        ("/etc/containerd/config.toml", format!("{config}\n{MARK}\n{TABLE_3}"))
    );
}

#[test]
fn kubeadm_with_containerd_1_7_gets_a_table_although_there_are_imports() {
    let config = "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n";
    let node = Node::with(&[("/etc/containerd/config.toml", config)]);
    let (file, text) = node.registered(Generation::One).unwrap();
    assert_eq!(
        (file.as_str(), text),
        ("/etc/containerd/config.toml", format!("{config}\n{MARK}\n{TABLE_2}"))
    );
}

#[test]
fn a_node_without_a_configuration_gets_one_of_its_containerds_version() {
    let (file, text) = Node::with(&[]).registered(Generation::Two).unwrap();
    assert_eq!(
        (file.as_str(), text),
        ("/etc/containerd/config.toml", format!("{MARK}\nversion = 3\n\n{TABLE_3}"))
    );
    let (_, text) = Node::with(&[]).registered(Generation::One).unwrap();
    let runc = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nsandbox_mode = \"podsandbox\"\n";
    assert_eq!(text, format!("{MARK}\nversion = 2\n\n{runc}{TABLE_2}"));
}

#[test]
fn pods_without_a_pause_container_take_containerd_2() {
    let registration = Registration { sandboxer: Sandboxer::Shim, ..registration() };
    let node = Node::with(&[]);
    let layout = Layout::detect(&node.host);
    let place = Place::choose(&node.host, &layout, Generation::Two, &registration).unwrap();
    assert!(place.register(None, &registration).unwrap().contains("sandboxer = \"shim\"\n"));
    let error = Place::choose(&node.host, &layout, Generation::One, &registration).unwrap_err().to_string();
    assert!(error.contains("takes containerd 2.x"), "{error}");
}

#[test]
fn a_configuration_that_containerd_2_takes_no_runtime_from_is_refused() {
    let node = Node::with(&[("/etc/containerd/config.toml", "oom_score = 0\n")]);
    let error = format!("{:#}", node.registered(Generation::Two).unwrap_err());
    assert!(error.contains("names no version or version 1"), "{error}");
    assert!(node.registered(Generation::One).is_ok());
}

const K3S: &str = "/var/lib/rancher/k3s/agent/etc/containerd";
const RKE2: &str = "/var/lib/rancher/rke2/agent/etc/containerd";

#[test]
fn k3s_and_rke2_with_containerd_1_7_get_a_template_on_their_own() {
    for directory in [K3S, RKE2] {
        let node = Node::with(&[(&format!("{directory}/config.toml"), "version = 2\n")]);
        let layout = Layout::detect(&node.host);
        let place = Place::choose(&node.host, &layout, Generation::One, &registration()).unwrap();
        assert_eq!(place.file, Path::new(directory).join("config.toml.tmpl"));
        let text = place.register(None, &registration()).unwrap();
        assert_eq!(
            text,
            format!(
                "{{{{ template \"base\" . }}}}\n\n# wasmedge-node-installer: begin\n{TABLE_2}# wasmedge-node-installer: end\n"
            )
        );
        assert_eq!(place.form.unregister(&text, &registration()).unwrap(), None);
    }
}

#[test]
fn a_template_of_the_administrators_keeps_what_it_says() {
    let template = "{{ template \"base\" . }}\n[debug]\n  level = \"debug\"\n";
    let node = Node::with(&[
        (&format!("{K3S}/config.toml"), "version = 3\n"),
        (&format!("{K3S}/config-v3.toml.tmpl"), template),
    ]);
    let (file, text) = node.registered(Generation::Two).unwrap();
    assert_eq!(file, format!("{K3S}/config-v3.toml.tmpl"));
    assert_eq!(
        text,
        format!("{template}\n# wasmedge-node-installer: begin\n{TABLE_3}# wasmedge-node-installer: end\n")
    );
}

#[test]
fn a_k3s_whose_configuration_imports_gets_a_file_of_its_own() {
    let imports = format!("version = 3\nimports = [\"{K3S}/config-v3.toml.d/*.toml\"]\n");
    let node = Node::with(&[(&format!("{K3S}/config.toml"), &imports)]);
    let (file, text) = node.registered(Generation::Two).unwrap();
    assert_eq!(file, format!("{K3S}/config-v3.toml.d/containerd-shim-wasmedge.toml"));
    assert_eq!(text, format!("{MARK}\nversion = 3\n\n{TABLE_3}"));
}

#[test]
fn a_k3s_that_has_found_another_shim_of_that_name_is_refused() {
    let config = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.\"wasmedge\"]\n  runtime_type = \"io.containerd.wasmedge.v1\"\n";
    let node = Node::with(&[(&format!("{K3S}/config.toml"), config)]);
    let error = format!("{:#}", node.registered(Generation::One).unwrap_err());
    assert!(error.contains("config.toml: containerd already has a runtime handler wasmedge"), "{error}");
}

#[test]
fn microk8s_gets_a_table_in_its_template() {
    let template = "# Use config version 2.\nversion = 2\noom_score = 0\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\n\n  sandbox_image = \"registry.k8s.io/pause:3.10\"\n\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n\n    snapshotter = \"${SNAPSHOTTER}\"\n    default_runtime_name = \"${RUNTIME}\"\n\n    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n      # how\n      runtime_type = \"io.containerd.runc.v2\"\n\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"${SNAP_DATA}/opt/cni/bin\"\n";
    let arguments = "/var/snap/microk8s/current/args";
    let node = Node::with(&[
        (&format!("{arguments}/containerd-template.toml"), template),
        (&format!("{arguments}/containerd.toml"), "version = 2\n"),
    ]);
    let (file, text) = node.registered(Generation::One).unwrap();
    assert_eq!(file, format!("{arguments}/containerd-template.toml"));
    let (before, after) = template.split_once("\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]").unwrap();
    assert_eq!(
        text,
        format!("{before}\n{MARK}\n{TABLE_2}\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]{after}")
    );
}
