//! An HTTP client of the standard library: `client HOST PORT PATH` prints the answer's body.

use std::env;
use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port, path] = arguments.as_slice() else {
        return Err(io::Error::other("usage: client HOST PORT PATH"));
    };
    let port = port.parse().map_err(io::Error::other)?;
    let mut stream = sockets::connect(host, port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    print!("{body}");
    Ok(())
}
