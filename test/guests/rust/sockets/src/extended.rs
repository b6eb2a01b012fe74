//! Sockets by WasmEdge's extensions of WASI preview 1: open, bind, listen, connect and resolve, which
//! preview 1 leaves out. What is opened here is an ordinary `std::net` type from then on.

mod imports;

use std::ffi::c_void;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

use imports::{Address, AddressInfo, DATAGRAM, Iovec, STREAM, SocketAddress};

/// A TCP listener on a port of every address (blocking; `set_nonblocking` works).
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = open(STREAM)?;
    bind(&socket, port)?;
    check(unsafe { imports::sock_listen(socket.as_raw_fd(), 128) })?;
    Ok(TcpListener::from(socket))
}

/// A TCP connection to the first address that `host` resolves to.
pub fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let ip = *resolve(host)?.first().ok_or_else(|| io::Error::other(format!("{host}: no address")))?;
    let socket = open(STREAM)?;
    let octets = ip.octets();
    check(unsafe { imports::sock_connect(socket.as_raw_fd(), &mut Address::of(&octets), port.into()) })?;
    Ok(TcpStream::from(socket))
}

/// The IPv4 addresses of a name, as the host's `getaddrinfo` gives them.
pub fn resolve(host: &str) -> io::Result<Vec<Ipv4Addr>> {
    const MOST: usize = 8;
    let mut data = [[0u8; 32]; MOST];
    let mut names = [[0u8; 256]; MOST];
    let mut addresses = data.each_mut().map(|data| SocketAddress::into_buffer(data));
    let mut infos: [AddressInfo; MOST] = std::array::from_fn(|_| AddressInfo::hint());
    for i in 0..MOST {
        infos[i].address = &mut addresses[i];
        infos[i].name = names[i].as_mut_ptr();
        infos[i].next = if i + 1 < MOST { &mut infos[i + 1] } else { null_mut() };
    }
    let (hint, mut first, mut found) = (AddressInfo::hint(), infos.as_mut_ptr(), 0);
    let errno = unsafe {
        imports::sock_getaddrinfo(
            host.as_ptr(),
            host.len(),
            c"".as_ptr().cast(),
            0,
            &hint,
            &mut first,
            MOST,
            &mut found,
        )
    };
    if errno != 0 {
        return Err(io::Error::other(format!("{host}: the name cannot be resolved (WASI errno {errno})")));
    }
    // A sockaddr_in without its family: the port in two bytes, the address in four.
    Ok(data[..found].iter().map(|data| Ipv4Addr::new(data[2], data[3], data[4], data[5])).collect())
}

/// A UDP socket; `std` has none for WASI preview 1.
pub struct UdpSocket(OwnedFd);

impl UdpSocket {
    /// A socket that receives on a port of every address.
    pub fn bind(port: u16) -> io::Result<Self> {
        let socket = open(DATAGRAM)?;
        bind(&socket, port)?;
        Ok(Self(socket))
    }

    /// Receives one datagram: its length and where it came from.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4)> {
        let (mut octets, mut port, mut length, mut flags) = ([0u8; 128], 0u32, 0usize, 0u32);
        let mut address = Address { bytes: octets.as_mut_ptr(), length: octets.len() };
        let mut iovec = Iovec { bytes: buffer.as_mut_ptr(), length: buffer.len() };
        check(unsafe {
            imports::sock_recv_from(
                self.fd(),
                &mut iovec,
                1,
                &mut address,
                0,
                &mut port,
                &mut length,
                &mut flags,
            )
        })?;
        // The family in two bytes, then the address.
        let ip = Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]);
        // WasmEdge leaves the port in network order.
        Ok((length, SocketAddrV4::new(ip, u16::from_be(port as u16))))
    }

    /// Sends one datagram.
    pub fn send(&self, bytes: &[u8], to: SocketAddrV4) -> io::Result<usize> {
        let octets = to.ip().octets();
        let (mut address, mut length) = (Address::of(&octets), 0);
        let mut iovec = Iovec { bytes: bytes.as_ptr().cast_mut(), length: bytes.len() };
        check(unsafe {
            imports::sock_send_to(self.fd(), &mut iovec, 1, &mut address, to.port().into(), 0, &mut length)
        })?;
        Ok(length)
    }

    fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn open(kind: u32) -> io::Result<OwnedFd> {
    let mut fd = -1;
    check(unsafe { imports::sock_open(imports::IPV4, kind, &mut fd) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind(socket: &OwnedFd, port: u16) -> io::Result<()> {
    let one = 1u32;
    let value = (&raw const one).cast::<c_void>();
    check(unsafe { imports::sock_setsockopt(socket.as_raw_fd(), 0, imports::REUSE_ADDRESS, value, 4) })?;
    let octets = Ipv4Addr::UNSPECIFIED.octets();
    check(unsafe { imports::sock_bind(socket.as_raw_fd(), &mut Address::of(&octets), port.into()) })
}

fn check(errno: u32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno as i32)) }
}
