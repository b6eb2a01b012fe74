//! Traps: each kind that a test can ask for, in a function whose name it can look for.

use std::hint::black_box;

/// Ends the guest by a trap of that kind; returns if there is no such kind.
pub(crate) fn trap(kind: &str) {
    match kind {
        "unreachable" => trap_unreachable(),
        "memory" => trap_memory(),
        "stack" => {
            trap_stack(0);
        }
        "panic" => panic!("the guest panics"),
        _ => {}
    }
}

#[inline(never)]
fn trap_unreachable() {
    #[cfg(target_arch = "wasm32")]
    std::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

#[inline(never)]
fn trap_memory() {
    let address = black_box(0xffff_fff0_usize as *const u64);
    black_box(unsafe { address.read_volatile() });
}

#[inline(never)]
fn trap_stack(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if room[1] == u64::MAX { 0 } else { trap_stack(depth + 1) + room[0] }
}
