//! Work: output, input, time and memory, in the amounts that a test asks for.

use std::hint::black_box;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// Copies standard input to standard output until it ends.
pub(crate) fn echo() -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    Ok(())
}

/// Writes `count` bytes, in lines of 64.
pub(crate) fn fill(to: &mut dyn Write, count: u64) -> io::Result<()> {
    let block = format!("{}\n", "x".repeat(63)).repeat(1024);
    let mut left = count;
    while left > 0 {
        let now = left.min(block.len() as u64);
        to.write_all(&block.as_bytes()[..now as usize])?;
        left -= now;
    }
    to.flush()
}

/// Says so, then sleeps until it is killed.
pub(crate) fn sleep_forever() -> ! {
    println!("sleeping");
    loop {
        sleep(Duration::from_secs(3600));
    }
}

/// Says so, then computes until it is killed.
pub(crate) fn spin_forever() -> ! {
    println!("spinning");
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Touches that much memory, says so, then sleeps.
pub(crate) fn allocate(mebibytes: usize) -> ! {
    let memory = vec![1u8; mebibytes << 20];
    println!("allocated {mebibytes} MiB");
    black_box(&memory);
    sleep_forever()
}
