//! What the guest sees of a filesystem.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::time::SystemTime;

/// Prints a file.
pub(crate) fn cat(path: &str) -> io::Result<()> {
    io::stdout().write_all(&fs::read(path)?)
}

/// Adds to a file that is there.
pub(crate) fn append(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
}

/// Empties a file that is there.
pub(crate) fn truncate(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Makes a file look as old as can be.
pub(crate) fn age(path: &str) -> io::Result<()> {
    File::open(path)?.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH))
}

/// Prints the names in a directory, sorted, one a line.
pub(crate) fn list(path: &str) -> io::Result<()> {
    let mut names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names.iter().for_each(|name| println!("{}", name.display()));
    Ok(())
}
