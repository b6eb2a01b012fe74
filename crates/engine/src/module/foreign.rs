//! Foreign bytes: what a file that is no module seems to be, by its first bytes.

/// What files begin with that are mistaken for modules. Only what helps to find the mistake.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF executable or library"),
    (b"#!", "a script"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O executable or library"),
    (b"MZ", "a Windows executable"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BC\xc0\xde", "LLVM bitcode: not linked"),
    (b"!<arch>", "a static library: not linked"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
];

/// The first four bytes, or fewer, as `7f 45 4c 46`.
pub(super) fn first_bytes(bytes: &[u8]) -> String {
    let hex: Vec<_> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}

/// What `bytes` seem to be.
pub(super) fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    KNOWN.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_recognised_and_noise_is_not() {
        assert_eq!(looks_like(b"#!/bin/sh\n"), Some("a script"));
        assert_eq!(looks_like(b"\x01\x02"), None);
    }

    #[test]
    fn first_bytes_of_a_short_file_are_all_its_bytes() {
        assert_eq!(first_bytes(b"\x01\x02"), "01 02");
    }
}
