//! A program that answers the kernel whether a process of a cgroup may use a device.
//!
//! It goes through the rules from the last to the first; the first that matches decides. A rule that allows matches if
//! it grants all that is asked for, one that denies if it has any of it. Instructions are as linux/bpf.h has them: an
//! operation, two registers, an offset and a number in eight bytes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{ALL, Rule};

const LOAD: libc::c_long = 5;
const ATTACH: libc::c_long = 8;
/// `BPF_PROG_TYPE_CGROUP_DEVICE`, `BPF_CGROUP_DEVICE` and `BPF_F_ALLOW_MULTI`.
const TYPE: u32 = 15;
const ATTACH_TYPE: u32 = 6;
const BESIDE_OTHERS: u32 = 2;

/// Registers: the answer, the context and then a scratch, and what the context says.
const ANSWER: u8 = 0;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Operations.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const AND_NUMBER: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const IF_EQUAL: u8 = 0x15;
const IF_DIFFERENT: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program(Vec<Instruction>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    operation: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

fn instruction(operation: u8, to: u8, from: u8, offset: i16, number: u32) -> Instruction {
    Instruction { operation, registers: to | from << 4, offset, number: number.cast_signed() }
}

impl Program {
    /// The program that goes by those rules, the later ones before the earlier, and answers `default` elsewhere.
    pub(super) fn of(rules: &[Rule], default: bool) -> Self {
        let mut all = vec![
            instruction(LOAD_WORD, KIND, SCRATCH, 0, 0),
            instruction(MOVE, ACCESS, KIND, 0, 0),
            instruction(AND_NUMBER, KIND, 0, 0, 0xffff),
            instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
            instruction(LOAD_WORD, MAJOR, SCRATCH, 4, 0),
            instruction(LOAD_WORD, MINOR, SCRATCH, 8, 0),
        ];
        rules.iter().rev().for_each(|rule| all.extend(decide(rule)));
        all.extend(answer(default));
        Self(all)
    }

    /// Attaches it to a cgroup, beside what is attached there and above.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub(super) fn attach(&self, cgroup: &File) -> io::Result<()> {
        let program = self.load()?;
        let mut attributes = [0_u32; 32];
        attributes[..4].copy_from_slice(&[
            cgroup.as_raw_fd().cast_unsigned(),
            program.as_raw_fd().cast_unsigned(),
            ATTACH_TYPE,
            BESIDE_OTHERS,
        ]);
        bpf(ATTACH, &attributes).map(drop)
    }

    fn load(&self) -> io::Result<OwnedFd> {
        let halves = |address: u64| [address as u32, (address >> 32) as u32];
        let code = halves(self.0.as_ptr() as u64);
        let licence = halves(c"Apache-2.0".as_ptr() as u64);
        let mut attributes = [0_u32; 32];
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        attributes[..6].copy_from_slice(&[TYPE, length, code[0], code[1], licence[0], licence[1]]);
        let descriptor = bpf(LOAD, &attributes)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }
}

/// Decides if the rule matches; falls through to what follows if not.
fn decide(rule: &Rule) -> Vec<Instruction> {
    let mut tests = vec![(KIND, rule.kind as u32)];
    tests.extend(rule.major.map(|major| (MAJOR, major)));
    tests.extend(rule.minor.map(|minor| (MINOR, minor)));
    let (operation, bits) = match rule.allow {
        true => (IF_DIFFERENT, ALL & !rule.access),
        false => (IF_EQUAL, rule.access),
    };
    let end = i16::try_from(tests.len() + 5).unwrap_or(i16::MAX);
    let mut all: Vec<_> = (1_i16..)
        .zip(tests)
        .map(|(place, (register, number))| instruction(IF_DIFFERENT, register, 0, end - place, number))
        .collect();
    all.extend([
        instruction(MOVE, SCRATCH, ACCESS, 0, 0),
        instruction(AND_NUMBER, SCRATCH, 0, 0, bits),
        instruction(operation, SCRATCH, 0, 2, 0),
    ]);
    all.extend(answer(rule.allow));
    all
}

fn answer(allow: bool) -> [Instruction; 2] {
    [instruction(MOVE_NUMBER, ANSWER, 0, 0, allow.into()), instruction(EXIT, 0, 0, 0, 0)]
}

/// One call of bpf(2).
fn bpf(command: libc::c_long, attributes: &[u32; 32]) -> io::Result<i32> {
    // SAFETY: the attributes are as long as is said, zero where the command has no field, and what they point to lives
    // until the call is over; the kernel writes nothing into them.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), std::mem::size_of_val(attributes))
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, MAKE, READ, WRITE};
    use super::*;

    /// What the program answers, by a processor of its few instructions.
    fn ask(program: &Program, kind: Kind, major: u32, minor: u32, access: u32) -> bool {
        let context = [kind as u32 | access << 16, major, minor];
        let (mut registers, mut at) = ([0_u64; 6], 0);
        loop {
            let Instruction { operation, registers: pair, offset, number } = program.0[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let number = u64::from(number.cast_unsigned());
            at += 1;
            let jumps = match operation {
                LOAD_WORD => {
                    registers[to] = context[usize::try_from(offset).unwrap() / 4].into();
                    false
                }
                MOVE => {
                    registers[to] = registers[from];
                    false
                }
                MOVE_NUMBER => {
                    registers[to] = number;
                    false
                }
                AND_NUMBER => {
                    registers[to] &= number;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= number;
                    false
                }
                IF_EQUAL => registers[to] == number,
                IF_DIFFERENT => registers[to] != number,
                EXIT => return registers[0] == 1,
                other => panic!("{other:#x}"),
            };
            if jumps {
                at += usize::try_from(offset).unwrap();
            }
        }
    }

    fn rule(allow: bool, kind: Kind, major: Option<u32>, minor: Option<u32>, access: u32) -> Rule {
        Rule { allow, kind, major, minor, access }
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let program = Program::of(
            &[
                rule(true, Kind::Char, Some(1), None, ALL),
                rule(false, Kind::Char, Some(1), Some(9), WRITE),
                rule(true, Kind::Block, None, None, MAKE),
            ],
            false,
        );
        assert!(ask(&program, Kind::Char, 1, 3, READ | WRITE));
        assert!(ask(&program, Kind::Char, 1, 9, READ));
        assert!(!ask(&program, Kind::Char, 1, 9, READ | WRITE));
        assert!(!ask(&program, Kind::Char, 10, 200, READ));
        assert!(ask(&program, Kind::Block, 8, 0, MAKE));
        assert!(!ask(&program, Kind::Block, 8, 0, MAKE | READ));
    }

    #[test]
    fn without_a_rule_the_default_decides() {
        let program = Program::of(&[rule(false, Kind::Block, Some(8), Some(0), READ)], true);
        assert!(!ask(&program, Kind::Block, 8, 0, READ));
        assert!(ask(&program, Kind::Block, 8, 0, WRITE));
        assert!(ask(&program, Kind::Char, 8, 0, READ));
    }
}
