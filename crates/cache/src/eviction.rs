//! Eviction: what keeps the cache within its size.

use rustix::fs::AtFlags;

use crate::store::Listed;
use crate::{Cache, CacheError, Key};

/// An entry that was removed to make room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Its key.
    pub key: Key,
    /// The bytes of its artifact.
    pub size: u64,
}

impl Cache {
    /// Removes entries, least recently used first, until the artifacts have no more than `limit` bytes, and what
    /// makers that died left behind. `keep` stays, whatever its size.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub fn prune(&self, limit: u64, keep: Option<&Key>) -> Result<Vec<Evicted>, CacheError> {
        self.remove_leftovers()?;
        let mut entries = self.list()?;
        entries.sort_by_key(|entry| entry.used);
        let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
        let mut evicted = Vec::new();
        for Listed { key, size, .. } in entries {
            if total <= limit {
                break;
            }
            if Some(&key) != keep {
                self.remove(&key)?;
                total -= size;
                evicted.push(Evicted { key, size });
            }
        }
        Ok(evicted)
    }

    /// Removes drafts without a maker, and descriptions without an artifact.
    fn remove_leftovers(&self) -> Result<(), CacheError> {
        let names = self.names()?;
        for name in &names {
            let left = match name.split_once('.') {
                Some((_, "new")) => crate::draft::is_abandoned(self.directory(), name),
                Some((key, "json" | "json.new")) => {
                    let is_there = |ending| names.contains(&format!("{key}.{ending}"));
                    // A maker renames the description before the artifact.
                    !is_there("so") && !is_there("new")
                }
                _ => false,
            };
            if left {
                let _ = rustix::fs::unlinkat(self.directory(), name, AtFlags::empty());
            }
        }
        Ok(())
    }
}
