//! Doubts about a configuration: what in it is likely to be why libcontainer could not make a container.
//!
//! libcontainer says in which of its steps it failed, seldom with what. So once it has failed, the parts of the
//! configuration that depend on the host are looked at, and the first that cannot work is named, in runc's words
//! where Docker turns them into exit codes. Nothing is looked at while all goes well.

use std::fs;
use std::path::Path;

use libcontainer::oci_spec::runtime::{LinuxSeccompAction, Mount, PosixRlimit, Spec};

/// With fewer files open than this, a container may not start.
const LEAST_FILES: u64 = 64;
/// The address space of WasmEdge and its libraries, and what a small guest takes, in bytes.
const LEAST_MEMORY: u64 = 1 << 30;

/// The first thing that cannot work, for a person.
pub(super) fn about(spec: &Spec, bundle: &Path) -> Option<String> {
    let root = bundle.join(spec.root().as_ref()?.path());
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()).into_iter().flatten();
    let rlimits =
        spec.process().as_ref().and_then(|process| process.rlimits().as_ref()).into_iter().flatten();
    sysctls
        .filter_map(|(name, _)| sysctl(name))
        .chain(spec.mounts().iter().flatten().filter_map(|wanted| mount(wanted, &root)))
        .chain(rlimits.filter_map(rlimit))
        .chain(apparmor(spec))
        .chain(seccomp(spec))
        .next()
}

fn sysctl(name: &str) -> Option<String> {
    let file = Path::new("/proc/sys").join(name.replace('.', "/"));
    (!file.exists()).then(|| format!("sysctl {name}: open {}: no such file or directory", file.display()))
}

fn mount(mount: &Mount, root: &Path) -> Option<String> {
    let destination = mount.destination();
    let kind = mount.typ().as_deref().unwrap_or("bind");
    let source = mount.source().clone().unwrap_or_default();
    let cannot = |why: &str| {
        Some(format!("mounting {:?} on {}: {why}", source.display().to_string(), destination.display()))
    };
    let options = mount.options().as_deref().unwrap_or_default();
    if kind == "bind" || options.iter().any(|option| option == "bind" || option == "rbind") {
        let Ok(found) = fs::metadata(&source) else { return cannot("no such file or directory") };
        let there = fs::symlink_metadata(root.join(destination.strip_prefix("/").ok()?)).ok()?;
        return match there.file_type().is_symlink() || found.is_dir() == there.is_dir() {
            true => None,
            false => cannot("not a directory: a directory goes on a directory, and a file on a file"),
        };
    }
    let known = fs::read_to_string("/proc/filesystems").ok()?;
    let is_known = known.lines().any(|line| line.rsplit('\t').next() == Some(kind));
    if is_known || kind == "cgroup" {
        None
    } else {
        cannot(&format!("no such device: the kernel has no {kind:?}"))
    }
}

fn rlimit(wanted: &PosixRlimit) -> Option<String> {
    let name = format!("{:?}", wanted.typ()).trim_start_matches("Rlimit").to_lowercase();
    let too_little = match name.as_str() {
        "nofile" if wanted.soft() < LEAST_FILES => Some("too many open files"),
        "as" | "data" if wanted.soft() < LEAST_MEMORY => Some("cannot allocate memory"),
        _ => None,
    };
    if let Some(cause) = too_little {
        let soft = wanted.soft();
        return Some(format!("rlimit {name} of {soft}: {cause}: a container takes more than that to start"));
    }
    // `limits` has a line for each: its name, then soft and hard limit, then a unit.
    let words = match name.as_str() {
        "nofile" => "Max open files",
        "nproc" => "Max processes",
        "memlock" => "Max locked memory",
        "core" => "Max core file size",
        "stack" => "Max stack size",
        "fsize" => "Max file size",
        _ => return None,
    };
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(words))?;
    let hard: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let denied = "operation not permitted: this host allows no more than";
    (wanted.hard() > hard).then(|| format!("rlimit {name} of {}: {denied} {hard}", wanted.hard()))
}

fn apparmor(spec: &Spec) -> Option<String> {
    let profile =
        spec.process().as_ref()?.apparmor_profile().as_ref().filter(|profile| !profile.is_empty())?;
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let is_enabled = enabled.is_ok_and(|enabled| enabled.starts_with('Y'));
    (!is_enabled).then(|| format!("apparmor profile {profile:?}: AppArmor is not enabled on this host"))
}

/// A process that may not even exit says nothing at all.
fn seccomp(spec: &Spec) -> Option<String> {
    let filter = spec.linux().as_ref()?.seccomp().as_ref()?;
    if filter.default_action() == LinuxSeccompAction::ScmpActAllow {
        return None;
    }
    let allowed: Vec<&String> = filter.syscalls().iter().flatten().flat_map(|rule| rule.names()).collect();
    let needed = ["sendmsg", "read", "close", "openat", "mmap", "exit_group"];
    let missing = needed.into_iter().find(|needed| !allowed.iter().any(|name| name == needed));
    missing.map(|call| format!("the seccomp filter forbids what a container takes to start, such as {call}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(json: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        fs::write(dir.path().join("rootfs/file"), "").unwrap();
        let whole = format!(r#"{{"ociVersion":"1.2.0","root":{{"path":"rootfs"}},{json}}}"#);
        super::about(&serde_json::from_str(&whole).unwrap(), dir.path())
    }

    #[test]
    fn what_the_host_does_not_have_is_named() {
        let cases = [
            (r#""linux":{"sysctl":{"net.nope":"1"}}"#, "open /proc/sys/net/nope: no such file or directory"),
            (
                r#""mounts":[{"destination":"/m","type":"nofs","source":"x"}]"#,
                "mounting \"x\" on /m: no such device",
            ),
            (
                r#""mounts":[{"destination":"/m","type":"bind","source":"/no/such"}]"#,
                "\"/no/such\" on /m: no such file",
            ),
            (r#""mounts":[{"destination":"/file","type":"bind","source":"/"}]"#, "on /file: not a directory"),
            (r#""linux":{"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}"#, "the seccomp filter forbids"),
            (
                r#""process":{"cwd":"/","user":{"uid":0,"gid":0},
                    "rlimits":[{"type":"RLIMIT_NOFILE","soft":4,"hard":4}]}"#,
                "rlimit nofile of 4: too many open files",
            ),
        ];
        for (json, words) in cases {
            let doubt = about(json).unwrap_or_default();
            assert!(doubt.contains(words), "{json}: {doubt}");
        }
    }

    #[test]
    fn what_can_work_is_not_doubted() {
        let mounts =
            r#""mounts":[{"destination":"/proc","type":"proc"},{"destination":"/c","type":"cgroup"}]"#;
        assert_eq!(about(mounts), None);
        let sysctl = r#""linux":{"sysctl":{"net.ipv4.ip_forward":"1"}}"#;
        assert_eq!(about(sysctl), None);
    }
}
