//! The network as the guest reaches it, by WasmEdge's socket extensions.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddrV4};

use sockets::UdpSocket;

/// Prints the addresses of a name, one a line.
pub(crate) fn resolve(name: &str) -> io::Result<()> {
    sockets::resolve(name)?.iter().for_each(|address| println!("{address}"));
    Ok(())
}

/// Sends a text over TCP and prints what comes back.
pub(crate) fn connect(host: &str, port: u16, text: &str) -> io::Result<()> {
    let mut stream = sockets::connect(host, port)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("{answer}");
    Ok(())
}

/// Says that it listens, then sends every connection its own bytes back, one connection at a time.
pub(crate) fn listen(port: u16) -> io::Result<()> {
    let listener = sockets::listen(port)?;
    println!("listening");
    loop {
        let (mut stream, _) = listener.accept()?;
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes)? {
                0 => break,
                n => stream.write_all(&bytes[..n])?,
            }
        }
    }
}

/// Says that it listens, then sends every datagram back.
pub(crate) fn udp_echo(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind(port)?;
    println!("listening");
    let mut bytes = [0; 4096];
    loop {
        let (length, from) = socket.receive(&mut bytes)?;
        socket.send(&bytes[..length], from)?;
    }
}

/// Sends one datagram and prints the one that comes back.
pub(crate) fn udp_ask(host: &str, port: u16, text: &str) -> io::Result<()> {
    let ip = *sockets::resolve(host)?.first().ok_or_else(|| io::Error::other("no address"))?;
    let socket = UdpSocket::bind(0)?;
    socket.send(text.as_bytes(), SocketAddrV4::new(ip, port))?;
    let mut bytes = [0; 4096];
    let (length, _) = socket.receive(&mut bytes)?;
    println!("{}", String::from_utf8_lossy(&bytes[..length]));
    Ok(())
}
