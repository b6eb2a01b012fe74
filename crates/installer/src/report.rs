//! A report is how an end is told where people look: the pod's events and the container's termination message.
//! Standard error has it too, from `main`.

use std::fs;
use std::path::Path;

use crate::cluster::{Home, Severity};

/// Where the kubelet reads why a container has ended. It exists in every container.
const TERMINATION: &str = "/dev/termination-log";

/// Tells that all went well.
pub(crate) fn done(home: Option<&Home>, reason: &str, message: &str) {
    println!("wasmedge-node-installer: {message}");
    send(home, Severity::Normal, reason, message);
}

/// Tells why it did not.
pub(crate) fn failed(home: Option<&Home>, reason: &str, error: &anyhow::Error) {
    let message = in_one_line(error);
    if Path::new(TERMINATION).is_file()
        && let Err(error) = fs::write(TERMINATION, &message)
    {
        eprintln!("wasmedge-node-installer: the termination message was not written: {error}");
    }
    send(home, Severity::Warning, reason, &message);
}

/// An error with its causes, without the line breaks that some of them bring.
pub(crate) fn in_one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ").replace(" : ", ": ")
}

fn send(home: Option<&Home>, severity: Severity, reason: &str, message: &str) {
    let Some(home) = home else { return };
    if let Err(error) = home.tell(severity, reason, message) {
        eprintln!("wasmedge-node-installer: the event {reason} was not sent: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = anyhow::anyhow!("it is\nmissing\n: exit status 1").context("creating it");
        assert_eq!(in_one_line(&error), "creating it: it is missing: exit status 1");
    }
}
