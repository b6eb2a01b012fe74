//! The loopback interface of a network namespace that was made for a container: brought up, as runc does it.
//!
//! libcontainer leaves it as the kernel makes it, which is down. Where the namespace is another's, it is theirs to do.

use std::fs::File;
use std::io::{self, Error};
use std::os::fd::AsRawFd;

use libcontainer::oci_spec::runtime::{LinuxNamespaceType, Spec};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Brings it up if the container has a network namespace of its own. This process is in that namespace from then on.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub(super) fn bring_up(pid: i32, spec: &Spec) -> io::Result<()> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let is_new = namespaces
        .into_iter()
        .flatten()
        .any(|namespace| namespace.typ() == LinuxNamespaceType::Network && namespace.path().is_none());
    if !is_new {
        return Ok(());
    }
    setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?;
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: a request is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is alive, its name NUL-terminated; netdevice(7).
    match unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}
