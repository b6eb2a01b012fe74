//! A key: the digest of everything that an artifact depends on. Whatever changes, the key is another.

use std::fmt::{self, Write};
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// What an artifact is made from.
#[derive(Debug, Clone, Copy)]
pub struct Ingredients<'a> {
    /// The module's bytes.
    pub module: Digest,
    /// The compiler: whatever tells it from another, or from another build of itself.
    pub engine: &'a str,
    /// What the processor can do, see [`cpu_features`](crate::cpu_features).
    pub features: &'a str,
    /// How it is compiled.
    pub options: &'a str,
}

/// The name of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Key(Digest);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 of 64 hexadecimal digits")]
pub struct NotADigest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of everything that is still to be read.
    ///
    /// # Errors
    /// When reading fails.
    pub fn of_rest(source: &mut impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        io::copy(source, &mut hash)?;
        Ok(Self(hash.finalize().into()))
    }
}

impl Key {
    /// The key of what is made from these.
    pub fn of(ingredients: &Ingredients<'_>) -> Self {
        let mut hash = Sha256::new();
        hash.update(ingredients.module.0);
        for part in [ingredients.engine, ingredients.features, ingredients.options] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(Digest(hash.finalize().into()))
    }

    pub(crate) fn file(&self, ending: &str) -> String {
        format!("{self}.{ending}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    /// With `sha256:` before it, as in an image's manifest, or without.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let wrong = || NotADigest(text.chars().take(100).collect());
        let digits = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
            let nibble = |digit: u8| match digit {
                b'0'..=b'9' => Ok(digit - b'0'),
                b'a'..=b'f' => Ok(digit - b'a' + 10),
                _ => Err(wrong()),
            };
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(digest))
    }
}

impl FromStr for Key {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        text.parse().map(Self)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::from("sha256:");
        let _ = write!(text, "{self}");
        to.serialize_str(&text)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_in_makes_another_key() {
        let plain = Ingredients { module: Digest::of(b"m"), engine: "e", features: "f", options: "o" };
        let others = [
            Ingredients { module: Digest::of(b"n"), ..plain },
            Ingredients { engine: "e2", ..plain },
            Ingredients { features: "", options: "fo", ..plain },
            Ingredients { engine: "ef", features: "", ..plain },
        ];
        for other in &others {
            assert_ne!(Key::of(other), Key::of(&plain));
        }
        assert_eq!(Key::of(&plain), Key::of(&plain));
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of(b"abc");
        assert!(digest.to_string().starts_with("ba7816bf"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(format!("sha256:{digest}").parse(), Ok(digest));
        for wrong in ["", "sha256:", "xy", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
