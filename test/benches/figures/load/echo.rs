//! Echo: one connection that sends something and waits for it to come back, over and over.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::json;

pub(super) fn tcp(address: &str, size: usize, seconds: f64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    turn(size, seconds, |sent, received| {
        stream.write_all(sent).unwrap();
        stream.read_exact(received).unwrap();
    });
}

pub(super) fn udp(address: &str, size: usize, seconds: f64) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    turn(size, seconds, |sent, received| {
        socket.send(sent).unwrap();
        assert_eq!(socket.recv(received).unwrap(), sent.len());
    });
}

fn turn(size: usize, seconds: f64, mut exchange: impl FnMut(&[u8], &mut [u8])) {
    let (mut sent, mut received) = (vec![b'x'; size], vec![0; size]);
    let begun = Instant::now();
    let mut turns = 0u64;
    while begun.elapsed().as_secs_f64() < seconds {
        sent[0] = turns as u8;
        exchange(&sent, &mut received);
        assert!(sent == received, "what came back is not what was sent");
        turns += 1;
    }
    println!("{}", json!({ "rate": turns as f64 / begun.elapsed().as_secs_f64() }));
}
