//! Function names: what a trapped function is called, for the one line that a person gets to read.

use std::fmt::{self, Write};

use wasmparser::{BinaryReader, Name, NameMap, NameSectionReader};

use super::{Export, ExportKind};

/// A longer name is cut.
const LONGEST: usize = 256;

/// The names of a module's functions.
///
/// They come from its `name` section or, if it was stripped of that, from its exports.
#[derive(Debug, Clone, Copy)]
pub struct FunctionNames<'a> {
    section: &'a [u8],
    exports: &'a [Export],
}

impl<'a> FunctionNames<'a> {
    /// `section` is what [`of_functions`] found.
    pub(super) fn new(section: &'a [u8], exports: &'a [Export]) -> Self {
        Self { section, exports }
    }

    /// The name of a function by its index (imported functions are counted first), as its source
    /// language spells it; at most a line of text without control characters.
    pub fn name_of(&self, index: u32) -> Option<String> {
        self.in_section(index).or_else(|| self.exported(index)).map(demangle)
    }

    fn in_section(&self, index: u32) -> Option<&'a str> {
        NameMap::new(BinaryReader::new(self.section, 0))
            .ok()?
            .into_iter()
            .map_while(Result::ok)
            .find(|naming| naming.index == index)
            .map(|naming| naming.name)
    }

    fn exported(&self, wanted: u32) -> Option<&'a str> {
        let is_wanted = |kind| matches!(kind, ExportKind::Function { index, .. } if index == wanted);
        self.exports.iter().find(|export| is_wanted(export.kind)).map(|export| export.name.as_str())
    }
}

/// The part of a `name` section's contents that names functions, empty if there is none.
pub(super) fn of_functions(contents: &[u8]) -> &[u8] {
    NameSectionReader::new(BinaryReader::new(contents, 0))
        .map_while(Result::ok)
        .find_map(|name| match name {
            Name::Function(names) => contents.get(names.range()),
            _ => None,
        })
        .unwrap_or_default()
}

/// Undoes Rust's mangling and the hash at its end, which wasm-ld leaves when it demangles itself.
fn demangle(name: &str) -> String {
    let mut line = Line(String::new());
    // Writing stops with an error where the line is full.
    let _ = match rustc_demangle::try_demangle(name) {
        Ok(name) => write!(line, "{name:#}"),
        Err(_) => write!(line, "{}", without_hash(name)),
    };
    line.0
}

/// `path::function` of `path::function::h0123456789abcdef`.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => path,
        _ => name,
    }
}

/// Takes at most [`LONGEST`] characters, none of them a control character.
struct Line(String);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() >= LONGEST {
                self.0.push('…');
                return Err(fmt::Error);
            }
            self.0.push(if c.is_control() { '\u{fffd}' } else { c });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::module::{Limits, Module};

    fn name_of(wat: &str, index: u32) -> Option<String> {
        Module::parse(wat.as_bytes(), Limits::default()).unwrap().names().name_of(index)
    }

    #[test]
    fn imported_functions_are_counted_first() {
        let wat = r#"(module (import "env" "out" (func $out)) (func $inner) (func $outer))"#;
        assert_eq!(name_of(wat, 0).as_deref(), Some("out"));
        assert_eq!(name_of(wat, 2).as_deref(), Some("outer"));
        assert_eq!(name_of(wat, 3), None);
    }

    #[test]
    fn a_stripped_module_names_its_exports() {
        assert_eq!(name_of(r#"(module (func) (func (export "_start")))"#, 1).as_deref(), Some("_start"));
        assert_eq!(name_of(r#"(module (func) (func (export "_start")))"#, 0), None);
    }

    #[test]
    fn rust_names_lose_their_mangling_and_their_hash() {
        let wat = "(module (func $_ZN4core9panicking5panic17h0123456789abcdefE) (func $app::main::h0123456789abcdef))";
        assert_eq!(name_of(wat, 0).as_deref(), Some("core::panicking::panic"));
        assert_eq!(name_of(wat, 1).as_deref(), Some("app::main"));
    }

    #[test]
    fn a_name_is_one_line_whatever_the_module_says() {
        let wat = format!(r#"(module (func $"a\n\1b[2J{}"))"#, "x".repeat(9999));
        let name = name_of(&wat, 0).unwrap();
        assert!(name.len() < 300 && !name.contains(char::is_control), "{name}");
    }
}
