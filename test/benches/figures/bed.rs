//! A bed is where one contender runs: a containerd of its own, with the programs as images.

use std::fs;
use std::time::Duration;

use wasmedge_shim_tests::{Containerd, CtrRun, Finished, Image};

use crate::contender::Contender;
use crate::program::Program;

/// Where the program is in its image, whatever it was built to.
pub(crate) const ENTRYPOINT: &str = "/app.wasm";

/// How long the compiler may take for the largest program, on a busy machine.
const COMPILING: Duration = Duration::from_secs(300);

/// One contender, ready.
pub(crate) struct Bed {
    pub(crate) contender: Contender,
    pub(crate) containerd: Containerd,
}

impl Bed {
    /// Boots it, and runs each program once, so that what is done once has been done.
    pub(crate) fn start(contender: Contender) -> Self {
        let bed = Self::cold(contender, contender.settings());
        for (program, word) in [(Program::Hello, "wait"), (Program::Http, ""), (Program::Work, "tcp")] {
            let container = bed.container(program, &[word, "9000"]).attached();
            container.stdout().wait_for(program.sign(), COMPILING);
            container.kill("SIGKILL");
            container.wait();
        }
        bed
    }

    /// Boots it with those settings of the node, and runs nothing.
    pub(crate) fn cold(contender: Contender, settings: &str) -> Self {
        let containerd = Containerd::start();
        let file = containerd.cell().outside("/run/containerd-shim-wasmedge.toml");
        fs::write(file, settings).unwrap();
        for program in Program::ALL {
            containerd.import(&Self::image(contender, program));
        }
        Self { contender, containerd }
    }

    /// The image of a program.
    pub(crate) fn image(contender: Contender, program: Program) -> Image {
        Image::of_files(program.name(), ENTRYPOINT).add(&contender.file(program), ENTRYPOINT)
    }

    /// A container of a program.
    pub(crate) fn container(&self, program: Program, words: &[&str]) -> CtrRun<'_> {
        let image = format!("docker.io/library/{}:1", program.name());
        let container = self.containerd.container(&image).runtime(self.contender.runtime());
        container.command_line(&[&[ENTRYPOINT], words].concat())
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: Program, words: &[&str]) -> Finished {
        self.container(program, words).run()
    }

    /// This executable again, inside of the cell.
    pub(crate) fn inside(&self, words: &[&str]) -> Finished {
        let myself = std::env::current_exe().unwrap();
        let mut command = self.containerd.cell().command(myself);
        wasmedge_shim_tests::finish(command.args(words), wasmedge_shim_tests::DEADLINE).success()
    }
}
