//! The entrypoint, as far as the daemon looks: is it a file of the root filesystem, or has it to be a layer?

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::bundle::Config;

/// The entrypoint, if it is there as a file; looked for as the engine will look for it, and opened as a path only.
pub(super) fn file(config: &Config) -> Option<OwnedFd> {
    let entrypoint = config.entrypoint()?;
    let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(config.root(), root, Mode::empty()).ok()?;
    let process = config.spec.process().as_ref();
    let cwd = process.map_or(String::new(), |process| process.cwd().to_string_lossy().into_owned());
    let path =
        process.and_then(|process| process.env().iter().flatten().find_map(|v| v.strip_prefix("PATH=")));
    let dirs: Vec<&str> = match entrypoint {
        absolute if absolute.starts_with('/') => vec![""],
        relative if relative.contains('/') => vec![&cwd],
        _ => path.unwrap_or_default().split(':').chain([cwd.as_str()]).collect(),
    };
    dirs.into_iter().find_map(|dir| {
        let file = format!("./{dir}/{entrypoint}");
        openat2(&root, file, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT).ok()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bundle::Bundle;

    fn config(entrypoint: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("rootfs/bin")).unwrap();
        fs::write(dir.path().join("rootfs/bin/app.wasm"), "").unwrap();
        let json = format!(
            r#"{{"ociVersion":"1.2.0","root":{{"path":"rootfs"}},"process":{{"cwd":"/bin",
                "user":{{"uid":0,"gid":0}},"env":["PATH=/usr/bin:/bin"],"args":["{entrypoint}"]}}}}"#
        );
        fs::write(dir.path().join("config.json"), json).unwrap();
        let config = Bundle::new(dir.path(), "c1").unwrap().config().unwrap();
        (dir, config)
    }

    #[test]
    fn an_entrypoint_is_found_by_path_by_name_and_with_its_function() {
        for there in ["/bin/app.wasm", "app.wasm", "./app.wasm", "/bin/app.wasm#run", "../bin/app.wasm"] {
            assert!(file(&config(there).1).is_some(), "{there}");
        }
        for missing in ["/app.wasm", "other.wasm", "./bin/app.wasm"] {
            assert!(file(&config(missing).1).is_none(), "{missing}");
        }
    }

    #[test]
    fn a_link_in_the_image_does_not_lead_out_of_it() {
        let (dir, config) = config("/outside");
        fs::write(dir.path().join("outside-file"), "").unwrap();
        std::os::unix::fs::symlink("/../outside-file", dir.path().join("rootfs/outside")).unwrap();
        assert!(file(&config).is_none());
    }
}
