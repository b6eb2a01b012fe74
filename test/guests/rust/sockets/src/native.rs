//! The same names on a system that has sockets: what the native builds of the guests use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, ToSocketAddrs};

/// A TCP listener on a port of every address.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
}

/// A TCP connection to the first address that `host` resolves to.
pub fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((host, port))
}

/// The IPv4 addresses of a name.
pub fn resolve(host: &str) -> io::Result<Vec<Ipv4Addr>> {
    let addresses = (host, 0).to_socket_addrs()?.map(|address| address.ip());
    Ok(addresses.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).collect())
}

/// A UDP socket.
pub struct UdpSocket(std::net::UdpSocket);

impl UdpSocket {
    /// A socket that receives on a port of every address.
    pub fn bind(port: u16) -> io::Result<Self> {
        std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(Self)
    }

    /// Receives one datagram: its length and where it came from.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4)> {
        match self.0.recv_from(buffer)? {
            (length, SocketAddr::V4(from)) => Ok((length, from)),
            (_, SocketAddr::V6(from)) => Err(io::Error::other(format!("a datagram from {from}"))),
        }
    }

    /// Sends one datagram.
    pub fn send(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<usize> {
        self.0.send_to(bytes, to)
    }
}
