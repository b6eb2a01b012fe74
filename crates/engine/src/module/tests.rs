//! Modules good and bad, and what no input may do.

use super::*;
use wasmedge_messages::FailureKind;

fn parse(bytes: &[u8]) -> Result<Module<'_>, ModuleError> {
    Module::parse(bytes, Limits::default())
}

/// A module with a bit of everything that a scan looks at.
fn rich() -> Vec<u8> {
    wast_to_binary(
        r#"(module
            (import "env" "out" (func $out (param i32)))
            (import "env" "mem" (memory 2))
            (memory (export "own") 3)
            (table 7 funcref)
            (global i32 (i32.const 1))
            (func $main (export "_start") (call $out (i32.const 1)))
            (func $init)
            (start $init)
            (elem (i32.const 0) $main)
            (data (i32.const 0) "bytes")
            (@custom "wasmedge" "\7fELF")
            (@custom "producers" (before first) "\00"))"#,
    )
}

fn wast_to_binary(text: &str) -> Vec<u8> {
    text::to_binary(text.as_bytes()).unwrap()
}

#[test]
fn a_module_tells_how_it_meets_its_surroundings() {
    let bytes = rich();
    let module = parse(&bytes).unwrap();
    let imports: Vec<_> =
        module.imports().iter().map(|i| (i.module.as_str(), i.name.as_str(), i.kind)).collect();
    assert_eq!(imports, [("env", "out", ImportKind::Function), ("env", "mem", ImportKind::Memory)]);
    let exports: Vec<_> = module.exports().iter().map(|export| (export.name.as_str(), export.kind)).collect();
    let start = ExportKind::Function { index: 1, params: 0, results: 0 };
    assert_eq!(exports, [("own", ExportKind::Other), ("_start", start)]);
    assert_eq!(module.minimum_memory(), 5 * 65536);
    assert_eq!(module.minimum_table_elements(), 7);
    assert!(module.has_start_section());
    assert_eq!(module.unfit(), None);
}

#[test]
fn custom_sections_do_not_reach_the_engine() {
    let bytes = rich();
    let names =
        |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    assert!(names(&bytes, b"wasmedge") && names(&bytes, b"producers") && names(&bytes, b"\x7fELF"));
    for module in [parse(&bytes).unwrap(), Module::parse(bytes.clone(), Limits::default()).unwrap()] {
        assert!(!names(module.code(), b"wasmedge") && !names(module.code(), b"producers"));
        assert!(!names(module.code(), b"\x7fELF"));
        assert_eq!(parse(module.code()).unwrap().code(), module.code());
        assert_eq!(parse(module.code()).unwrap().exports(), module.exports());
        assert_eq!(module.names().name_of(2).as_deref(), Some("init"));
    }
}

#[test]
fn borrowed_bytes_with_custom_sections_at_their_end_are_not_copied() {
    let bytes =
        wast_to_binary(r#"(module (func $f (export "_start")) (@custom "wasmedge" (after last) "x"))"#);
    let module = parse(&bytes).unwrap();
    assert!(module.code().len() < bytes.len());
    assert_eq!(module.code().as_ptr(), bytes.as_ptr());
}

#[test]
fn text_is_taken_for_what_it_says() {
    let module = parse(b"(module (memory i64 1))").unwrap();
    assert_eq!(module.unfit(), Some(Unfit::Memory64));
    assert!(module.code().starts_with(b"\0asm\x01\0\0\0"));
}

#[test]
fn vectors_are_read_as_any_other_instructions() {
    let text = r#"(module
        (global $seed v128 (v128.const i32x4 1 2 3 4))
        (func (export "_start") (drop (i32x4.add (global.get $seed) (v128.const i32x4 0 0 0 0)))))"#;
    let bytes = wast_to_binary(text);
    assert_eq!(parse(&bytes).unwrap().unfit(), None);
    assert_eq!(parse(&bytes).unwrap().unfit_throughout().unwrap(), None);
}

#[test]
fn what_native_code_would_get_wrong_is_found() {
    let unfit = |fields: &str| {
        let text = format!(r#"(module (import "env" "f" (func $import)) (func $own) {fields})"#);
        parse(text.as_bytes()).unwrap().unfit()
    };
    assert_eq!(unfit("(table 1 funcref) (elem (i32.const 0) func $own) (export \"own\" (func $own))"), None);
    assert_eq!(unfit("(table 1 funcref) (func (call $import))"), None);
    for (fields, found) in [
        ("(memory i64 1)", Unfit::Memory64),
        ("(import \"env\" \"m\" (memory i64 1))", Unfit::Memory64),
        ("(table i64 1 funcref)", Unfit::Table64),
        ("(import \"env\" \"t\" (table i64 1 funcref))", Unfit::Table64),
    ] {
        let text = format!("(module {fields})");
        assert_eq!(parse(text.as_bytes()).unwrap().unfit(), Some(found), "{fields}");
    }
    for ty in ["(type (struct))", "(type (array i8))", "(rec (type (func)) (type (struct (field i32))))"] {
        assert_eq!(unfit(ty), Some(Unfit::Collected), "{ty}");
    }
    for reference in [
        "(table 2 funcref) (elem (i32.const 0) func $own $import)",
        "(table 1 funcref) (elem (i32.const 0) funcref (ref.func $import))",
        "(elem func $import)",
        "(elem declare func $import) (func (drop (ref.func $import)))",
        "(global funcref (ref.func $import))",
        "(table 1 funcref (ref.func $import))",
        "(export \"import\" (func $import)) (func (drop (ref.func $import)))",
    ] {
        assert_eq!(unfit(reference), Some(Unfit::ImportByReference), "{reference}");
    }
}

#[test]
fn tail_calls_are_found_among_the_instructions() {
    let unfit = |body: &str| {
        let text =
            format!("(module (type $t (func)) (table 1 funcref) (elem declare func $f) (func $f {body}))");
        parse(text.as_bytes()).unwrap().unfit_throughout().unwrap()
    };
    assert_eq!(unfit("(call $f) (call_indirect (type $t) (i32.const 0)) (return)"), None);
    for call in ["call $f", "call_indirect (type $t) (i32.const 0)", "call_ref $t (ref.func $f)"] {
        let call = format!("(block (return_{call}))");
        assert_eq!(unfit(&call), Some(Unfit::TailCall), "{call}");
    }
}

#[test]
fn an_empty_file_is_refused() {
    assert_eq!(parse(b"").unwrap_err(), ModuleError::Empty);
}

#[test]
fn what_is_no_module_is_called_by_its_name() {
    let error = parse(b"\x7fELF\x02\x01\x01").unwrap_err();
    assert!(error.to_string().contains("7f 45 4c 46 (an ELF"), "{error}");
    let error = parse(b"#!/bin/sh").unwrap_err();
    assert!(error.to_string().ends_with("starts with 23 21 2f 62 (a script)"), "{error}");
    let error = parse(b"zz").unwrap_err();
    assert_eq!(error.to_string(), "not a WebAssembly module: starts with 7a 7a");
}

#[test]
fn another_version_is_refused() {
    let error = parse(b"\0asm\x02\0\0\0").unwrap_err();
    assert_eq!(error, ModuleError::Version(2));
    assert_eq!(error.kind(), FailureKind::Unsupported);
}

#[test]
fn a_component_is_refused_with_what_to_do() {
    for bytes in [b"\0asm\x0d\0\x01\0".as_slice(), b"(component)"] {
        let error = parse(bytes).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unsupported);
        assert!(error.to_string().contains("components are not supported by this engine"), "{error}");
        assert!(error.to_string().contains("wasm32-wasip1"), "{error}");
    }
}

#[test]
fn a_module_over_the_limit_is_refused() {
    let limits = Limits { size: 8 };
    assert!(Module::parse(b"\0asm\x01\0\0\0".as_slice(), limits).is_ok());
    let error = Module::parse(b"\0asm\x01\0\0\0\0".as_slice(), limits).unwrap_err();
    assert_eq!(error, ModuleError::TooLarge { size: 9, limit: 8 });
    // Small as text, large as a binary.
    let text = b"(module (func))";
    assert!(Module::parse(text.as_slice(), Limits { size: 16 }).is_err());
}

#[test]
fn a_truncated_module_is_called_so() {
    assert!(matches!(parse(b"\0as").unwrap_err(), ModuleError::Truncated { missing: 5, .. }));
    let bytes = wast_to_binary(r#"(module (func (export "_start") unreachable))"#);
    for end in 9..bytes.len() {
        match parse(&bytes[..end]) {
            // Cut between two sections.
            Ok(_) | Err(ModuleError::Malformed { .. }) => {}
            Err(error) => assert!(matches!(error, ModuleError::Truncated { .. }), "{end}: {error}"),
        }
    }
    let error = parse(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(error.to_string().starts_with("the module is truncated: the section at byte "), "{error}");
}

#[test]
fn a_memory_of_absurd_size_is_counted_without_overflow() {
    let huge = "(module (memory i64 0xffffffffffff) (memory i64 0xffffffffffff) (table 0xffffffff funcref))";
    let module = parse(huge.as_bytes()).unwrap();
    assert_eq!(module.minimum_memory(), u64::MAX);
    assert_eq!(module.minimum_table_elements(), 0xffff_ffff);
}

#[test]
fn no_cut_or_flipped_bit_makes_it_panic() {
    let bytes = rich();
    for end in 0..bytes.len() {
        examine(&bytes[..end]);
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        examine(&bytes);
    }
}

#[test]
fn no_random_damage_makes_it_panic() {
    let bytes = rich();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for _ in 0..20_000 {
        let mut bytes = bytes.clone();
        for _ in 0..next() % 8 + 1 {
            let at = 8 + next() % (bytes.len() - 8);
            bytes[at] = next() as u8;
        }
        bytes.truncate(8 + next() % (bytes.len() * 2));
        examine(&bytes);
    }
}

/// Does all that is ever done with a module whose bytes nobody vouches for.
fn examine(bytes: &[u8]) {
    let Ok(module) = parse(bytes) else { return };
    let _ = module.unfit_throughout();
    let _ = module.entry(None);
    let _ = module.entry(Some("nothing"));
    for index in [0, 1, 2, u32::MAX] {
        module.names().name_of(index);
    }
    // What the engine gets is again a module, and has nothing left to strip.
    assert_eq!(parse(module.code()).unwrap().code(), module.code());
}
