//! Images: what `wasmedge-engine pack` makes, containerd takes and the shim finds the module in.

use std::collections::BTreeSet;
use std::fs;

use wasmedge_shim_tests::{Containerd, DEADLINE, Image, OddImage, WASM_LAYER, guests};

const PLATFORM: &[&str] = &["--platform", "wasip1/wasm"];

#[test]
fn a_classic_image_runs() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::HELLO));
    containerd.container(&image).run().success().printing("hello from wasm\n");
}

#[test]
fn an_image_whose_layer_is_the_module_runs_in_every_media_type() {
    let containerd = Containerd::start();
    for (number, kind) in
        [WASM_LAYER, "application/wasm", "application/vnd.wasm.content.layer.v1+wasm"].iter().enumerate()
    {
        let image = Image::layer(guests::HELLO).named(&format!("layer{number}")).option("--media-type", kind);
        let image = containerd.import(&image);
        containerd.container(&image).flags(PLATFORM).run().success().printing("hello from wasm\n");
    }
}

#[test]
fn a_layer_image_has_arguments_and_traps_as_any_other() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::layer(guests::PROBE));
    let run = |words: &[&str]| containerd.container(&image).flags(PLATFORM).args(words).run();
    run(&["say", "two words"]).success().printing("two words\n");
    run(&["exit", "3"]).with_code(3);
    run(&["trap", "unreachable"]).with_code(134).complaining(&["trap: unreachable", "trap_unreachable"]);
}

#[test]
fn containers_of_one_layer_share_one_copy_of_the_module() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::layer(guests::PROBE));
    let sleeper = |_| containerd.container(&image).flags(PLATFORM).args(&["sleep"]).attached();
    let sleepers: Vec<_> = (0..3).map(sleeper).collect();
    let mut copies = BTreeSet::new();
    for sleeper in &sleepers {
        sleeper.stdout().wait_for("sleeping", DEADLINE);
        let maps = containerd.cell().outside(format!("/proc/{}/maps", sleeper.pid()));
        let maps = fs::read_to_string(maps).unwrap();
        let module = maps.lines().find(|line| line.contains("/memfd:module")).expect("the module is mapped");
        copies.insert(module.split_whitespace().nth(4).unwrap().to_owned());
    }
    assert_eq!(copies.len(), 1, "files of the modules: {copies:?}");
    for sleeper in sleepers {
        sleeper.kill("SIGKILL");
        assert_eq!(sleeper.wait(), 137);
    }
}

#[test]
fn an_artifact_is_imported_but_ctr_cannot_run_it() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::classic(guests::HELLO).flag("--artifact"));
    let refused = containerd.container(&image).flags(PLATFORM).command_line(&["/app.wasm"]).run();
    assert_ne!(refused.code(), 0, "the README can be glad and say so: {refused}");
}

#[test]
fn a_layer_image_without_a_module_layer_is_told_what_it_has() {
    let containerd = Containerd::start();
    let name = "docker.io/library/none:1";
    let image = OddImage::new().layer("application/vnd.example.text", b"nothing");
    containerd.import_archive(&image.pack(containerd.cell().directory(), name));
    let failed = containerd.container(name).flags(PLATFORM).run();
    let words = ["/app.wasm: no such file or directory", "no layer", "it has application/vnd.example.text"];
    failed.with_code(1).complaining(&words);
}

#[test]
fn a_layer_image_with_two_module_layers_is_refused() {
    let containerd = Containerd::start();
    let name = "docker.io/library/two:1";
    let [hello, probe] = [guests::HELLO, guests::PROBE].map(|guest| guest.bytes().unwrap());
    let image = OddImage::new().layer(WASM_LAYER, &hello).layer(WASM_LAYER, &probe);
    containerd.import_archive(&image.pack(containerd.cell().directory(), name));
    containerd.container(name).flags(PLATFORM).run().with_code(1).complaining(&["2 layers", "module"]);
}

#[test]
fn a_blob_that_is_missing_from_the_content_store_is_named() {
    let containerd = Containerd::start();
    let image = containerd.import(&Image::layer(guests::HELLO));
    let module = guests::HELLO.path().display().to_string();
    let hash = containerd.cell().run(&["sha256sum", &module]).success().stdout;
    let digest = format!("sha256:{}", hash.split(' ').next().unwrap());
    containerd.ctr(&["content", "rm", &digest]).success();
    containerd.container(&image).flags(PLATFORM).run().with_code(1).complaining(&[&digest]);
}

#[test]
fn a_layer_that_is_an_elf_file_is_refused_and_never_loaded() {
    let containerd = Containerd::start();
    let name = "docker.io/library/elf:1";
    let image = OddImage::new().layer(WASM_LAYER, &guests::ELF.bytes().unwrap());
    containerd.import_archive(&image.pack(containerd.cell().directory(), name));
    let failed = containerd.container(name).flags(PLATFORM).run().with_code(1);
    failed.complaining(&["not a WebAssembly module", "ELF"]).printing("");
}

#[test]
fn a_module_as_text_runs() {
    let containerd = Containerd::start();
    let image = Image::of_files("text", "/app.wat").add(&guests::TEXT.path(), "/app.wat");
    let image = containerd.import(&image);
    containerd.container(&image).run().success().printing("hello from text\n");
}

#[test]
fn an_entrypoint_can_name_an_export() {
    let containerd = Containerd::start();
    let image = Image::of_files("greet", "/lib.wasm#greet").add(&guests::EXPORTS.path(), "/lib.wasm");
    let image = containerd.import(&image);
    containerd.container(&image).run().success().printing("greet\n");
}

#[test]
fn the_same_input_packs_to_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let place = directory.path().join(name);
        fs::create_dir(&place).unwrap();
        fs::read(Image::classic(guests::HELLO).pack(&place)).unwrap()
    });
    assert!(one == two);
}
