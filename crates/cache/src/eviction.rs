//! Eviction: what keeps the cache within its size.

use crate::draft::is_abandoned;
use crate::removal::remove;
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

/// What a [`Cache::prune`] did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What was removed.
    pub evicted: Vec<Evicted>,
    /// What should have been, and could not.
    pub stuck: Vec<(Key, CacheError)>,
}

impl Cache {
    /// Removes entries, least recently used first, until the artifacts have no more than `limit` bytes, and what
    /// makers that died left behind. An artifact with more than that on its own goes first, and no other goes for it;
    /// `keep` stays, whatever its size.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn prune(&self, limit: u64, keep: Option<&Key>) -> Result<Pruned, CacheError> {
        self.remove_leftovers()?;
        let mut entries = self.list()?;
        entries.retain(|entry| Some(&entry.key) != keep || entry.size <= limit);
        entries.sort_by_key(|entry| (entry.size <= limit, entry.used));
        let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
        let mut pruned = Pruned::default();
        for Listed { key, size, .. } in entries {
            if total <= limit {
                break;
            }
            if Some(&key) != keep {
                match self.remove(&key) {
                    Ok(()) => {
                        total -= size;
                        pruned.evicted.push(Evicted { key, size });
                    }
                    Err(error) => pruned.stuck.push((key, error)),
                }
            }
        }
        Ok(pruned)
    }

    /// Removes drafts without a maker, and descriptions without an artifact.
    fn remove_leftovers(&self) -> Result<(), CacheError> {
        let names = self.names()?;
        let is_there = |name: String| names.contains(&name);
        let is_made = |key: &str| {
            let draft = format!("{key}.new");
            is_there(draft.clone()) && !is_abandoned(self.directory(), &draft)
        };
        for name in &names {
            let left = match name.split_once('.') {
                Some((key, "new" | "json.new")) => !is_made(key),
                // A maker renames the description before the artifact.
                Some((key, "json")) => !is_there(format!("{key}.so")) && !is_made(key),
                _ => false,
            };
            if left {
                let _ = remove(self.directory(), name);
            }
        }
        Ok(())
    }
}
