//! The build script: how the engine is linked against WasmEdge.
//!
//! WasmEdge's own libraries (LLVM, libstdc++, a newer C library) are not among what the linker sees; they
//! are found when the engine runs, by the loader that is installed beside it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=WASMEDGE_DIR");
    println!("cargo:rerun-if-env-changed=WASMEDGE_LIB_DIR");
    println!("cargo:rustc-link-arg=-Wl,--allow-shlib-undefined");
    // WasmEdge shall use these of ours: each stands in the file beside it, below src.
    let replaced = [
        ("_Unwind_Backtrace", "calling_stack.rs"),
        ("_Znwm", "stack_limit.rs"),
        ("close", "poll/interest.rs"),
        ("epoll_ctl", "poll/interest.rs"),
        ("epoll_wait", "poll/restart.rs"),
        ("faccessat", "search.rs"),
        ("fcntl", "poll/short_read.rs"),
        ("getsockopt", "poll/size.rs"),
        ("ioctl", "poll/size.rs"),
        ("open", "opening.rs"),
        ("openat", "opening.rs"),
        ("readv", "poll/short_read.rs"),
        ("sendmsg", "poll/needless.rs"),
        ("sigaction", "native_stack.rs"),
        ("writev", "poll/needless.rs"),
    ];
    for (symbol, _file) in replaced {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }

    // An installed WasmEdge is used where it is.
    if std::env::var_os("WASMEDGE_DIR").is_some()
        && let Ok(libraries) = std::env::var("WASMEDGE_LIB_DIR")
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    }
}
