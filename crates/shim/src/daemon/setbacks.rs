//! Setbacks: modules that could not be compiled, and when to try again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wasmedge_cache::Key;

use crate::compiler::NoArtifact;

/// How long the first pause is; each further one is twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// All setbacks that this daemon remembers.
#[derive(Debug, Default)]
pub(super) struct Setbacks(HashMap<Key, Setback>);

#[derive(Debug)]
struct Setback {
    why: String,
    since: Instant,
    /// `None`: for good.
    pause: Option<Duration>,
}

impl Setbacks {
    /// Why it is no use to compile that now, if it is none.
    pub(super) fn against(&self, key: &Key, now: Instant) -> Option<String> {
        let setback = self.0.get(key)?;
        let Some(pause) = setback.pause else { return Some(setback.why.clone()) };
        let ago = now.saturating_duration_since(setback.since);
        let left = pause.checked_sub(ago).filter(|left| !left.is_zero())?;
        let (why, ago, left) = (&setback.why, ago.as_secs(), left.as_secs() + 1);
        Some(format!("{why} (tried {ago} s ago; it is tried again after {left} s)"))
    }

    /// Remembers how an attempt ended.
    pub(super) fn note(&mut self, key: Key, ended: &Result<(), NoArtifact>, now: Instant) {
        let setback = match ended {
            Ok(()) => {
                self.0.remove(&key);
                return;
            }
            Err(NoArtifact::Module(why)) => Setback { why: why.clone(), since: now, pause: None },
            Err(NoArtifact::Compiler(why)) => {
                let last = self.0.get(&key).and_then(|setback| setback.pause);
                let pause = last.map_or(FIRST, |last| (last * 2).min(LONGEST));
                Setback { why: why.clone(), since: now, pause: Some(pause) }
            }
        };
        self.0.insert(key, setback);
    }
}

#[cfg(test)]
mod tests {
    use wasmedge_cache::{Digest, Ingredients};

    use super::*;

    #[test]
    fn what_is_not_the_modules_fault_is_tried_again_after_longer_and_longer_pauses() {
        let module = Digest::of(b"m");
        let key = Key::of(&Ingredients { module, engine: "", features: "", options: "" });
        let (mut setbacks, mut now) = (Setbacks::default(), Instant::now());
        let full = Err(NoArtifact::Compiler("the disk is full".to_owned()));
        assert_eq!(setbacks.against(&key, now), None);
        for pause in [60, 120, 240] {
            setbacks.note(key, &full, now);
            let why = setbacks.against(&key, now + Duration::from_secs(pause - 1)).unwrap();
            assert!(why.starts_with("the disk is full (tried "), "{why}");
            now += Duration::from_secs(pause);
            assert_eq!(setbacks.against(&key, now), None);
        }
        setbacks.note(key, &Ok(()), now);
        setbacks.note(key, &full, now);
        assert_eq!(setbacks.against(&key, now + FIRST), None, "a success ends the row");
    }

    #[test]
    fn a_module_that_is_not_for_the_compiler_is_not_tried_again() {
        let module = Digest::of(b"m");
        let key = Key::of(&Ingredients { module, engine: "", features: "", options: "" });
        let (mut setbacks, now) = (Setbacks::default(), Instant::now());
        setbacks.note(key, &Err(NoArtifact::Module("64 bits".to_owned())), now);
        assert_eq!(setbacks.against(&key, now + LONGEST * 100).as_deref(), Some("64 bits"));
    }
}
