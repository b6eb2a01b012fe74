//! Kernels: computations as servers do them, each a few dozen milliseconds of native code, and a number that says
//! whether it was done right.

mod data;
mod numbers;
mod text;

use std::io::{self, Error};
use std::time::Instant;

/// All of them.
const KERNELS: [(&str, fn() -> u64); 10] = [
    ("sha256", data::sha256),
    ("deflate", data::deflate),
    ("sort", data::sort),
    ("map", data::map),
    ("json", text::json),
    ("regex", text::regex),
    ("parse", text::parse),
    ("nbody", numbers::nbody),
    ("matrix", numbers::matrix),
    ("sieve", numbers::sieve),
];

/// Runs a kernel that many times, and prints for each: its name, its number, the nanoseconds that it took.
pub(crate) fn run(name: &str, rounds: usize) -> io::Result<()> {
    let found = KERNELS.iter().find(|(known, _)| *known == name);
    let (name, kernel) = found.ok_or_else(|| Error::other(format!("no kernel {name}")))?;
    for _ in 0..rounds {
        let begun = Instant::now();
        let number = kernel();
        println!("{name} {number:016x} {}", begun.elapsed().as_nanos());
    }
    Ok(())
}

/// Numbers without a pattern that are the same everywhere (xorshift).
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
