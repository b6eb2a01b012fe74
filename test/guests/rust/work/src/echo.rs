//! Echo: servers that send back what they get.

use std::io::{self, Read, Write};

use sockets::UdpSocket;

/// The most that is read at once.
const BLOCK: usize = 64 * 1024;

/// Says that it listens, then serves one connection after the other.
pub(crate) fn tcp(port: u16) -> io::Result<()> {
    let listener = sockets::listen(port)?;
    println!("listening");
    let mut bytes = vec![0; BLOCK];
    loop {
        let (mut stream, _) = listener.accept()?;
        while let Ok(length @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
    }
}

/// Says that it listens, then sends every datagram back.
pub(crate) fn udp(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind(port)?;
    println!("listening");
    let mut bytes = vec![0; BLOCK];
    loop {
        let (length, from) = socket.receive(&mut bytes)?;
        socket.send(&bytes[..length], from)?;
    }
}
