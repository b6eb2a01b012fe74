//! The verbs are what containerd executes the shim for. Each is a few milliseconds of one process.

mod daemon;
mod delete;
mod info;
mod init;
mod start;
mod version;

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::answer::say;
use crate::invocation::Invocation;

const USAGE: &str = "\
containerd runs this program; there is nothing to do for you but to name the runtime:

  ctr run --runtime io.containerd.wasmedge.v1 IMAGE ID
  docker run --runtime io.containerd.wasmedge.v1 IMAGE

To run a module without containerd: wasmedge-engine run MODULE";

/// The largest standard input that is read, containerd's own limit.
const MAX_INPUT: u64 = 10 << 20;

/// Runs the verb that the command line names.
pub fn run() -> ExitCode {
    let asks_for_help = |arg: String| matches!(arg.as_str(), "-h" | "-help" | "--help");
    let done = match Invocation::read() {
        // They are no flags of containerd's, so they are an error there.
        Err(_) if std::env::args().skip(1).any(asks_for_help) => say(format!("{USAGE}\n")),
        read => read.and_then(|invocation| answer(&invocation)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("containerd-shim-wasmedge-v1: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn answer(invocation: &Invocation) -> Result<()> {
    let answer = match invocation.action.as_str() {
        _ if invocation.wants_version => version::version().into_bytes(),
        _ if invocation.wants_info => info::info()?,
        "start" => start::start(invocation, &read_input()?)?,
        "delete" => delete::delete(invocation)?,
        "daemon" => return daemon::daemon(invocation),
        "init" => return init::init(),
        "" => bail!("{USAGE}"),
        other => bail!("there is no verb {other:?}\n\n{USAGE}"),
    };
    say(answer)
}

fn read_input() -> Result<Vec<u8>> {
    let mut input = Vec::new();
    std::io::stdin().take(MAX_INPUT).read_to_end(&mut input).context("reading standard input")?;
    Ok(input)
}
