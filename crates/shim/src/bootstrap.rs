//! The bootstrap is how a started shim tells containerd where to connect: a question on standard input and in the
//! environment, an answer on standard output.
//!
//! containerd 2.3 sends and expects protobuf (`runtime/bootstrap/v1`). Before that there were flags, runtime
//! options on standard input, and an answer in JSON; before 2.0 an answer above version 2 was an error.

use anyhow::{Context, Result, ensure};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::invocation::Invocation;

/// In which language containerd asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Protobuf, containerd 2.3 and later.
    Protobuf,
    /// Flags and JSON.
    Flags,
}

/// What containerd asked of `start`.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) dialect: Dialect,
    pub(crate) grpc_address: String,
    pub(crate) ttrpc_address: String,
    /// The runtime options, of whatever type.
    pub(crate) options: Option<Any>,
}

impl Question {
    /// Understands standard input, which is empty, protobuf parameters or runtime options.
    pub(crate) fn read(input: &[u8], invocation: &Invocation) -> Result<Self> {
        if let Some(params) = parameters(input, invocation)? {
            return Ok(Self {
                dialect: Dialect::Protobuf,
                grpc_address: params.containerd_grpc_address,
                ttrpc_address: params.containerd_ttrpc_address,
                options: params.extensions.into_iter().find_map(|extension| extension.value.into_option()),
            });
        }
        let options = match input {
            [] => None,
            _ => Some(Any::parse_from_bytes(input).context("reading the runtime options on standard input")?),
        };
        Ok(Self {
            dialect: Dialect::Flags,
            grpc_address: invocation.grpc_address.clone(),
            ttrpc_address: invocation.ttrpc_address.clone(),
            options,
        })
    }
}

/// Parameters and options can be mistaken for each other: an `Any`'s type and value are fields 1 and 2, as are the
/// parameters' id and namespace. Only parameters name the container of the command line.
fn parameters(input: &[u8], invocation: &Invocation) -> Result<Option<BootstrapParams>> {
    let Ok(params) = BootstrapParams::parse_from_bytes(input) else { return Ok(None) };
    if input.is_empty()
        || params.containerd_grpc_address.is_empty() && params.containerd_ttrpc_address.is_empty()
    {
        return Ok(None);
    }
    ensure!(
        params.instance_id == invocation.id && params.namespace == invocation.namespace,
        "standard input is about {}/{}, the flags are about {}/{}",
        params.namespace,
        params.instance_id,
        invocation.namespace,
        invocation.id,
    );
    Ok(Some(params))
}

/// The answer, in the language of the question; `api` is the task API's version (2 or 3).
pub(crate) fn answer(dialect: Dialect, api: i32, address: &str) -> Result<Vec<u8>> {
    match dialect {
        Dialect::Protobuf => BootstrapResult {
            version: api,
            address: address.to_owned(),
            protocol: "ttrpc".to_owned(),
            ..Default::default()
        }
        .write_to_bytes()
        .context("encoding the answer"),
        Dialect::Flags => serde_json::to_vec(
            &serde_json::json!({ "version": api, "address": address, "protocol": "ttrpc" }),
        )
        .context("encoding the answer"),
    }
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::bootstrap_api::Extension;

    use super::*;

    fn invocation() -> Invocation {
        Invocation {
            id: "c1".into(),
            namespace: "default".into(),
            grpc_address: "/flag".into(),
            ttrpc_address: "/env".into(),
            ..Default::default()
        }
    }

    fn options() -> Any {
        Any { type_url: "runtimeoptions.v1.Options".into(), value: vec![1, 2, 3], ..Default::default() }
    }

    #[test]
    fn an_empty_standard_input_is_an_old_containerd_without_options() {
        let question = Question::read(&[], &invocation()).unwrap();
        assert_eq!((question.dialect, question.grpc_address.as_str()), (Dialect::Flags, "/flag"));
        assert!(question.options.is_none());
    }

    #[test]
    fn runtime_options_are_not_mistaken_for_parameters() {
        let question = Question::read(&options().write_to_bytes().unwrap(), &invocation()).unwrap();
        assert_eq!((question.dialect, question.options), (Dialect::Flags, Some(options())));
    }

    #[test]
    fn parameters_bring_the_addresses_and_the_options() {
        let mut params = BootstrapParams {
            instance_id: "c1".into(),
            namespace: "default".into(),
            containerd_grpc_address: "/grpc".into(),
            containerd_ttrpc_address: "/ttrpc".into(),
            extensions: vec![Extension { value: Some(options()).into(), ..Default::default() }],
            ..Default::default()
        };
        let question = Question::read(&params.write_to_bytes().unwrap(), &invocation()).unwrap();
        assert_eq!((question.dialect, question.ttrpc_address.as_str()), (Dialect::Protobuf, "/ttrpc"));
        assert_eq!(question.options, Some(options()));

        params.instance_id = "another".into();
        assert!(Question::read(&params.write_to_bytes().unwrap(), &invocation()).is_err());
    }

    #[test]
    fn each_is_answered_in_its_own_language() {
        let json = answer(Dialect::Flags, 2, "unix:///s").unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&json).unwrap(),
            serde_json::json!({ "version": 2, "address": "unix:///s", "protocol": "ttrpc" })
        );
        let result =
            BootstrapResult::parse_from_bytes(&answer(Dialect::Protobuf, 3, "unix:///s").unwrap()).unwrap();
        assert_eq!(
            (result.version, result.address.as_str(), result.protocol.as_str()),
            (3, "unix:///s", "ttrpc")
        );
    }
}
