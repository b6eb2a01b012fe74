//! An event is something that happened to a process, or with it to its container, and containerd's message for it.

use std::path::Path;

use anyhow::{Context, Result};
use containerd_shim_protos::events::task;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageField, MessageFull};
use containerd_shim_protos::topics;

use super::stdio::Streams;
use crate::remains::Exit;

/// Something that happened to a process, or with it to its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Created { pid: u32 },
    ExecAdded,
    Started { pid: u32 },
    Paused,
    Resumed,
    OutOfMemory,
    Exited { pid: u32, exit: Exit },
    Deleted { pid: u32, exit: Exit },
}

/// Whose event it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) container: &'a str,
    /// The container's bundle.
    pub(super) bundle: &'a Path,
    /// `None` for the first process of the container.
    pub(super) exec: Option<&'a str>,
    /// The process's.
    pub(super) streams: &'a Streams,
}

impl Event {
    /// Its topic and message.
    pub(super) fn encode(self, of: Subject<'_>) -> Result<(&'static str, Any)> {
        let container_id = of.container.to_owned();
        let exec_id = of.exec.map(str::to_owned);
        Ok(match self {
            Self::Created { pid } => {
                let io = task::TaskIO {
                    stdin: of.streams.stdin.clone(),
                    stdout: of.streams.stdout.clone(),
                    stderr: of.streams.stderr.clone(),
                    terminal: of.streams.terminal,
                    ..Default::default()
                };
                let bundle = of.bundle.to_string_lossy().into_owned();
                let io = MessageField::some(io);
                let message = task::TaskCreate { container_id, bundle, io, pid, ..Default::default() };
                (topics::TASK_CREATE_EVENT_TOPIC, any(&message)?)
            }
            Self::ExecAdded => {
                let exec_id = exec_id.unwrap_or_default();
                let message = task::TaskExecAdded { container_id, exec_id, ..Default::default() };
                (topics::TASK_EXEC_ADDED_EVENT_TOPIC, any(&message)?)
            }
            Self::Started { pid } => match exec_id {
                None => {
                    let message = task::TaskStart { container_id, pid, ..Default::default() };
                    (topics::TASK_START_EVENT_TOPIC, any(&message)?)
                }
                Some(exec_id) => {
                    let message = task::TaskExecStarted { container_id, exec_id, pid, ..Default::default() };
                    (topics::TASK_EXEC_STARTED_EVENT_TOPIC, any(&message)?)
                }
            },
            Self::Paused => {
                let message = task::TaskPaused { container_id, ..Default::default() };
                (topics::TASK_PAUSED_EVENT_TOPIC, any(&message)?)
            }
            Self::Resumed => {
                let message = task::TaskResumed { container_id, ..Default::default() };
                (topics::TASK_RESUMED_EVENT_TOPIC, any(&message)?)
            }
            Self::OutOfMemory => {
                let message = task::TaskOOM { container_id, ..Default::default() };
                (topics::TASK_OOM_EVENT_TOPIC, any(&message)?)
            }
            Self::Exited { pid, exit } => {
                let id = exec_id.unwrap_or_else(|| container_id.clone());
                let (exit_status, exited_at) = (exit.status, MessageField::some(exit.at.into()));
                let message =
                    task::TaskExit { container_id, id, pid, exit_status, exited_at, ..Default::default() };
                (topics::TASK_EXIT_EVENT_TOPIC, any(&message)?)
            }
            Self::Deleted { pid, exit } => {
                let (exit_status, exited_at) = (exit.status, MessageField::some(exit.at.into()));
                let message =
                    task::TaskDelete { container_id, pid, exit_status, exited_at, ..Default::default() };
                (topics::TASK_DELETE_EVENT_TOPIC, any(&message)?)
            }
        })
    }
}

/// With the bare name that containerd's registry of types wants.
pub(super) fn any<M: MessageFull>(message: &M) -> Result<Any> {
    let type_url = M::descriptor().full_name().to_owned();
    let value = message.write_to_bytes().with_context(|| format!("encoding a {type_url}"))?;
    Ok(Any { type_url, value, ..Default::default() })
}
