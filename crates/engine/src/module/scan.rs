//! A scan: the one pass over a module's sections that collects what is needed of them.

use std::ops::Range;

use wasmparser::{
    Chunk, CompositeInnerType, ConstExpr, ElementItems, ElementSectionReader, ExportSectionReader,
    ExternalKind, FunctionSectionReader, ImportSectionReader, MemoryType, Operator, Parser, Payload,
    TableInit, TableSectionReader, TableType, TypeRef, TypeSectionReader,
};

use super::{Export, ExportKind, Import, ImportKind, ModuleError, Unfit};
use crate::shown;

/// The most types, functions, imports and exports, each, of a module: what browsers take
/// (WebAssembly JavaScript interface, "implementation-defined limits").
const MOST: usize = 1_000_000;
/// A page of linear memory, unless the memory says otherwise.
const PAGE_BITS: u32 = 16;

/// All that the scan finds.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) imports: Vec<Import>,
    pub(super) exports: Vec<Export>,
    pub(super) minimum_memory: u64,
    pub(super) minimum_table_elements: u64,
    /// Why it must not become native code, if anything.
    pub(super) unfit: Option<Unfit>,
    pub(super) start_section: bool,
    /// Where the contents of the `name` section are.
    pub(super) names: Option<Range<usize>>,
    /// Where everything is but custom sections: ascending, and at most one range per known section.
    pub(super) kept: Vec<Range<usize>>,
    /// Number of parameters and results of each type; `None` for one that is no function's.
    types: Vec<Option<(u32, u32)>>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    imported_functions: u32,
}

/// Reads the section headers of `bytes`, which begin with a module's header, and collects the facts.
pub(super) fn scan(bytes: &[u8]) -> Result<Facts, ModuleError> {
    let mut facts = Facts::default();
    let mut parser = Parser::new(0);
    let mut at = 0;
    while at < bytes.len() {
        let (consumed, payload) = match parser.parse(&bytes[at..], false)? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            Chunk::NeedMoreData(missing) => return Err(truncated(at, missing)),
        };
        let mut end = at + consumed;
        if let Payload::CodeSectionStart { size, .. } = payload {
            end += size as usize;
            parser.skip_section();
        }
        if end > bytes.len() {
            return Err(truncated(at, (end - bytes.len()) as u64));
        }
        if facts.section(payload)? {
            facts.keep(at..end);
        }
        at = end;
    }
    // Only at the end the parser compares the numbers of functions and bodies.
    parser.parse(&[], true)?;
    facts.types = Vec::new();
    facts.functions = Vec::new();
    Ok(facts)
}

fn truncated(at: usize, missing: u64) -> ModuleError {
    ModuleError::Truncated { at: at as u64, what: "the section", missing }
}

impl Facts {
    /// Takes what is wanted from a section; `false` means that it must not reach WasmEdge.
    fn section(&mut self, payload: Payload<'_>) -> Result<bool, ModuleError> {
        match payload {
            Payload::TypeSection(types) => self.types(types)?,
            Payload::ImportSection(imports) => self.imports(imports)?,
            Payload::FunctionSection(functions) => self.functions(functions)?,
            Payload::TableSection(tables) => self.tables(tables)?,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memory(&memory?);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    self.references_in(&global?.init_expr)?;
                }
            }
            Payload::ExportSection(exports) => self.exports(exports)?,
            Payload::ElementSection(elements) => self.elements(elements)?,
            Payload::StartSection { .. } => self.start_section = true,
            Payload::CustomSection(section) => {
                if section.name() == "name" && self.names.is_none() {
                    self.names = Some(section.data_offset()..section.data_offset() + section.data().len());
                }
                return Ok(false);
            }
            Payload::UnknownSection { id, range, .. } => {
                let message = format!("unknown section {id}");
                return Err(ModuleError::Malformed { at: range.start as u64, message });
            }
            _ => {}
        }
        Ok(true)
    }

    fn keep(&mut self, range: Range<usize>) {
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.kept.push(range),
        }
    }

    fn types(&mut self, types: TypeSectionReader<'_>) -> Result<(), ModuleError> {
        for group in types {
            for ty in group?.types() {
                let signature = match &ty.composite_type.inner {
                    CompositeInnerType::Func(ty) => {
                        Some((ty.params().len() as u32, ty.results().len() as u32))
                    }
                    CompositeInnerType::Struct(_) | CompositeInnerType::Array(_) => {
                        self.unfit = Some(Unfit::Collected);
                        None
                    }
                    CompositeInnerType::Cont(_) => None,
                };
                push(&mut self.types, signature, "types")?;
            }
        }
        Ok(())
    }

    fn imports(&mut self, imports: ImportSectionReader<'_>) -> Result<(), ModuleError> {
        for import in imports.into_imports() {
            let import = import?;
            let kind = match import.ty {
                TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                    push(&mut self.functions, ty, "functions")?;
                    self.imported_functions += 1;
                    ImportKind::Function
                }
                TypeRef::Memory(memory) => {
                    self.memory(&memory);
                    ImportKind::Memory
                }
                TypeRef::Table(table) => {
                    self.table(&table);
                    ImportKind::Table
                }
                TypeRef::Global(_) => ImportKind::Global,
                TypeRef::Tag(_) => ImportKind::Tag,
            };
            let import = Import { module: import.module.to_owned(), name: import.name.to_owned(), kind };
            push(&mut self.imports, import, "imports")?;
        }
        Ok(())
    }

    fn functions(&mut self, functions: FunctionSectionReader<'_>) -> Result<(), ModuleError> {
        for ty in functions {
            push(&mut self.functions, ty?, "functions")?;
        }
        Ok(())
    }

    fn exports(&mut self, exports: ExportSectionReader<'_>) -> Result<(), ModuleError> {
        for export in exports {
            let export = export?;
            let kind = match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => self.exported_function(export.index),
                _ => Some(ExportKind::Other),
            };
            // The code may take a reference to what is exported.
            if matches!(kind, Some(ExportKind::Function { .. })) {
                self.reference_to(export.index);
            }
            let Some(kind) = kind else {
                let message = format!("export {:?} is of an unknown function", shown::name(export.name));
                return Err(ModuleError::Malformed { at: 0, message });
            };
            push(&mut self.exports, Export { name: export.name.to_owned(), kind }, "exports")?;
        }
        Ok(())
    }

    fn exported_function(&self, index: u32) -> Option<ExportKind> {
        let ty = *self.functions.get(index as usize)?;
        let (params, results) = (*self.types.get(ty as usize)?)?;
        Some(ExportKind::Function { index, params, results })
    }

    fn memory(&mut self, memory: &MemoryType) {
        let page = 1u64.checked_shl(memory.page_size_log2.unwrap_or(PAGE_BITS)).unwrap_or(u64::MAX);
        self.minimum_memory = self.minimum_memory.saturating_add(memory.initial.saturating_mul(page));
        if memory.memory64 {
            self.unfit = Some(Unfit::Memory64);
        }
    }

    fn tables(&mut self, tables: TableSectionReader<'_>) -> Result<(), ModuleError> {
        for table in tables {
            let table = table?;
            self.table(&table.ty);
            if let TableInit::Expr(init) = &table.init {
                self.references_in(init)?;
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &TableType) {
        self.minimum_table_elements = self.minimum_table_elements.saturating_add(table.initial);
        if table.table64 {
            self.unfit = Some(Unfit::Table64);
        }
    }

    fn elements(&mut self, elements: ElementSectionReader<'_>) -> Result<(), ModuleError> {
        for element in elements {
            match element?.items {
                ElementItems::Functions(functions) => {
                    for index in functions {
                        self.reference_to(index?);
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions {
                        self.references_in(&expression?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn references_in(&mut self, expression: &ConstExpr<'_>) -> Result<(), ModuleError> {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.reference_to(function_index);
            }
        }
        Ok(())
    }

    /// Something can call this function without naming it. Whatever it is, a `ref.func` in the code names only what is
    /// named outside of it (core specification, section 3.5.16: "refs").
    fn reference_to(&mut self, function: u32) {
        if function < self.imported_functions {
            self.unfit = Some(Unfit::ImportByReference);
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str) -> Result<(), ModuleError> {
    if list.len() == MOST {
        return Err(ModuleError::TooMany { what, limit: MOST });
    }
    list.push(item);
    Ok(())
}
