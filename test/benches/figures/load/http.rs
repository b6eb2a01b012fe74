//! HTTP: connections that are kept alive, each with one request on its way at a time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use serde_json::json;

const REQUEST: &[u8] = b"GET /figures HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BODY: &[u8] = b"hello from wasm, you asked for /figures\n";

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    asked: Instant,
}

/// Asks for that long, then prints the rate and the 50th and 99th percentile of the times in microseconds.
pub(super) fn load(address: &str, connections: usize, seconds: f64) {
    let length = first_answer(address);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut connections: Vec<_> = (0..connections).map(|number| connect(address, &poll, number)).collect();
    let begun = Instant::now();
    connections.iter_mut().for_each(Connection::ask);
    let mut times = Vec::new();
    let mut events =
        [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
    let patience = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    while begun.elapsed().as_secs_f64() < seconds {
        let count = epoll::wait(&poll, &mut events[..], Some(&patience)).unwrap();
        assert!(count > 0, "no answer within 5 s");
        for event in &events[..count] {
            let data = event.data;
            let connection = &mut connections[data.u64() as usize];
            if connection.receive(length) {
                times.push(connection.asked.elapsed());
                connection.ask();
            }
        }
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort();
    let micros = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("{}", json!({ "rate": rate, "p50": micros(50), "p99": micros(99) }));
}

fn connect(address: &str, poll: &OwnedFd, number: usize) -> Connection {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    epoll::add(poll, &stream, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN).unwrap();
    Connection { stream, answer: Vec::new(), asked: Instant::now() }
}

/// All answers are as long as the first.
fn first_answer(address: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(BODY) {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&bytes[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    answer.len()
}

impl Connection {
    fn ask(&mut self) {
        self.asked = Instant::now();
        self.stream.write_all(REQUEST).unwrap();
    }

    /// Takes what has come; whether the answer is whole.
    fn receive(&mut self, length: usize) -> bool {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(count) => self.answer.extend(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if self.answer.len() < length {
            return false;
        }
        assert!(self.answer.len() == length && self.answer.ends_with(BODY), "another answer than the first");
        self.answer.clear();
        true
    }
}
