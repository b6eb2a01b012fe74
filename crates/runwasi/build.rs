//! The build script: how the peer is linked against WasmEdge. As with the engine, WasmEdge's own libraries are found
//! when it runs, not when it is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,--allow-shlib-undefined");
}
