//! A home directory: `$HOME` of a process whose configuration gives it none, as under runc.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;

/// The users of the image.
const USERS: &str = "/etc/passwd";
/// More of it is not looked at.
const LONGEST: u64 = 1 << 20;

/// That of this process's user by the image's `/etc/passwd`, or `/`.
pub(super) fn of_this_user() -> String {
    let uid = rustix::process::getuid().as_raw();
    users().and_then(|file| of(uid, BufReader::new(file.take(LONGEST)))).unwrap_or_else(|| "/".to_owned())
}

/// Whatever an image has under that name, opening it waits for nobody.
fn users() -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(USERS).ok()?;
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// As passwd(5) has it: `name:password:uid:gid:comment:home:shell`.
fn of(uid: u32, users: impl BufRead) -> Option<String> {
    users.lines().map_while(Result::ok).find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let home = *fields.get(5)?;
        (fields[2].parse() == Ok(uid) && !home.is_empty()).then(|| home.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_by_the_users_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:33:33::/srv/web:\nnone:x:5:5:::\n";
        assert_eq!(of(33, users.as_bytes()).as_deref(), Some("/srv/web"));
        assert_eq!(of(0, users.as_bytes()).as_deref(), Some("/root"));
        assert_eq!((of(5, users.as_bytes()), of(7, users.as_bytes())), (None, None));
    }
}
