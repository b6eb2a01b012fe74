//! A command: what a process is to run, without an init that was put before it.

/// Where Docker and nerdctl mount the init of `run --init`.
const INITS: [&str; 2] = ["/sbin/docker-init", "/sbin/tini"];

/// The command among a process's arguments: those behind `INIT --`, or all.
///
/// A guest needs no init: it has no children, and its signals are handled. An init could not execute it either. A native
/// program is to be run with all its arguments.
pub fn command(args: &[String]) -> &[String] {
    match args {
        [init, separator, command @ ..] if separator == "--" && INITS.contains(&init.as_str()) => command,
        _ => args,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_not_part_of_the_command() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command(&args("/sbin/docker-init -- /app.wasm --")), args("/app.wasm --"));
        for whole in ["/app.wasm -- x", "/sbin/docker-init /app.wasm", "/sbin/tini"] {
            assert_eq!(command(&args(whole)), args(whole));
        }
    }
}
