//! A translation: WasmEdge's compiler, called once.

use std::ffi::CString;
use std::ptr;

use wasmedge_sys::ffi;

use crate::diagnosis;
use crate::vm::{VmError, check};

/// Writes the native code of a binary module to a shared object at `path`.
///
/// # Errors
/// When WasmEdge does not take the module, or cannot write.
pub(super) fn translate(module: &[u8], path: &str) -> Result<(), VmError> {
    diagnosis::listen();
    let own = |what: &str| VmError::own(what.to_owned());
    let path = CString::new(path).map_err(|_| own("a path with a NUL"))?;
    let length = u32::try_from(module.len()).map_err(|_| own("a module of 4 GiB or more"))?;
    // SAFETY: the configuration is copied by what is made with it. The bytes are valid during the call, which does
    // not keep them; the path is NUL-terminated. Nothing is freed: the process ends.
    unsafe {
        let config = ffi::WasmEdge_ConfigureCreate();
        ffi::WasmEdge_ConfigureSetRunMode(config, ffi::WasmEdge_RunMode_AOT);
        ffi::WasmEdge_ConfigureCompilerSetOptimizationLevel(
            config,
            ffi::WasmEdge_CompilerOptimizationLevel_O3,
        );
        ffi::WasmEdge_ConfigureCompilerSetOutputFormat(config, ffi::WasmEdge_CompilerOutputFormat_Native);
        let compiler = ffi::WasmEdge_CompilerCreate(config);
        if ptr::eq(compiler, ptr::null()) {
            return Err(own("WasmEdge has no compiler"));
        }
        let bytes = ffi::WasmEdge_BytesWrap(module.as_ptr(), length);
        check(ffi::WasmEdge_CompilerCompileFromBytes(compiler, bytes, path.as_ptr()))
    }
}
