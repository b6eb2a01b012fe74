//! A device filter decides which device files a container's processes may open or make.
//!
//! Version 1 has a controller for that, which libcontainer writes. With version 2 it is a program that the kernel asks
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`), attached to the container's cgroup; libcontainer's needs a library of C that we
//! do not want. The rules are those of the configuration (OCI runtime specification, config-linux.md), and after them
//! the devices that every container has, as runc adds them.

mod program;

use std::fs::{self, File};
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, Spec};
use rustix::fs::statfs;

use program::Program;

const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const VERSION_2: i64 = 0x6367_7270;

/// What may be done with a device, in the kernel's bits.
const MAKE: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const ALL: u32 = MAKE | READ | WRITE;

/// One rule; what it leaves out, it means all of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block = 1,
    Char = 2,
}

/// The devices of every container: null, zero, full, random, urandom, tty, ptmx and the terminals; and any node may be
/// made, which does not open it.
const ALWAYS: [Rule; 10] = [
    always(Kind::Char, None, None, MAKE),
    always(Kind::Block, None, None, MAKE),
    always(Kind::Char, Some(1), Some(3), ALL),
    always(Kind::Char, Some(1), Some(5), ALL),
    always(Kind::Char, Some(1), Some(7), ALL),
    always(Kind::Char, Some(1), Some(8), ALL),
    always(Kind::Char, Some(1), Some(9), ALL),
    always(Kind::Char, Some(5), Some(0), ALL),
    always(Kind::Char, Some(5), Some(2), ALL),
    always(Kind::Char, Some(136), None, ALL),
];

const fn always(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
    Rule { allow: true, kind, major, minor, access }
}

/// Filters the devices of the container whose process that is. Nothing to do with version 1, or if the configuration
/// has no rules, or allows everything.
///
/// # Errors
/// When the cgroup cannot be found or the kernel refuses the program.
pub(super) fn restrict(pid: i32, spec: &Spec) -> io::Result<()> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let Some(wanted) = resources.and_then(|resources| resources.devices().as_ref()) else { return Ok(()) };
    if statfs(ROOT)?.f_type != VERSION_2 {
        return Ok(());
    }
    let (default, mut rules) = simplify(wanted);
    if default && rules.is_empty() {
        return Ok(());
    }
    rules.extend(ALWAYS);
    Program::of(&rules, default).attach(&File::open(cgroup_of(pid)?)?)
}

fn cgroup_of(pid: i32) -> io::Result<PathBuf> {
    let path = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = path.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = path.ok_or_else(|| Error::new(ErrorKind::NotFound, "the process has no cgroup"))?;
    Ok(Path::new(ROOT).join(path))
}

/// Whether a device without a rule is allowed, and the rules in their order. A rule for all devices forgets those
/// before it.
fn simplify(wanted: &[LinuxDeviceCgroup]) -> (bool, Vec<Rule>) {
    let mut default = false;
    let mut rules = Vec::new();
    for rule in wanted {
        let kind = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::B => Kind::Block,
            LinuxDeviceType::C | LinuxDeviceType::U => Kind::Char,
            LinuxDeviceType::P => continue,
            LinuxDeviceType::A => {
                default = rule.allow();
                rules.clear();
                continue;
            }
        };
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        rules.push(Rule {
            allow: rule.allow(),
            kind,
            major: number(rule.major()),
            minor: number(rule.minor()),
            access: access(rule.access().as_deref().unwrap_or_default()),
        });
    }
    (default, rules)
}

fn access(letters: &str) -> u32 {
    let bit = |letter| match letter {
        'r' => READ,
        'w' => WRITE,
        'm' => MAKE,
        _ => 0,
    };
    letters.chars().map(bit).fold(0, |all, bit| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_rule_for_all_devices_forgets_those_before_it() {
        let (default, left) = simplify(&rules(
            r#"[{"allow":true,"type":"c","major":7,"minor":8,"access":"r"},{"allow":false,"access":"rwm"},
                {"allow":true,"type":"b","major":8,"access":"rm"}]"#,
        ));
        let rule = Rule { allow: true, kind: Kind::Block, major: Some(8), minor: None, access: READ | MAKE };
        assert_eq!((default, left), (false, vec![rule]));
    }

    #[test]
    fn a_privileged_container_needs_no_filter() {
        assert_eq!(simplify(&rules(r#"[{"allow":true,"access":"rwm"}]"#)), (true, Vec::new()));
    }
}
