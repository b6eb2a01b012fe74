//! A registry in the control plane's cell, which nodes pull from without TLS. It is there once something was pushed.

use std::fs::{self, File};
use std::sync::OnceLock;

use super::control_plane::{ADDRESS, ControlPlane};
use super::daemon::Daemon;
use crate::{DEADLINE, Image, eventually, finish, part};

const PORT: u16 = 5000;

/// A registry.
#[derive(Default)]
pub(super) struct Registry(OnceLock<Daemon>);

/// Where it is, as the name of an image begins.
pub(super) fn host() -> String {
    format!("{ADDRESS}:{PORT}")
}

impl Registry {
    /// Pushes an image: its name there. It is a list with one entry, as builders make it for chosen platforms.
    #[track_caller]
    pub(super) fn push(&self, control: &ControlPlane, image: &Image) -> String {
        self.0.get_or_init(|| start(control));
        let name = format!("{}/{}", host(), image.name().trim_start_matches("docker.io/library/"));
        let archive = image.pack(control.cell().directory());
        let layout = archive.with_extension("layout");
        tar::Archive::new(File::open(&archive).unwrap()).unpack(&layout).unwrap();
        let mut push = control.cell().command(part("crane/bin/crane"));
        push.args(["push", "--insecure", "--index", &layout.display().to_string(), &name]);
        finish(&mut push, DEADLINE).success();
        fs::remove_file(archive).unwrap();
        fs::remove_dir_all(layout).unwrap();
        name
    }
}

fn start(control: &ControlPlane) -> Daemon {
    let cell = control.cell();
    let crane = part("crane/bin/crane");
    let disk = cell.directory().join("registry");
    fs::create_dir(&disk).unwrap();
    let args = ["registry", "serve", "--address", &host(), "--disk", &disk.display().to_string()];
    let registry = Daemon::start(cell, &crane, &args);
    eventually("the registry's answer", DEADLINE, || {
        registry.expect_alive();
        let mut ask = cell.command(&crane);
        finish(ask.args(["catalog", "--insecure", &host()]), DEADLINE).status.success().then_some(())
    });
    registry
}
