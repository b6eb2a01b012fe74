//! Linkage: what a module wants from its surroundings, and what it offers to them.

/// Something that a module wants from its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module that should provide it.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub kind: ImportKind,
}

/// What an [`Import`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// A function.
    Function,
    /// A linear memory.
    Memory,
    /// A table.
    Table,
    /// A global.
    Global,
    /// An exception's tag.
    Tag,
}

/// Something that a module offers to its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ExportKind,
}

/// What an [`Export`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// A function.
    Function {
        /// Its index; imported functions are counted first.
        index: u32,
        /// How many arguments it takes.
        params: u32,
        /// How many values it returns.
        results: u32,
    },
    /// Anything else.
    Other,
}
