//! The build script: how the engine is linked against WasmEdge.
//!
//! WasmEdge's own libraries (LLVM, libstdc++, a newer C library) are not among what the linker sees; they
//! are found when the engine runs, by the loader that is installed beside it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WASMEDGE_DIR");
    println!("cargo:rerun-if-env-changed=WASMEDGE_LIB_DIR");
    println!("cargo:rustc-link-arg=-Wl,--allow-shlib-undefined");
    // WasmEdge shall use the `operator new` of src/stack_limit.rs, the `sigaction` of src/native_stack.rs and the
    // unwinder of src/calling_stack.rs.
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=_Unwind_Backtrace");
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=_Znwm");
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=sigaction");
    // And the `epoll_wait` of src/restart.rs, the `epoll_ctl` and `close` of src/interest.rs.
    // And what src/needless.rs takes note of.
    for symbol in ["close", "sendmsg", "writev"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=epoll_ctl");
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=epoll_wait");

    // An installed WasmEdge is used where it is.
    if std::env::var_os("WASMEDGE_DIR").is_some()
        && let Ok(libraries) = std::env::var("WASMEDGE_LIB_DIR")
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    }
}
