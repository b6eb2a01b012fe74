//! Known capabilities: those of a configuration that this version has heard of. As under runc, others are left out with a
//! warning; the parser of the configuration would refuse them, without saying which field they are in.

use oci_spec::runtime::Capability;
use serde_json::Value;

/// A configuration without the names that nobody knows, and these.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) json: Vec<u8>,
    pub(crate) dropped: Vec<String>,
}

/// What is left of a `config.json`, or of an exec's process, if anything had to be left out.
pub(crate) fn only(json: &[u8]) -> Option<Known> {
    let mut document: Value = serde_json::from_slice(json).ok()?;
    let process = match document.get("process") {
        Some(_) => document.get_mut("process")?,
        None => &mut document,
    };
    let sets = process.get_mut("capabilities")?.as_object_mut()?;
    let mut dropped = Vec::new();
    for names in sets.values_mut().filter_map(Value::as_array_mut) {
        names.retain(|name| {
            let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if !known {
                dropped.push(name.as_str().map_or_else(|| name.to_string(), str::to_owned));
            }
            known
        });
    }
    dropped.sort();
    dropped.dedup();
    let json = serde_json::to_vec(&document).ok().filter(|_| !dropped.is_empty())?;
    Some(Known { json, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_left_out_and_named() {
        let json =
            br#"{"process":{"capabilities":{"bounding":["CAP_KILL","CAP_FOO"],"permitted":["CAP_FOO"]}}}"#;
        let known = only(json).unwrap();
        assert_eq!(known.dropped, ["CAP_FOO"]);
        let left: Value = serde_json::from_slice(&known.json).unwrap();
        assert_eq!(left["process"]["capabilities"]["bounding"], serde_json::json!(["CAP_KILL"]));
        assert!(only(br#"{"capabilities":{"bounding":["CAP_FOO"]}}"#).is_some(), "an exec's process");
    }

    #[test]
    fn what_is_known_stays_as_it_was_written() {
        assert!(only(br#"{"process":{"capabilities":{"bounding":["CAP_KILL"]}}}"#).is_none());
        assert!(only(b"{").is_none(), "that is said by whoever reads it");
    }
}
