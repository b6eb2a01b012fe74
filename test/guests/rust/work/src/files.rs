//! Files: many small ones, a large one, and what is known of them.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

const SMALL: usize = 1000;
const LARGE_MIB: usize = 64;

/// Does all of it in that directory, and prints for each: its name, a checksum, the nanoseconds that it took.
pub(crate) fn run(directory: &str) -> io::Result<()> {
    let directory = Path::new(directory).join("work");
    for (name, work) in
        [("small", small as fn(&Path) -> io::Result<u64>), ("large", large), ("metadata", metadata)]
    {
        fs::create_dir(&directory)?;
        let begun = Instant::now();
        let sum = work(&directory)?;
        println!("{name} {sum:016x} {}", begun.elapsed().as_nanos());
        fs::remove_dir_all(&directory)?;
    }
    Ok(())
}

/// Writes many files of 4 KiB, and reads each again.
fn small(directory: &Path) -> io::Result<u64> {
    let mut sum = Sum::default();
    for i in 0..SMALL {
        fs::write(directory.join(format!("{i}")), [i as u8; 4096])?;
    }
    for i in 0..SMALL {
        sum.write(&fs::read(directory.join(format!("{i}")))?[..64]);
    }
    Ok(sum.finish())
}

/// Writes one file in blocks of 64 KiB, and reads it twice.
fn large(directory: &Path) -> io::Result<u64> {
    let mut file = File::options().create(true).read(true).write(true).open(directory.join("large"))?;
    let mut block = vec![7; 64 * 1024];
    for i in 0..LARGE_MIB * 16 {
        block[0] = i as u8;
        file.write_all(&block)?;
    }
    let mut sum = Sum::default();
    for _ in 0..2 {
        file.seek(SeekFrom::Start(0))?;
        while let length @ 1.. = file.read(&mut block)? {
            sum.write(&block[..length.min(8)]);
        }
    }
    Ok(sum.finish())
}

/// Creates, renames, looks at, lists and removes empty files.
fn metadata(directory: &Path) -> io::Result<u64> {
    let mut sum = Sum::default();
    for i in 0..SMALL {
        File::create(directory.join(format!("{i}")))?;
        fs::rename(directory.join(format!("{i}")), directory.join(format!("{i}.new")))?;
        sum.write_u64(fs::metadata(directory.join(format!("{i}.new")))?.len());
    }
    sum.write_usize(fs::read_dir(directory)?.count());
    for i in 0..SMALL {
        fs::remove_file(directory.join(format!("{i}.new")))?;
    }
    Ok(sum.finish())
}

/// FNV-1a, by which results are compared.
pub(crate) struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Sum {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}
