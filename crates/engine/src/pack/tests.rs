//! Archives as the tools that read them see them.

use std::collections::BTreeMap;
use std::io::Read;

use clap::Parser;
use serde_json::Value;

use super::*;

const HELLO: &str = r#"(module (func (export "_start")))"#;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    pack: Pack,
}

/// A directory in which things are packed.
struct Workshop(tempfile::TempDir);

/// The files of an archive by name.
struct Unpacked(BTreeMap<String, Vec<u8>>);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        workshop.file("app.wat", HELLO.as_bytes(), 0o644);
        workshop
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8], mode: u32) -> String {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self.path(name)
    }

    fn try_pack(&self, args: &[&str]) -> anyhow::Result<Unpacked> {
        let output = self.path("image.tar");
        let fixed = ["pack", "-t", "hello:1", "-o", &output];
        Cli::try_parse_from(fixed.into_iter().chain(args.iter().copied()))?.pack.run()?;
        Ok(Unpacked::read(&fs::read(output)?))
    }

    fn pack(&self, args: &[&str]) -> Unpacked {
        self.try_pack(args).unwrap()
    }

    fn refusal(&self, args: &[&str]) -> String {
        let Err(error) = self.try_pack(args) else { panic!("{args:?} was packed") };
        format!("{error:#}")
    }
}

impl Unpacked {
    fn read(bytes: &[u8]) -> Self {
        let mut tar = tar::Archive::new(bytes);
        let files = tar.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
        });
        Self(files.collect())
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.0[name]).unwrap()
    }

    fn blob(&self, descriptor: &Value) -> &[u8] {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = &self.0[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(self.blob(&self.json("index.json")["manifests"][0])).unwrap()
    }

    fn config(&self) -> Value {
        serde_json::from_slice(self.blob(&self.manifest()["config"])).unwrap()
    }

    /// Path, mode and size of each file of a layer.
    fn layer(&self, number: usize) -> Vec<(String, u32, u64)> {
        let manifest = self.manifest();
        tar::Archive::new(self.blob(&manifest["layers"][number]))
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 0));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.size().unwrap())
            })
            .collect()
    }
}

#[test]
fn a_classic_image_is_a_layout_and_a_docker_archive() {
    let workshop = Workshop::new();
    let archive = workshop.pack(&[&workshop.path("app.wat"), "--env", "A=b", "--cmd", "-x", "--user", "7"]);
    let config = archive.config();
    assert_eq!(config["os"], "linux");
    assert_eq!(
        config["config"],
        serde_json::json!({ "Entrypoint": ["/app.wasm"], "Cmd": ["-x"], "Env": ["A=b"], "User": "7" })
    );
    assert_eq!(archive.layer(0), [("app.wasm".to_owned(), 0o755, HELLO.len() as u64)]);
    assert_eq!(config["rootfs"]["diff_ids"][0], archive.manifest()["layers"][0]["digest"]);
    let index = archive.json("index.json");
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/library/hello:1");
    let docker = archive.json("manifest.json");
    assert_eq!(docker[0]["RepoTags"][0], "docker.io/library/hello:1");
    assert!(archive.0.contains_key(docker[0]["Config"].as_str().unwrap()));
    assert!(archive.0.contains_key(docker[0]["Layers"][0].as_str().unwrap()));
}

#[test]
fn a_module_layer_is_the_binary_module_itself() {
    let workshop = Workshop::new();
    let archive = workshop.pack(&[&workshop.path("app.wat"), "--layer"]);
    let manifest = archive.manifest();
    assert_eq!(
        manifest["layers"][0]["mediaType"],
        "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"
    );
    assert!(archive.blob(&manifest["layers"][0]).starts_with(b"\0asm\x01\0\0\0"));
    assert_eq!(archive.config()["rootfs"]["diff_ids"], serde_json::json!([]));
    assert_eq!(
        (&archive.config()["os"], &archive.config()["architecture"]),
        (&"wasip1".into(), &"wasm".into())
    );
    assert!(!archive.0.contains_key("manifest.json"), "Docker's own store cannot hold it");
}

#[test]
fn files_beside_a_module_layer_come_first_and_alone_are_unpacked() {
    let workshop = Workshop::new();
    let add = format!("{}:/etc/data", workshop.file("data", b"12345", 0o640));
    let archive = workshop.pack(&[
        &workshop.path("app.wat"),
        "--layer",
        "--media-type",
        "application/wasm",
        "--add",
        &add,
    ]);
    assert_eq!(archive.layer(0), [("etc/".to_owned(), 0o755, 0), ("etc/data".to_owned(), 0o640, 5)]);
    assert_eq!(archive.manifest()["layers"][1]["mediaType"], "application/wasm");
    assert_eq!(archive.config()["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn an_artifact_says_what_its_layer_is_and_nothing_else() {
    let workshop = Workshop::new();
    let archive = workshop.pack(&[&workshop.path("app.wat"), "--artifact"]);
    let manifest = archive.manifest();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(archive.config()["layerDigests"][0], manifest["layers"][0]["digest"]);
    let refusal = workshop.refusal(&[&workshop.path("app.wat"), "--artifact", "--env", "A=b"]);
    assert!(refusal.contains("--layer or --classic"), "{refusal}");
}

#[test]
fn a_native_image_keeps_modes_links_and_directories() {
    let workshop = Workshop::new();
    let shell = workshop.file("busybox", b"\x7fELF", 0o4755);
    fs::create_dir(workshop.path("tree")).unwrap();
    std::os::unix::fs::symlink("busybox", workshop.path("tree/ls")).unwrap();
    let archive = workshop.pack(&[
        "--entrypoint",
        "/bin/sh",
        "--add",
        &format!("{shell}:/bin/sh"),
        "--add",
        &format!("{}:/bin", workshop.path("tree")),
    ]);
    let expected = [("bin/", 0o755, 0), ("bin/ls", 0o777, 0), ("bin/sh", 0o4755, 4)];
    assert_eq!(archive.layer(0), expected.map(|(path, mode, size)| (path.to_owned(), mode, size)));
    assert_eq!(archive.config()["config"]["Entrypoint"][0], "/bin/sh");
}

#[test]
fn an_entrypoint_says_where_the_module_lies_and_what_is_called() {
    let workshop = Workshop::new();
    let library = workshop.file("lib.wat", br#"(module (func (export "run")))"#, 0o644);
    let archive = workshop.pack(&[&library, "--entrypoint", "/opt/lib.wasm#run", "--entrypoint", "-v"]);
    assert_eq!(archive.config()["config"]["Entrypoint"], serde_json::json!(["/opt/lib.wasm#run", "-v"]));
    assert_eq!(archive.layer(0)[1].0, "opt/lib.wasm");
    assert!(workshop.refusal(&[&library]).contains("no _start function"));
}

#[test]
fn the_same_input_makes_the_same_archive() {
    let workshop = Workshop::new();
    for form in ["--classic", "--layer", "--artifact"] {
        let args = [&workshop.path("app.wat"), form, "-t", "second"];
        let first = workshop.pack(&args).0;
        assert_eq!(first, workshop.pack(&args).0);
    }
}

#[test]
fn several_names_mean_one_image() {
    let workshop = Workshop::new();
    let archive = workshop.pack(&[&workshop.path("app.wat"), "-t", "registry.example/hello:2"]);
    let index = archive.json("index.json");
    assert_eq!(index["manifests"][0]["digest"], index["manifests"][1]["digest"]);
    assert_eq!(archive.json("manifest.json")[0]["RepoTags"][1], "registry.example/hello:2");
}

#[test]
fn what_cannot_run_is_not_packed_unless_told_to() {
    let workshop = Workshop::new();
    let elf = workshop.file("app.wasm", b"\x7fELF\x02\x01", 0o755);
    let refusal = workshop.refusal(&[&elf]);
    assert!(refusal.contains("app.wasm: not a WebAssembly module"), "{refusal}");
    assert_eq!(workshop.pack(&[&elf, "--no-check"]).layer(0)[0].2, 6);
    let component = workshop.file("component.wasm", b"\0asm\x0d\0\x01\0", 0o644);
    assert!(workshop.refusal(&[&component, "--layer"]).contains("components are not supported"));
}

#[test]
fn nothing_to_pack_is_said_in_time() {
    let workshop = Workshop::new();
    assert!(workshop.refusal(&[]).contains("name a module"));
    assert!(workshop.refusal(&["--layer"]).contains("need a module"));
    assert!(workshop.refusal(&["--layer", "--artifact"]).contains("cannot be used with"));
    assert!(workshop.refusal(&["/no/such.wasm"]).contains("/no/such.wasm: No such file"));
    let both = format!("{}:/app.wasm/file", workshop.path("app.wat"));
    assert!(
        workshop.refusal(&[&workshop.path("app.wat"), "--add", &both]).contains("as well as a directory")
    );
    assert!(!fs::exists(workshop.path("image.tar")).unwrap(), "a refusal leaves no archive");
}
