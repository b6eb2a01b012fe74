//! A request for directories that show other users than they have.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Directories to clone, and their users. Each is answered by a [`crate::Reply::Tree`] with its descriptor, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapUsers {
    /// The directories, absolute.
    pub directories: Vec<PathBuf>,
    /// Whom to show instead of whom.
    pub users: Users,
}

/// A mapping of users and groups, as a user namespace has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Users {
    /// Of users.
    pub uids: Vec<IdMapping>,
    /// Of groups.
    pub gids: Vec<IdMapping>,
}

/// A range of numbers, in the container and on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMapping {
    /// The first one in the container.
    pub container: u32,
    /// The first one on the host.
    pub host: u32,
    /// How many they are.
    pub size: u32,
}

impl IdMapping {
    /// As the kernel takes it (user_namespaces(7)), without the end of the line.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.container, self.host, self.size)
    }
}
