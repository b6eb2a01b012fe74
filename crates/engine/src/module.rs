//! A module: the bytes of a WebAssembly program, inspected and made ready for WasmEdge.
//!
//! Inspection is one pass over the section headers and the few sections that tell how the module meets
//! its surroundings (imports, exports, memories). It exists so that a person is told what is wrong with
//! a file in words about the file, and so that WasmEdge never sees certain things: an ELF file, and a
//! custom section, one of which it would execute as native code. It does not validate: function bodies
//! are WasmEdge's business.
//!
//! The bytes may come from anybody. Every count is bounded, nothing here panics or recurses.

mod entrypoint;
mod error;
mod foreign;
mod linkage;
mod names;
mod scan;
mod text;
mod unfit;

use std::borrow::Cow;
use std::ops::Range;

pub use entrypoint::{EntryFunction, START, split_entrypoint};
pub use error::ModuleError;
pub use linkage::{Export, ExportKind, Import, ImportKind};
pub use names::FunctionNames;
pub use unfit::Unfit;

use scan::Facts;

/// The largest module that is taken if nobody says otherwise: 512 MiB.
pub const DEFAULT_SIZE_LIMIT: u64 = 512 << 20;

/// What a module may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that it may have, as text or binary.
    pub size: u64,
}

/// An inspected core module.
#[derive(Debug)]
pub struct Module<'a> {
    code: Cow<'a, [u8]>,
    /// The part of the `name` section that names functions; empty without.
    names: Cow<'a, [u8]>,
    facts: Facts,
}

impl<'a> Module<'a> {
    /// Inspects `bytes`: a binary module, or its text form (`.wat`).
    ///
    /// Borrowed bytes must not change as long as the module lives: what is inspected here is what
    /// WasmEdge gets.
    ///
    /// # Errors
    /// When the bytes are no core WebAssembly module, or exceed a limit.
    pub fn parse(bytes: impl Into<Cow<'a, [u8]>>, limits: Limits) -> Result<Self, ModuleError> {
        let bytes = bytes.into();
        limits.check(bytes.len() as u64)?;
        let code = if text::is_text(&bytes) { Cow::Owned(text::to_binary(&bytes)?) } else { bytes };
        limits.check(code.len() as u64)?;
        check_header(&code)?;
        let facts = scan::scan(&code)?;
        let names = keep_names(&code, facts.names.clone());
        Ok(Self { code: keep(code, &facts.kept), names, facts })
    }

    /// The binary module for WasmEdge: without any custom section.
    pub fn code(&self) -> &[u8] {
        &self.code
    }

    /// The names of its functions.
    pub fn names(&self) -> FunctionNames<'_> {
        FunctionNames::new(&self.names, &self.facts.exports)
    }

    /// What it imports, in order.
    pub fn imports(&self) -> &[Import] {
        &self.facts.imports
    }

    /// What it exports, in order.
    pub fn exports(&self) -> &[Export] {
        &self.facts.exports
    }

    /// The bytes of linear memory that exist once it is instantiated, imported memories included.
    pub fn minimum_memory(&self) -> u64 {
        self.facts.minimum_memory
    }

    /// The table elements that exist once it is instantiated. Unlike linear memory, WasmEdge touches
    /// them all at once (16 bytes each).
    pub fn minimum_table_elements(&self) -> u64 {
        self.facts.minimum_table_elements
    }

    /// Whether a function runs as part of instantiation (the `start` section, not `_start`).
    pub fn has_start_section(&self) -> bool {
        self.facts.start_section
    }

    /// Why it must be interpreted, as far as can be told without a look at its functions.
    pub fn unfit(&self) -> Option<Unfit> {
        self.facts.unfit
    }

    /// Why it must be interpreted, if it must. Reads all of it: for the compiler.
    ///
    /// # Errors
    /// When a function's body cannot be read.
    pub fn unfit_throughout(&self) -> Result<Option<Unfit>, ModuleError> {
        match self.facts.unfit {
            Some(unfit) => Ok(Some(unfit)),
            None => unfit::instructions(&self.code),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: DEFAULT_SIZE_LIMIT }
    }
}

impl Limits {
    /// Whether a module of `size` bytes is too large; for use before it is read.
    ///
    /// # Errors
    /// [`ModuleError::TooLarge`].
    pub fn check(&self, size: u64) -> Result<(), ModuleError> {
        if size > self.size { Err(ModuleError::TooLarge { size, limit: self.size }) } else { Ok(()) }
    }
}

/// The eight bytes that every binary module begins with: `\0asm` and the version
/// (core specification, section 5.5.16).
fn check_header(bytes: &[u8]) -> Result<(), ModuleError> {
    const MAGIC: &[u8] = b"\0asm";
    if bytes.is_empty() {
        return Err(ModuleError::Empty);
    }
    let magic = &bytes[..bytes.len().min(4)];
    if !MAGIC.starts_with(magic) {
        return Err(ModuleError::foreign(bytes));
    }
    let Some(&[v0, v1, layer, l1]) = bytes.get(4..8) else {
        return Err(ModuleError::Truncated { at: 0, what: "the header", missing: 8 - bytes.len() as u64 });
    };
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([layer, l1])) {
        (1, 0) => Ok(()),
        (_, 1) => Err(ModuleError::Component),
        _ => Err(ModuleError::Version(u32::from_le_bytes([v0, v1, layer, l1]))),
    }
}

/// The functions' part of the `name` section whose contents are at `range`.
fn keep_names<'a>(code: &Cow<'a, [u8]>, range: Option<Range<usize>>) -> Cow<'a, [u8]> {
    let Some(range) = range else { return Cow::default() };
    match code {
        Cow::Borrowed(code) => Cow::Borrowed(names::of_functions(&code[range])),
        Cow::Owned(code) => Cow::Owned(names::of_functions(&code[range]).to_vec()),
    }
}

/// The bytes within `ranges` (ascending, disjoint), without a copy where they allow it.
fn keep<'a>(bytes: Cow<'a, [u8]>, ranges: &[Range<usize>]) -> Cow<'a, [u8]> {
    match (bytes, ranges) {
        (Cow::Borrowed(bytes), [Range { start: 0, end }]) => Cow::Borrowed(&bytes[..*end]),
        (Cow::Borrowed(bytes), ranges) => {
            Cow::Owned(ranges.iter().flat_map(|range| &bytes[range.clone()]).copied().collect())
        }
        (Cow::Owned(mut bytes), ranges) => {
            let mut end = 0;
            for range in ranges {
                bytes.copy_within(range.clone(), end);
                end += range.len();
            }
            bytes.truncate(end);
            Cow::Owned(bytes)
        }
    }
}

#[cfg(test)]
mod tests;
