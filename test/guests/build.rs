//! Builds the guests from their sources into `build/guests/` of the repository.
//!
//! The Rust ones by cargo for wasm32-wasip1, the C one by the clang that `make parts` fetched, the text
//! ones by the `wat` crate, the native ones by the machine's C compiler, the malformed ones here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const RUST_GUESTS: [&str; 4] = ["hello", "probe", "http", "client"];
/// Guests that are there as native programs too, to be compared with.
const NATIVE_TWINS: [&str; 2] = ["probe", "client"];

fn main() -> Result<()> {
    let guests = Guests::locate()?;
    fs::create_dir_all(&guests.output)?;
    for directory in ["rust", "c", "wat", "native"] {
        println!("cargo:rerun-if-changed={directory}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=GUESTS_DIR={}", guests.output.display());
    guests.build_rust()?;
    guests.build_c()?;
    guests.build_native()?;
    guests.build_text()?;
    guests.build_malformed()
}

struct Guests {
    sources: PathBuf,
    repository: PathBuf,
    output: PathBuf,
}

impl Guests {
    fn locate() -> Result<Self> {
        let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("not run by cargo")?);
        let repository = sources.join("../..").canonicalize()?;
        Ok(Self { sources, output: repository.join("build/guests"), repository })
    }

    fn build_rust(&self) -> Result<()> {
        // tokio's net is unstable on WASI.
        let modules = self.cargo("wasm32-wasip1", "--cfg tokio_unstable", &RUST_GUESTS)?;
        for name in RUST_GUESTS {
            let file = format!("{name}.wasm");
            self.write(&file, &fs::read(modules.join(&file))?)?;
        }
        let programs = self.cargo("x86_64-unknown-linux-musl", "", &NATIVE_TWINS)?;
        for name in NATIVE_TWINS {
            fs::copy(programs.join(name), self.output.join(name))?;
        }
        Ok(())
    }

    /// Builds programs from the Rust sources; the directory where they are.
    fn cargo(&self, triple: &str, flags: &str, programs: &[&str]) -> Result<PathBuf> {
        let target = self.repository.join("build/guests-target");
        run(
            Command::new(env::var_os("CARGO").context("not run by cargo")?)
                .current_dir(self.sources.join("rust"))
                .args(["build", "--quiet", "--locked", "--release", "--target", triple, "--target-dir"])
                .arg(&target)
                .args(programs.iter().map(|name| format!("--bin={name}")))
                // What cargo tells us about our own build is not for theirs.
                .env("RUSTFLAGS", flags)
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env_remove("RUSTC_WORKSPACE_WRAPPER"),
            &format!("building the Rust guests (if the target is missing: rustup target add {triple})"),
        )?;
        Ok(target.join(triple).join("release"))
    }

    fn build_c(&self) -> Result<()> {
        let clang = self.repository.join("build/parts/clang/bin/clang");
        run(
            Command::new(&clang)
                .args(["--target=wasm32-wasi", "-Os", "-Wall", "-Wl,--strip-all", "-o"])
                .arg(self.output.join("c-server.wasm"))
                .arg(self.sources.join("c/server.c")),
            "building the C guest (if clang is missing: make parts)",
        )
    }

    fn build_native(&self) -> Result<()> {
        for (name, flags) in [("pause", ["-Os", "-static"]), ("constructor", ["-fPIC", "-shared"])] {
            run(
                Command::new("cc")
                    .args(flags)
                    .args(["-Wall", "-s", "-o"])
                    .arg(self.output.join(name))
                    .arg(self.sources.join("native").join(name).with_extension("c")),
                "building a native guest (it takes a C compiler, by the name cc, and a C library to link statically)",
            )?;
        }
        Ok(())
    }

    fn build_text(&self) -> Result<()> {
        for entry in fs::read_dir(self.sources.join("wat"))? {
            let source = entry?.path();
            let name =
                Path::new(source.file_name().context("a guest without a name")?).with_extension("wasm");
            self.write(name, &wat::parse_file(&source)?)?;
        }
        self.write("text.wat", &fs::read(self.sources.join("wat/text.wat"))?)
    }

    fn build_malformed(&self) -> Result<()> {
        let hello = fs::read(self.output.join("hello.wasm"))?;
        let elf = fs::read(self.output.join("constructor"))?;
        self.write("empty.wasm", b"")?;
        self.write("truncated.wasm", &hello[..hello.len() / 2])?;
        self.write("wrong-magic.wasm", &[b"\0abc", &hello[4..]].concat())?;
        self.write("wrong-version.wasm", &[b"\0asm\x02\0\0\0", &hello[8..]].concat())?;
        self.write("elf.wasm", &elf)?;
        self.write("wasmedge-section.wasm", &[hello, custom_section("wasmedge", &elf)].concat())
    }

    /// Writes a guest unless it is there already, so that its time says when it changed.
    fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let file = self.output.join(name);
        if fs::read(&file).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))
    }
}

fn custom_section(name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = leb128(name.len());
    body.extend(name.as_bytes());
    body.extend(content);
    [vec![0], leb128(body.len()), body].concat()
}

fn leb128(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 & 0x7f | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

fn run(command: &mut Command, step: &str) -> Result<()> {
    let output = command.output().with_context(|| format!("{step}: {command:?}"))?;
    ensure!(output.status.success(), "{step}: {command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
