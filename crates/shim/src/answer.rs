//! An answer: what a verb says on standard output.

use std::io::Write;

use anyhow::{Context, Result};

/// Says it, all of it.
///
/// # Errors
/// When nobody can hear it.
pub(crate) fn say(answer: impl AsRef<[u8]>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(answer.as_ref()).and_then(|()| out.flush()).context("writing the answer")
}
