//! A description: the file beside an artifact that says what it is.

use serde::{Deserialize, Serialize};

use crate::{Digest, Key};

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Its key: what lies under another one is not what was made for that.
    pub key: Key,
    /// The module that it was made from.
    pub module: Digest,
    /// Its own size in bytes.
    pub size: u64,
    /// Its own digest.
    pub artifact: Digest,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// How long that took, in milliseconds.
    pub took: u64,
    /// What its first user called the module. Only for people: nothing is ever looked up by it.
    pub source: String,
    /// The compiler, see [`Ingredients`](crate::Ingredients).
    pub engine: String,
}
