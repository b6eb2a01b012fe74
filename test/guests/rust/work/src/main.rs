//! Work is what the benchmarks have a container do, the same source as a module and as a native program: it is
//! told by its arguments what to do, and prints what came of it, so that two runs can be compared.

mod echo;
mod files;
mod kernels;

use std::process::exit;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["kernel", name, rounds] => kernels::run(name, rounds.parse().unwrap_or(1)),
        ["files", directory] => files::run(directory),
        ["tcp", port] => echo::tcp(port.parse().unwrap_or(9000)),
        ["udp", port] => echo::udp(port.parse().unwrap_or(9000)),
        _ => {
            eprintln!("usage: work kernel NAME ROUNDS | files DIRECTORY | tcp PORT | udp PORT");
            exit(2)
        }
    };
    if let Err(error) = done {
        eprintln!("work: {error}");
        exit(1)
    }
}
