//! Credentials: the cluster's certificates, and who may say who they are by which token.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{DEADLINE, finish, part};

/// Users of the API server, each with the groups they are in. The token is the name.
const USERS: [(&str, &str); 4] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:kube-proxy", ""),
];

/// The files of a cluster's credentials.
pub(super) struct Credentials {
    directory: PathBuf,
}

impl Credentials {
    /// Makes those of a control plane at that address, and of nodes of those names.
    pub(super) fn make(directory: &Path, address: &str, nodes: &[&str]) -> Self {
        let credentials = Self { directory: directory.join("credentials") };
        fs::create_dir_all(&credentials.directory).unwrap();
        let file = |name| credentials.file(name);
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let empty = file("openssl.cnf");
        fs::write(&empty, "[req]\ndistinguished_name = dn\n[dn]\n").unwrap();
        let request =
            |words: &[&str]| openssl(&[&["req", "-x509", "-config", &empty][..], &key, words].concat());
        let (ca_key, ca) = (file("ca.key"), file("ca.crt"));
        request(&[
            "-keyout",
            &ca_key,
            "-out",
            &ca,
            "-subj",
            "/CN=stories",
            "-addext",
            "basicConstraints=critical,CA:true",
        ]);
        let names = format!(
            "subjectAltName=IP:{address},IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
        );
        let (key, certificate) = (file("apiserver.key"), file("apiserver.crt"));
        request(&[
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-keyout",
            &key,
            "-out",
            &certificate,
            "-subj",
            "/CN=kube-apiserver",
            "-addext",
            &names,
            "-addext",
            "basicConstraints=CA:false",
        ]);
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &file("accounts.key")]);
        let users: String =
            USERS.iter().map(|(name, groups)| format!("{name},{name},{name},\"{groups}\"\n")).collect();
        let nodes: String = nodes
            .iter()
            .map(|node| format!("system:node:{node}"))
            .map(|name| format!("{name},{name},{name},\"system:nodes\"\n"))
            .collect();
        fs::write(file("tokens.csv"), users + &nodes).unwrap();
        credentials
    }

    /// One of the files.
    pub(super) fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The kubeconfig of a user.
    pub(super) fn kubeconfig(&self, address: &str, user: &str) -> String {
        let file = self.file(&format!("{}.kubeconfig", user.replace(':', "-")));
        let ca = self.file("ca.crt");
        let text = format!(
            "apiVersion: v1
kind: Config
clusters:
- name: stories
  cluster: {{server: 'https://{address}:6443', certificate-authority: {ca}}}
users:
- name: user
  user: {{token: '{user}'}}
contexts:
- name: stories
  context: {{cluster: stories, user: user}}
current-context: stories
"
        );
        fs::write(&file, text).unwrap();
        file
    }
}

fn openssl(words: &[&str]) {
    finish(Command::new(part("openssl/bin/openssl")).args(words), DEADLINE).success();
}
