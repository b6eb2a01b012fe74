//! Ask: one request to an HTTP server, which has to be answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the server at that address once; panics unless it answers as it should.
pub(super) fn once(address: &str) {
    let answer = exchange(address).unwrap_or_else(|error| panic!("asking {address}: {error}"));
    assert!(answer.ends_with("hello from wasm, you asked for /one\n"), "{address} answers: {answer}");
}

fn exchange(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /one HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
