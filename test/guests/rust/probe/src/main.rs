//! The probe: a guest that does the one thing its arguments name, so that a test can look at what the
//! container around it lets it do.

mod files;
mod net;
mod trap;
mod work;

use std::env;
use std::io::{self, IsTerminal};
use std::process::exit;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    if let Err(error) = run(&words) {
        eprintln!("probe: {}: {error}", words.join(" "));
        exit(1);
    }
}

fn run(words: &[&str]) -> io::Result<()> {
    match words {
        ["args", ..] => env::args().for_each(|argument| println!("{argument}")),
        ["env"] => {
            let mut variables: Vec<_> = env::vars().collect();
            variables.sort();
            variables.iter().for_each(|(name, value)| println!("{name}={value}"));
        }
        ["exit", code] => exit(number(code)? as i32),
        ["say", text] => println!("{text}"),
        ["cat", path] => files::cat(path)?,
        ["ls", path] => files::list(path)?,
        ["write", path, text] => std::fs::write(path, text)?,
        ["append", path, text] => files::append(path, text)?,
        ["truncate", path] => files::truncate(path)?,
        ["rename", from, to] => std::fs::rename(from, to)?,
        ["link", from, to] => std::fs::hard_link(from, to)?,
        ["remove", path] => std::fs::remove_file(path)?,
        ["mkdir", path] => std::fs::create_dir(path)?,
        ["age", path] => files::age(path)?,
        ["tty"] => println!("{} {}", io::stdin().is_terminal(), io::stdout().is_terminal()),
        ["echo"] => work::echo()?,
        ["fill", "stdout", count] => work::fill(&mut io::stdout(), number(count)?)?,
        ["fill", "stderr", count] => work::fill(&mut io::stderr(), number(count)?)?,
        ["sleep"] => work::sleep_forever(),
        ["spin"] => work::spin_forever(),
        ["allocate", mebibytes] => work::allocate(number(mebibytes)? as usize),
        ["trap", kind] => trap::trap(kind),
        ["resolve", name] => net::resolve(name)?,
        ["connect", host, port, text] => net::connect(host, number(port)? as u16, text)?,
        ["listen", port] => net::listen(number(port)? as u16)?,
        ["udp-echo", port] => net::udp_echo(number(port)? as u16)?,
        ["udp-ask", host, port, text] => net::udp_ask(host, number(port)? as u16, text)?,
        _ => return Err(io::Error::other("no such command")),
    }
    Ok(())
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}
