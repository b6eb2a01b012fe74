//! The text form of a module (`.wat`), turned into the binary form that WasmEdge takes.

use wast::Wat;
use wast::parser::{self, ParseBuffer};
use wast::token::Span;

use super::ModuleError;

/// Whether `bytes` are meant as text: after white space they open a form or a comment.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let start = without_mark(bytes).trim_ascii_start();
    start.starts_with(b"(") || start.starts_with(b";;")
}

/// The binary form.
pub(super) fn to_binary(bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    let bytes = without_mark(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let parsed = ParseBuffer::new(text);
    let refused = |error: wast::Error| at(text, error.span(), error.message());
    let buffer = parsed.map_err(refused)?;
    parser::parse::<Wat<'_>>(&buffer).and_then(|mut wat| wat.encode()).map_err(refused)
}

/// Without the mark of UTF-8 that some editors begin a file with.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn at(text: &str, span: Span, message: String) -> ModuleError {
    let (line, column) = span.linecol_in(text);
    ModuleError::Text { line: line + 1, column: column + 1, message }
}

fn not_utf8(bytes: &[u8], valid: usize) -> ModuleError {
    let line_start = bytes[..valid].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = bytes[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
    ModuleError::Text { line, column: valid - line_start + 1, message: "not UTF-8".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_by_its_first_bytes() {
        assert!(is_text(b"\n  (module)"));
        assert!(is_text(b";; a comment\n(module)"));
        assert!(is_text(b"(; a comment ;) (module)"));
        assert!(!is_text(b"\0asm\x01\0\0\0"));
        assert!(!is_text(b"module"));
    }

    #[test]
    fn an_error_says_where_it_is() {
        let error = to_binary(b"(module\n  (func call $nobody))").unwrap_err();
        assert!(matches!(error, ModuleError::Text { line: 2, column: 14, .. }), "{error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
        let error = to_binary(b"(module)\n;; \xff").unwrap_err();
        assert_eq!(error.to_string(), "WebAssembly text, line 2, column 4: not UTF-8");
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
        assert!(to_binary("(".repeat(1 << 20).as_bytes()).is_err());
        assert!(to_binary(format!("(module {}", "(func (block ".repeat(1 << 18)).as_bytes()).is_err());
    }

    #[test]
    fn text_may_begin_with_a_byte_order_mark() {
        let marked = b"\xef\xbb\xbf (module)";
        assert!(is_text(marked));
        assert!(to_binary(marked).unwrap().starts_with(b"\0asm"));
    }
}
