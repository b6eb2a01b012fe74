//! A reference: the name of an image, in the full form in which containerd keeps it.

use std::fmt;
use std::str::FromStr;

/// The registry and the namespace that Docker means when a name has none.
const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// The longest name without its tag, and the longest tag (distribution's reference grammar).
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// `domain/path:tag`, all parts present. Displays as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    name: String,
    tag: String,
}

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ReferenceError(&'static str);

impl Reference {
    /// The tag alone.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Completes a name as Docker does: `hello` is `docker.io/library/hello:latest`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            return Err(ReferenceError("a digest cannot be chosen, only a name and a tag"));
        }
        let (rest, tag) = match text.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, tag),
            _ => (text, DEFAULT_TAG),
        };
        let (domain, path) = match rest.split_once('/') {
            Some((first, path)) if is_domain(first) => (first, path),
            _ => (DEFAULT_DOMAIN, rest),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        let namespace = if domain == DEFAULT_DOMAIN && !path.contains('/') { DEFAULT_NAMESPACE } else { "" };
        let name = format!("{domain}/{namespace}{path}");
        if !path.split('/').all(is_component) || name.len() > LONGEST_NAME {
            return Err(ReferenceError(
                "an image name consists of lower-case letters and digits, separated by one of . _ - /",
            ));
        }
        if !is_tag(tag) {
            return Err(ReferenceError("a tag consists of letters, digits, and _ . - after the first"));
        }
        Ok(Self { name, tag: tag.to_owned() })
    }
}

fn is_domain(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':']) || text.contains(|c: char| c.is_ascii_uppercase())
}

/// Runs of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators_fit = text
        .split(alphanumeric)
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'));
    separators_fit && text.starts_with(alphanumeric) && text.ends_with(alphanumeric)
}

fn is_tag(text: &str) -> bool {
    text.len() <= LONGEST_TAG
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed_as_docker_does() {
        for (short, full) in [
            ("hello", "docker.io/library/hello:latest"),
            ("hello:1", "docker.io/library/hello:1"),
            ("me/hello:1", "docker.io/me/hello:1"),
            ("docker.io/hello", "docker.io/library/hello:latest"),
            ("localhost/hello", "localhost/hello:latest"),
            ("localhost:5000/a/b:v1.0", "localhost:5000/a/b:v1.0"),
            ("registry.example/a__b-c--d", "registry.example/a__b-c--d:latest"),
        ] {
            assert_eq!(short.parse::<Reference>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn what_no_registry_takes_is_refused() {
        for bad in
            ["", ":1", "Hello", "a//b", "a/", "-a", "a..b", "a:", "a:-", "a:b/c:", "a@sha256:00", "a b"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }
}
