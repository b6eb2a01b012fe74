//! Function names: what a trapped function is called, for the one line that a person gets to read.

use std::fmt::{self, Write};

use wasmparser::{BinaryReader, Name, NameSectionReader};

use super::scan::{ExportKind, Facts};

/// A longer name is cut.
const LONGEST: usize = 256;

/// The names of a module's functions, in the compact form in which the module had them.
///
/// They come from its `name` section or, if it was stripped of that, from its exports.
#[derive(Debug, Clone, Default)]
pub struct FunctionNames {
    section: Box<[u8]>,
    exports: Box<[(u32, Box<str>)]>,
}

impl FunctionNames {
    pub(super) fn collect(code: &[u8], facts: &Facts) -> Self {
        match facts.names.clone().and_then(|range| function_subsection(&code[range])) {
            Some(section) => Self { section: section.into(), exports: Box::default() },
            None => Self { section: Box::default(), exports: exported(facts) },
        }
    }

    /// The name of a function by its index (imported functions are counted first), as its source
    /// language spells it; at most a line of text without control characters.
    pub fn name_of(&self, index: u32) -> Option<String> {
        let name = match self.in_section(index) {
            Some(name) => name,
            None => self.exports.iter().find(|(of, _)| *of == index).map(|(_, name)| &**name)?,
        };
        Some(demangle(name))
    }

    fn in_section(&self, index: u32) -> Option<&str> {
        if self.section.is_empty() {
            return None;
        }
        wasmparser::NameMap::new(BinaryReader::new(&self.section, 0))
            .ok()?
            .into_iter()
            .map_while(Result::ok)
            .find(|naming| naming.index == index)
            .map(|naming| naming.name)
    }
}

/// The part of a `name` section's contents that names functions; the locals' part is often larger.
fn function_subsection(contents: &[u8]) -> Option<&[u8]> {
    let mut subsections = NameSectionReader::new(BinaryReader::new(contents, 0));
    let found = subsections.by_ref().map_while(Result::ok).find_map(|name| match name {
        Name::Function(names) => Some(names.range()),
        _ => None,
    })?;
    contents.get(found)
}

fn exported(facts: &Facts) -> Box<[(u32, Box<str>)]> {
    let functions = facts.exports.iter().filter_map(|export| match export.kind {
        ExportKind::Function { index, .. } => Some((index, export.name.as_str().into())),
        ExportKind::Other => None,
    });
    functions.collect()
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
        Module::parse(wat.as_bytes(), Limits::default()).unwrap().into_names().name_of(index)
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
