//! What the guest sees of a filesystem.

use std::fs;
use std::io::{self, Write};

/// Prints a file.
pub(crate) fn cat(path: &str) -> io::Result<()> {
    io::stdout().write_all(&fs::read(path)?)
}

/// Prints the names in a directory, sorted, one a line.
pub(crate) fn list(path: &str) -> io::Result<()> {
    let mut names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names.iter().for_each(|name| println!("{}", name.display()));
    Ok(())
}
