//! The name service: which of the C library's sources names are looked up in.
//!
//! The C library asks `/etc/nsswitch.conf`, which in a container is the image's, and loads the libraries that it
//! names. Here the sources are chosen before there is a container: the C library's own, which read `/etc/hosts`,
//! `/etc/resolv.conf`, `/etc/passwd` and their like.

use std::ffi::{CStr, c_char, c_int};

use anyhow::{Result, ensure};

/// Every database of `nsswitch.conf(5)` that the C library knows, with its sources.
const SOURCES: [(&CStr, &CStr); 14] = [
    (c"hosts", c"files dns"),
    (c"aliases", c"files"),
    (c"ethers", c"files"),
    (c"group", c"files"),
    (c"gshadow", c"files"),
    (c"initgroups", c"files"),
    (c"netgroup", c"files"),
    (c"networks", c"files"),
    (c"passwd", c"files"),
    (c"protocols", c"files"),
    (c"publickey", c"files"),
    (c"rpc", c"files"),
    (c"services", c"files"),
    (c"shadow", c"files"),
];

unsafe extern "C" {
    /// Declared in the C library's `nss.h`.
    fn __nss_configure_lookup(database: *const c_char, sources: *const c_char) -> c_int;
}

/// Settles all sources, for this process and those that it forks.
///
/// # Errors
/// When the C library does not take one.
pub fn settle() -> Result<()> {
    for (database, sources) in SOURCES {
        // SAFETY: both are NUL-terminated and live for ever.
        let refused = unsafe { __nss_configure_lookup(database.as_ptr(), sources.as_ptr()) };
        ensure!(
            refused == 0,
            "settling where {database:?} are looked up: {}",
            std::io::Error::last_os_error()
        );
    }
    Ok(())
}
