//! The control plane: etcd, the API server, the controllers and the scheduler, and kubectl beside them.

use std::time::Duration;

use super::credentials::Credentials;
use super::daemon::Daemon;
use super::{eventually_answers, network};
use crate::{Cell, Finished, finish, part};

/// The address that the nodes reach it by.
pub(super) const ADDRESS: &str = "172.30.0.1";

/// How long one call of kubectl may take; those that wait have a timeout of their own below it.
const CALL: Duration = Duration::from_secs(150);

/// A running control plane.
pub struct ControlPlane {
    cell: Cell,
    credentials: Credentials,
    kubeconfig: String,
    daemons: Vec<Daemon>,
}

impl ControlPlane {
    /// Boots one for nodes of those names: its API answers, and has what it makes at its first start.
    pub(super) fn boot(nodes: &[&str]) -> Self {
        let cell = Cell::new();
        network::make_fabric(&cell);
        let credentials = Credentials::make(cell.directory(), ADDRESS, nodes);
        let kubeconfig = credentials.kubeconfig(ADDRESS, "admin");
        let mut control = Self { cell, credentials, kubeconfig, daemons: Vec::new() };
        control.start_etcd();
        control.start_api_server();
        eventually_answers(&control, &["get", "--raw", "/readyz"], |_| true);
        control.start_controllers();
        control.start_scheduler();
        control.daemons.iter().for_each(Daemon::expect_alive);
        control
    }

    /// The cell it lives in.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// A kubectl of the administrator's, to be run in this cell.
    pub fn kubectl_command(&self) -> std::process::Command {
        let mut kubectl = self.cell.command(part("kubectl/bin/kubectl"));
        kubectl.args(["--kubeconfig", &self.kubeconfig]);
        kubectl
    }

    /// Runs kubectl.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> Finished {
        finish(self.kubectl_command().args(words), CALL)
    }

    /// Runs Helm, which is the part `helm`.
    #[track_caller]
    pub fn helm(&self, words: &[&str]) -> Finished {
        let mut helm = self.cell.command(part("helm/bin/helm"));
        finish(helm.args(["--kubeconfig", &self.kubeconfig]).args(words), CALL)
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    fn start_etcd(&mut self) {
        let data = self.cell.directory().join("etcd").display().to_string();
        let clients = "http://127.0.0.1:2379";
        self.start(
            "etcd/bin/etcd",
            &[
                "--data-dir",
                &data,
                "--unsafe-no-fsync",
                "--log-level=warn",
                "--listen-client-urls",
                clients,
                "--advertise-client-urls",
                clients,
                "--listen-peer-urls=http://127.0.0.1:2380",
            ],
        );
    }

    fn start_api_server(&mut self) {
        let file = |name| self.credentials.file(name);
        let (tokens, accounts) = (file("tokens.csv"), file("accounts.key"));
        let (certificate, key) = (file("apiserver.crt"), file("apiserver.key"));
        self.start(
            "kubernetes/bin/kube-apiserver",
            &[
                "--etcd-servers=http://127.0.0.1:2379",
                &format!("--advertise-address={ADDRESS}"),
                "--tls-cert-file",
                &certificate,
                "--tls-private-key-file",
                &key,
                "--token-auth-file",
                &tokens,
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file",
                &accounts,
                "--service-account-signing-key-file",
                &accounts,
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
            ],
        );
    }

    fn start_controllers(&mut self) {
        let kubeconfig = self.credentials.kubeconfig(ADDRESS, "system:kube-controller-manager");
        let (ca, accounts) = (self.credentials.file("ca.crt"), self.credentials.file("accounts.key"));
        self.start(
            "kubernetes/bin/kube-controller-manager",
            &[
                "--kubeconfig",
                &kubeconfig,
                "--root-ca-file",
                &ca,
                "--service-account-private-key-file",
                &accounts,
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ],
        );
    }

    fn start_scheduler(&mut self) {
        let kubeconfig = self.credentials.kubeconfig(ADDRESS, "system:kube-scheduler");
        self.start(
            "kubernetes/bin/kube-scheduler",
            &[
                "--kubeconfig",
                &kubeconfig,
                "--leader-elect=false",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ],
        );
    }

    fn start(&mut self, program: &str, args: &[&str]) {
        self.daemons.push(Daemon::start(&self.cell, &part(program), args));
    }
}
