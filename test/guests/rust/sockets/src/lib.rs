//! Sockets, under the same names for a module, where WasmEdge's extensions make them, and for a native program.

#[cfg(target_os = "wasi")]
mod extended;
#[cfg(not(target_os = "wasi"))]
mod native;

#[cfg(target_os = "wasi")]
pub use extended::{UdpSocket, connect, listen, resolve};
#[cfg(not(target_os = "wasi"))]
pub use native::{UdpSocket, connect, listen, resolve};
