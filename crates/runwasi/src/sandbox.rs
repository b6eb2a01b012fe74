//! The sandbox: how runwasi's executor, in the container's process, has a module run by WasmEdge.
//!
//! By the SDK's `Vm` and with WasmEdge's interpreter, which is what a shim on runwasi gets without work of its own.

use std::collections::HashMap;

use anyhow::{Context, Result};
use containerd_shim_wasm::sandbox::Sandbox;
use containerd_shim_wasm::sandbox::context::{Entrypoint, RuntimeContext};
use wasmedge_sdk::vm::SyncInst;
use wasmedge_sdk::wasi::WasiModule;
use wasmedge_sdk::{Module, Store, Vm};

/// WasmEdge, as it is set up by default.
#[derive(Clone, Default)]
pub struct WasmEdge;

impl Sandbox for WasmEdge {
    async fn run_wasi(&self, ctx: &impl RuntimeContext) -> Result<i32> {
        let Entrypoint { source, func, .. } = ctx.entrypoint();
        let mut wasi = WasiModule::create(Some(strs(ctx.args())), Some(strs(ctx.envs())), Some(vec!["/:/"]))?;
        let bytes = source.as_bytes().context("reading the module")?;
        let module = Module::from_bytes(None, bytes).context("loading the module")?;
        let mut imports: HashMap<String, &mut dyn SyncInst> = HashMap::new();
        imports.insert(wasi.name().to_owned(), wasi.as_mut());
        let mut vm = Vm::new(Store::new(None, imports)?);
        vm.register_module(None, module).context("instantiating the module")?;
        vm.run_func(None, &func, []).with_context(|| format!("calling {func}"))?;
        drop(vm);
        Ok(wasi.exit_code() as i32)
    }
}

fn strs(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}
