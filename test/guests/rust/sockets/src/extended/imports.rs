//! The imports: what WasmEdge adds to `wasi_snapshot_preview1`, with the memory layout it expects.
//! Every function returns a WASI errno.

use std::ffi::c_void;
use std::ptr::null_mut;

pub(crate) const IPV4: u32 = 1;
pub(crate) const DATAGRAM: u32 = 1;
pub(crate) const STREAM: u32 = 2;
pub(crate) const REUSE_ADDRESS: u32 = 0;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    pub(crate) fn sock_open(family: u32, kind: u32, fd: *mut i32) -> u32;
    pub(crate) fn sock_setsockopt(fd: i32, level: u32, name: u32, value: *const c_void, length: u32) -> u32;
    pub(crate) fn sock_bind(fd: i32, address: *mut Address, port: u32) -> u32;
    pub(crate) fn sock_listen(fd: i32, backlog: u32) -> u32;
    pub(crate) fn sock_connect(fd: i32, address: *mut Address, port: u32) -> u32;
    pub(crate) fn sock_recv_from(
        fd: i32,
        data: *mut Iovec,
        count: u32,
        address: *mut Address,
        flags: u32,
        port: *mut u32,
        received: *mut usize,
        flags_out: *mut u32,
    ) -> u32;
    pub(crate) fn sock_send_to(
        fd: i32,
        data: *mut Iovec,
        count: u32,
        address: *mut Address,
        port: u32,
        flags: u32,
        sent: *mut usize,
    ) -> u32;
    pub(crate) fn sock_getaddrinfo(
        node: *const u8,
        node_length: usize,
        service: *const u8,
        service_length: usize,
        hint: *const AddressInfo,
        results: *mut *mut AddressInfo,
        most: usize,
        found: *mut usize,
    ) -> u32;
}

/// An address: 4 bytes are IPv4, 16 IPv6, 128 the family in two bytes and then either.
#[repr(C)]
pub(crate) struct Address {
    pub(crate) bytes: *mut u8,
    pub(crate) length: usize,
}

impl Address {
    /// An IPv4 address to send to or to bind (only read).
    pub(crate) fn of(octets: &[u8; 4]) -> Self {
        Self { bytes: octets.as_ptr().cast_mut(), length: 4 }
    }
}

#[repr(C)]
pub(crate) struct Iovec {
    pub(crate) bytes: *mut u8,
    pub(crate) length: usize,
}

#[repr(C)]
pub(crate) struct SocketAddress {
    family: u8,
    length: u32,
    data: *mut u8,
}

impl SocketAddress {
    /// Room for one result in `data`.
    pub(crate) fn into_buffer(data: &mut [u8; 32]) -> Self {
        Self { family: 0, length: data.len() as u32, data: data.as_mut_ptr() }
    }
}

#[repr(C)]
pub(crate) struct AddressInfo {
    flags: u16,
    family: u8,
    kind: u8,
    protocol: u32,
    address_length: u32,
    pub(crate) address: *mut SocketAddress,
    pub(crate) name: *mut u8,
    name_length: u32,
    pub(crate) next: *mut AddressInfo,
}

impl AddressInfo {
    /// What is asked for: IPv4, stream.
    pub(crate) fn hint() -> Self {
        Self {
            flags: 0,
            family: IPV4 as u8,
            kind: STREAM as u8,
            protocol: 0,
            address_length: 0,
            address: null_mut(),
            name: null_mut(),
            name_length: 0,
            next: null_mut(),
        }
    }
}
