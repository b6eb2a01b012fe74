//! The engine: everything that links WasmEdge.
//!
//! `wasmedge-engine zygote` is what the shim daemon starts; `run` and `pack` are for people. A
//! container's process is forked from the zygote, confined by libcontainer ([`container`]), and then
//! is a [`guest`].

pub mod calling_stack;
pub mod compile;
pub mod container;
pub mod diagnosis;
mod ending;
pub mod guest;
pub mod module;
pub mod name_service;
pub mod native_stack;
mod opening;
pub mod pack;
pub mod parent;
mod poll;
mod replaced;
pub mod run;
mod search;
mod shown;
pub mod stack_limit;
pub mod title;
mod tree;
mod user_namespace;
pub mod vm;
pub mod zygote;
