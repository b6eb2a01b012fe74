//! A call of the task API: one request and its answer, or its refusal.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::ttrpc::{self, Client, Code, Request};

use crate::here;

/// A version of the task API; the messages are the same, the service's name is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// containerd before 2.0.
    V2,
    /// containerd 2.
    V3,
}

impl ApiVersion {
    fn service(self) -> &'static str {
        match self {
            Self::V2 => "containerd.task.v2.Task",
            Self::V3 => "containerd.task.v3.Task",
        }
    }
}

/// A call that the shim answered with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its gRPC code.
    pub code: Code,
    /// Its text.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

/// A connection to a daemon.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    api: ApiVersion,
}

impl Connection {
    pub(super) fn to(socket: &Path, api: ApiVersion) -> Self {
        let client = Client::connect(&format!("unix://{}", socket.display()))
            .unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        Self { client, api }
    }

    /// Panics if there is no answer at all within the deadline.
    #[track_caller]
    pub(super) fn call<Q: Message, A: Message>(
        &self,
        method: &str,
        request: &Q,
        deadline: Duration,
    ) -> Result<A, Refusal> {
        let request = Request {
            service: self.api.service().to_owned(),
            method: method.to_owned(),
            timeout_nano: here(deadline).as_nanos() as i64,
            payload: request.write_to_bytes().unwrap(),
            ..Default::default()
        };
        match self.client.request(request) {
            Ok(response) => Ok(A::parse_from_bytes(&response.payload).unwrap()),
            Err(ttrpc::Error::RpcStatus(status)) => {
                Err(Refusal { code: status.code(), message: status.message })
            }
            Err(error) => panic!("{method}: no answer: {error}"),
        }
    }
}
