//! The entry function: the export that an entrypoint (`/app.wasm#func`) makes the engine call.

use super::{Export, ExportKind, Module, ModuleError};
use crate::shown;

/// The export that is called when the entrypoint names none (WASI's command convention).
pub const START: &str = "_start";

/// A message lists so many exports at most.
const LISTED: usize = 8;

/// An exported function that takes no arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFunction {
    /// The name of the export.
    pub name: String,
    /// How many values it returns.
    pub results: u32,
}

/// Takes `path#func` apart, at the first `#`; either half may be absent, an empty function is none.
pub fn split_entrypoint(entrypoint: &str) -> (&str, Option<&str>) {
    match entrypoint.split_once('#') {
        Some((path, function)) => (path, Some(function).filter(|function| !function.is_empty())),
        None => (entrypoint, None),
    }
}

impl Module<'_> {
    /// The function that runs: the one named `function`, or else [`START`].
    ///
    /// # Errors
    /// When it is not exported, or takes arguments; the error lists the functions there are.
    pub fn entry(&self, function: Option<&str>) -> Result<EntryFunction, ModuleError> {
        let name = function.unwrap_or(START);
        let signature = self.exports().iter().find(|export| export.name == name).and_then(Export::signature);
        match (signature, function) {
            (Some((0, results)), _) => Ok(EntryFunction { name: name.to_owned(), results }),
            (Some((params, _)), _) => {
                Err(ModuleError::TakesArguments { name: shown::name(name), params, exports: self.callable() })
            }
            (None, Some(_)) => {
                Err(ModuleError::NoSuchFunction { name: shown::name(name), exports: self.callable() })
            }
            (None, None) => Err(ModuleError::NoStart { exports: self.callable() }),
        }
    }

    /// The functions that could be called, as a phrase for a message.
    fn callable(&self) -> String {
        let mut names = self
            .exports()
            .iter()
            .filter(|export| matches!(export.kind, ExportKind::Function { params: 0, .. }))
            .map(|export| shown::name(&export.name));
        let listed: Vec<_> = names.by_ref().take(LISTED).collect();
        match (listed.len(), names.count()) {
            (0, _) => "it exports no function without arguments".to_owned(),
            (_, 0) => format!("without arguments it exports {}", listed.join(", ")),
            (_, more) => format!("without arguments it exports {} and {more} more", listed.join(", ")),
        }
    }
}

impl Export {
    fn signature(&self) -> Option<(u32, u32)> {
        match self.kind {
            ExportKind::Function { params, results, .. } => Some((params, results)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Limits;

    fn entry(wat: &str, function: Option<&str>) -> Result<EntryFunction, ModuleError> {
        Module::parse(wat.as_bytes(), Limits::default()).unwrap().entry(function)
    }

    #[test]
    fn an_entrypoint_splits_at_its_first_hash() {
        assert_eq!(split_entrypoint("/app.wasm"), ("/app.wasm", None));
        assert_eq!(split_entrypoint("/app.wasm#run"), ("/app.wasm", Some("run")));
        assert_eq!(split_entrypoint("#wasi:cli/run@0.2.0#run"), ("", Some("wasi:cli/run@0.2.0#run")));
        assert_eq!(split_entrypoint("/app.wasm#"), ("/app.wasm", None));
    }

    #[test]
    fn start_is_the_default_and_another_can_be_named() {
        let wat = r#"(module (func (export "_start")) (func (export "answer") (result i32) i32.const 42))"#;
        assert_eq!(entry(wat, None).unwrap(), EntryFunction { name: START.into(), results: 0 });
        assert_eq!(entry(wat, Some("answer")).unwrap(), EntryFunction { name: "answer".into(), results: 1 });
    }

    #[test]
    fn a_library_without_a_named_function_is_refused_with_what_it_has() {
        let wat =
            r#"(module (func (export "run")) (func (export "add") (param i32)) (memory (export "m") 1))"#;
        let error = entry(wat, None).unwrap_err();
        assert!(error.to_string().ends_with("(without arguments it exports run)"), "{error}");
        let error = entry("(module)", None).unwrap_err();
        assert!(error.to_string().ends_with("(it exports no function without arguments)"), "{error}");
    }

    #[test]
    fn a_function_that_is_not_there_or_is_no_function_is_refused() {
        let wat = r#"(module (func (export "run")) (memory (export "m") 1))"#;
        for name in ["walk", "m"] {
            let error = entry(wat, Some(name)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the module exports no function named {name:?} (without arguments it exports run)")
            );
        }
    }

    #[test]
    fn a_function_with_arguments_is_refused() {
        let error = entry(r#"(module (func (export "add") (param i32 i64)))"#, Some("add")).unwrap_err();
        assert!(error.to_string().starts_with("function \"add\" takes arguments (2)"), "{error}");
    }

    #[test]
    fn a_long_list_of_exports_is_cut() {
        let exports: String = (0..1000).map(|n| format!(r#"(func (export "f{n}"))"#)).collect();
        let error = entry(&format!("(module {exports})"), None).unwrap_err();
        assert!(error.to_string().ends_with("f7 and 992 more)"), "{error}");
        let long = "x".repeat(5000);
        let error = entry("(module)", Some(&long)).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
    }
}
