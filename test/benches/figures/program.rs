//! A program is one source of `test/guests/rust`, built both as a module and for this machine, for speed.

use std::path::PathBuf;
use std::process::Command;

use wasmedge_shim_tests::repository;

const NATIVE: &str = "x86_64-unknown-linux-musl";
const MODULE: &str = "wasm32-wasip1";
/// tokio wants the first for its sockets on WASI; the second allows 128-bit vectors, which x86-64 always has.
const MODULE_FLAGS: &str = "--cfg tokio_unstable -Ctarget-feature=+simd128";

/// What contenders run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Says hello, and perhaps waits.
    Hello,
    /// hyper and tokio, a server on port 8080.
    Http,
    /// Whatever else there is to measure.
    Work,
}

impl Program {
    pub(crate) const ALL: [Self; 3] = [Self::Hello, Self::Http, Self::Work];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Http => "http",
            Self::Work => "work",
        }
    }

    /// What it prints when it is ready to be used or left waiting.
    pub(crate) fn sign(self) -> &'static str {
        if self == Self::Hello { "hello" } else { "listening" }
    }

    pub(crate) fn module(self) -> PathBuf {
        target().join(MODULE).join("fast").join(self.name()).with_extension("wasm")
    }

    pub(crate) fn native(self) -> PathBuf {
        target().join(NATIVE).join("fast").join(self.name())
    }
}

/// Builds all of them.
pub(crate) fn build() {
    for (triple, flags) in [(MODULE, MODULE_FLAGS), (NATIVE, "")] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(repository().join("test/guests/rust"))
            .args(["build", "--quiet", "--locked", "--profile=fast", "--target", triple, "--target-dir"])
            .arg(target())
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        for program in Program::ALL {
            cargo.args(["--bin", program.name()]);
        }
        assert!(cargo.status().unwrap().success(), "building the programs for {triple}");
    }
}

fn target() -> PathBuf {
    repository().join("build/figures/target")
}
