//! `wasmedge-engine ps`: a person's look at the guests of a node, and at how each is run.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wasmedge_messages::Mode;

use crate::answer::say;
use crate::rendezvous::Rendezvous;

const HELP: &str = "\
List the Wasm processes of this node's containers, and how each is run

Usage: wasmedge-engine ps [--json]
";

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One process that runs a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guest {
    /// The containerd namespace.
    pub(crate) namespace: String,
    pub(crate) container: String,
    /// `None` for the container's first process.
    pub(crate) exec: Option<String>,
    /// As the daemon's pid namespace numbers it.
    pub(crate) pid: u32,
    pub(crate) mode: Mode,
}

/// Does what the words after `ps` say. Fails with a message for the person who wrote them.
pub fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let as_json = match words[..] {
        ["--help" | "-h"] => return say(HELP),
        [] => false,
        ["--json"] => true,
        _ => bail!("ps {}: no such flag; see wasmedge-engine ps --help", words.join(" ")),
    };
    let (guests, silent) = guests()?;
    say(match as_json {
        true => format!("{:#}\n", serde_json::to_value(guests).context("encoding the list")?),
        false => table(&guests),
    })?;
    ensure!(silent.is_empty(), "the list is not whole: {}", silent.join("; "));
    Ok(())
}

/// Those of all daemons that answer, and why the others do not.
fn guests() -> Result<(Vec<Guest>, Vec<String>)> {
    let (mut all, mut silent) = (Vec::new(), Vec::new());
    for rendezvous in Rendezvous::all()? {
        let socket = rendezvous.guests_socket();
        let answer = match UnixStream::connect(&socket) {
            Ok(stream) => ask(stream),
            // A daemon that has left or died, or is about to come.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                continue;
            }
            Err(error) => Err(error.into()),
        };
        match answer {
            Ok(guests) => all.extend(guests),
            Err(error) => silent.push(format!("asking {}: {error:#}", socket.display())),
        }
    }
    all.sort_by(|one: &Guest, other| {
        let key = |guest: &Guest| (guest.namespace.clone(), guest.container.clone(), guest.exec.clone());
        key(one).cmp(&key(other))
    });
    Ok((all, silent))
}

fn ask(mut stream: UnixStream) -> Result<Vec<Guest>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => bail!("no answer after {PATIENCE:?}"),
        read => read?,
    };
    Ok(serde_json::from_slice(&answer)?)
}

fn table(guests: &[Guest]) -> String {
    let mut rows = vec![["NAMESPACE", "CONTAINER", "EXEC", "PID", "MODE"].map(str::to_owned)];
    rows.extend(guests.iter().map(|guest| {
        let mode = match &guest.mode {
            Mode::Native => "native".to_owned(),
            Mode::Interpreted { why } => format!("interpreted: {why}"),
        };
        let exec = guest.exec.clone().unwrap_or_else(|| "-".to_owned());
        [guest.namespace.clone(), guest.container.clone(), exec, guest.pid.to_string(), mode]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[namespace, container, exec, pid, mode]: &[String; 5]| {
        let [a, b, c, d] = widths;
        format!("{namespace:<a$}  {container:<b$}  {exec:<c$}  {pid:<d$}  {mode}\n")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_longest_words() {
        let guest = |container: &str, mode| Guest {
            namespace: "default".to_owned(),
            container: container.to_owned(),
            exec: None,
            pid: 42,
            mode,
        };
        let why = "compiling is off".to_owned();
        let table = table(&[guest("c1", Mode::Native), guest("a-longer-name", Mode::Interpreted { why })]);
        assert_eq!(
            table,
            "NAMESPACE  CONTAINER      EXEC  PID  MODE\n\
             default    c1             -     42   native\n\
             default    a-longer-name  -     42   interpreted: compiling is off\n"
        );
    }
}
