//! Preopens: the directories that a guest is given, and the names by which it asks for them.

use std::fs;
use std::path::Path;

/// The preopens of a guest that works in `cwd`, each as `guest name:path`.
///
/// WASI has no working directory. wasi-libc takes `note` and `/note` for the same path, and looks it up in
/// the preopen whose name is its longest beginning; `.` and `/` are both the empty name, and of two such
/// WasmEdge puts either first. So a guest that works in `/` gets `/` and no more. One that works elsewhere
/// gets that directory as `.`, for relative paths, and for absolute ones every directory of `/` by its name;
/// it cannot reach a file that lies in `/` itself.
pub(super) fn of(cwd: &str) -> Vec<String> {
    below(Path::new("/"), cwd)
}

fn below(root: &Path, cwd: &str) -> Vec<String> {
    let names = if cwd == "/" { Vec::new() } else { directories(root) };
    if names.is_empty() {
        return vec!["/:/".to_owned()];
    }
    let named = names.iter().map(|name| format!("/{name}:/{name}"));
    named.chain([format!(".:{cwd}")]).collect()
}

/// The names of the directories in `root`, sorted; none if it cannot be read. WasmEdge's notation has no
/// way to say a name with a colon.
fn directories(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let directories =
        entries.filter(|entry| fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()));
    let mut names: Vec<_> = directories.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.contains(':'));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_works_in_the_root_gets_the_root() {
        assert_eq!(of("/"), ["/:/"]);
    }

    #[test]
    fn a_guest_that_works_elsewhere_gets_that_place_and_every_directory_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["etc", "app", "a:b"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("app", root.path().join("link")).unwrap();
        assert_eq!(below(root.path(), "/app"), ["/app:/app", "/etc:/etc", "/link:/link", ".:/app"]);
    }
}
