//! Shared layers: a module layer that containers use is in memory once, however many they are.
//!
//! Such a memory file belongs to no container's limit, so it must not be there for each of them. It is kept by those
//! who use it, and goes with the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Layer;
use crate::failure::Result;

/// The layers that somebody uses, by digest.
#[derive(Debug, Default)]
pub(super) struct SharedLayers(Mutex<HashMap<String, Arc<Slot>>>);

/// Where one layer is, or is put by whoever asks first.
type Slot = tokio::sync::Mutex<Weak<Layer>>;

impl SharedLayers {
    /// The layer with that digest, fetched if nobody has it. Those who ask meanwhile wait for the one who fetches.
    pub(super) async fn get(
        &self,
        digest: &str,
        fetch: impl Future<Output = Result<Layer>>,
    ) -> Result<Arc<Layer>> {
        let slot = self.slot(digest);
        let mut held = slot.lock().await;
        if let Some(layer) = held.upgrade() {
            return Ok(layer);
        }
        let layer = Arc::new(fetch.await?);
        *held = Arc::downgrade(&layer);
        Ok(layer)
    }

    fn slot(&self, digest: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody uses or waits for.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|layer| layer.strong_count() > 0)
        });
        slots.entry(digest.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use super::*;

    async fn fetched() -> Result<Layer> {
        let module = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        Ok(Layer { digest: "sha256:a".to_owned(), module })
    }

    async fn never() -> Result<Layer> {
        panic!("it is fetched once more")
    }

    #[tokio::test]
    async fn a_layer_is_fetched_once_as_long_as_somebody_uses_it() {
        let layers = SharedLayers::default();
        let (first, second) =
            tokio::join!(layers.get("sha256:a", fetched()), layers.get("sha256:a", never()));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.module.as_raw_fd(), second.module.as_raw_fd());
        drop(first);
        layers.get("sha256:a", never()).await.unwrap();
        drop(second);
        layers.get("sha256:b", fetched()).await.unwrap();
        assert_eq!(
            layers.0.lock().unwrap().keys().collect::<Vec<_>>(),
            ["sha256:b"],
            "what nobody uses is gone"
        );
        layers.get("sha256:a", fetched()).await.unwrap();
    }
}
