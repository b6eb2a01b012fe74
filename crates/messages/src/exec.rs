//! An exec request: one more process for a container that runs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Native;

/// The name of the file in [`Exec::dir`] that says what to run.
pub const PROCESS_FILE: &str = "process.json";

/// One process to make in a container. It is started as soon as it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The container's id.
    pub id: String,
    /// The container's bundle, absolute.
    pub bundle: PathBuf,
    /// libcontainer's root: the container's state is in `<state>/<id>/`.
    pub state: PathBuf,
    /// A directory for this exec alone, which the daemon removes afterwards. Its file [`PROCESS_FILE`] holds the
    /// process, as `process` of a `config.json` does (runtime-spec, config.md).
    pub dir: PathBuf,
    /// Digest of the image layer that is the module, when the process is to run that.
    pub layer: Option<String>,
    /// The native code of the module, if there is any.
    pub native: Option<Native>,
    /// The largest module that is loaded, in bytes.
    pub module_size_limit: u64,
    /// As [`Create::console`](crate::Create::console).
    pub console: Option<PathBuf>,
}
