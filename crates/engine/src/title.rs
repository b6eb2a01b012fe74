//! A process title: what `ps` and `docker top` show of a process.
//!
//! A container process is forked, not executed, so it would show the zygote's arguments. The kernel
//! lets a process move its own argument area (`PR_SET_MM_MAP`, no capability needed since Linux 3.18).
//! Where it does not, the title stays the zygote's.

use std::fs;
use std::sync::OnceLock;

/// `struct prctl_mm_map` of `linux/prctl.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

static MAP: OnceLock<Option<MemoryMap>> = OnceLock::new();

/// Learns this process's memory map while `/proc` is there; children forked later inherit it.
pub fn learn() {
    MAP.get_or_init(|| fs::read_to_string("/proc/self/stat").ok().and_then(|stat| parse(&stat)));
}

/// Shows `args` as this process's command line, and the first one's file name as its name.
pub fn set(args: &[String]) {
    let area: Vec<u8> = args.iter().flat_map(|arg| arg.bytes().chain([0])).collect();
    if let (Some(Some(map)), false) = (MAP.get(), area.is_empty()) {
        let area = Vec::leak(area);
        let start = area.as_ptr() as u64;
        // SAFETY: `sbrk(0)` only asks.
        let brk = unsafe { libc::sbrk(0) } as u64;
        let map = MemoryMap { arg_start: start, arg_end: start + area.len() as u64, brk, ..*map };
        // SAFETY: the map names this process's own areas; the argument area was leaked and stays valid.
        unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &map, size_of::<MemoryMap>(), 0) };
    }
    set_name(args);
}

/// The process's name alone (`comm`, 15 bytes), the first argument's file name.
pub fn set_name(args: &[String]) {
    let Some(name) = args.first().and_then(|arg| arg.rsplit('/').next()) else { return };
    let name: String = name.chars().filter(|c| *c != '\0').take(15).collect();
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

fn parse(stat: &str) -> Option<MemoryMap> {
    // proc_pid_stat(5) counts from 1; the second field may hold spaces, so count from its end.
    let fields: Vec<u64> =
        stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(MemoryMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk: field(47)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: 0,
        auxv_size: 0,
        exe_fd: u32::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_shows_the_title_it_was_given() {
        learn();
        set(&["/app.wasm".to_owned(), "two words".to_owned()]);
        assert_eq!(fs::read("/proc/self/cmdline").unwrap(), b"/app.wasm\0two words\0");
    }
}
