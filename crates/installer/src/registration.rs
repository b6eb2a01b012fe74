//! A registration is what containerd's configuration says of the runtime: a table under the handler's name.
//!
//! It can be put into a configuration file, into a file of its own that the configuration imports, or at the end of
//! a template that a distribution makes the configuration from. Into a file it is inserted: every byte that was there
//! before stays as it is.

mod block;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use toml_edit::{DocumentMut, Item, Key, Table, TableLike, Value, value};

pub(crate) use block::{with_block, without_block};

/// The runtime's type, which is how containerd would look for the shim without a path.
const TYPE: &str = "io.containerd.wasmedge.v1";
/// Stands above what is inserted.
const MARK: &str = "# Made by wasmedge-node-installer, which also takes it away again.";

/// The version of a configuration file. It decides which plugin the runtimes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigVersion {
    /// Of containerd 1.x; a file that names no version is one.
    One,
    /// Of containerd 1.3 and later.
    Two,
    /// Of containerd 2.0 and later.
    Three,
    /// Of containerd 2.3 and later, which takes those of version 3 too.
    Four,
}

/// What containerd is told.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// The name that a `RuntimeClass` refers to.
    pub(crate) handler: String,
    /// The shim's path on the node.
    pub(crate) shim: PathBuf,
    /// Who makes pods.
    pub(crate) sandboxer: Sandboxer,
    /// The runtime options, see the README.
    pub(crate) options: Vec<(String, Value)>,
}

/// What holds what the containers of a pod share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sandboxer {
    /// A pause container, containerd's default
    #[default]
    Podsandbox,
    /// The shim's daemon: no pause container exists (containerd 2.x)
    Shim,
}

/// Which tables a text needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtimes {
    /// The handler's.
    OurOnly,
    /// The handler's, and runc's if the text has no runtimes: in containerd 1.x they replace the default one.
    WithRunc,
}

impl ConfigVersion {
    /// The version of a parsed configuration. Fails for one that is not known.
    pub(crate) fn of(document: &DocumentMut) -> Result<Self> {
        match document.get("version").map(Item::as_integer) {
            None | Some(Some(1)) => Ok(Self::One),
            Some(Some(2)) => Ok(Self::Two),
            Some(Some(3)) => Ok(Self::Three),
            Some(Some(4)) => Ok(Self::Four),
            Some(Some(other)) => bail!("the configuration is of version {other}; 1 to 4 are known"),
            Some(None) => bail!("the configuration's version is not a number"),
        }
    }

    /// The plugin whose configuration holds the runtimes.
    pub(crate) fn plugin(self) -> &'static str {
        match self {
            Self::One => "cri",
            Self::Two => "io.containerd.grpc.v1.cri",
            Self::Three | Self::Four => "io.containerd.cri.v1.runtime",
        }
    }

    fn number(self) -> u8 {
        self as u8 + 1
    }
}

impl Registration {
    /// A whole file that registers the runtime and says nothing else.
    pub(crate) fn as_file(&self, version: ConfigVersion, runtimes: Runtimes) -> String {
        let runc = match runtimes {
            Runtimes::WithRunc => tables(version, "runc", &runc()),
            Runtimes::OurOnly => String::new(),
        };
        format!("{MARK}\nversion = {}\n\n{runc}{}", version.number(), self.tables(version))
    }

    /// The tables as text.
    pub(crate) fn tables(&self, version: ConfigVersion) -> String {
        tables(version, &self.handler, &self.table())
    }

    /// The configuration with the runtime in it, as the only runtime of that name. Fails if another runtime has the
    /// name already, or if anything else of the file would change.
    pub(crate) fn insert_into(&self, text: &str, runtimes: Runtimes) -> Result<String> {
        let text = self.remove_from(text)?;
        let document = parse(&text)?;
        let version = ConfigVersion::of(&document)?;
        ensure!(!is_disabled(&document), "containerd's CRI plugin is among the disabled_plugins");
        self.refuse_anothers(&document)?;
        let lacks_runtimes = runtimes_of(&document, version).is_none_or(|runtimes| runtimes.is_empty());
        let with_runc = match runtimes {
            Runtimes::WithRunc if lacks_runtimes => insert(&text, version, "runc", runc())?,
            _ => text,
        };
        insert(&with_runc, version, &self.handler, self.table())
    }

    /// The configuration without what [`insert_into`](Self::insert_into) put there, and otherwise unchanged.
    pub(crate) fn remove_from(&self, text: &str) -> Result<String> {
        let mut document = parse(text)?;
        let version = ConfigVersion::of(&document)?;
        let Some(runtimes) = runtimes_mut(&mut document, version) else { return Ok(text.to_owned()) };
        let ours = runtimes.get(&self.handler).is_some_and(|item| self.is_ours(item));
        if !ours {
            return Ok(text.to_owned());
        }
        runtimes.remove(&self.handler);
        if runtimes.get("runc").and_then(Item::as_table).is_some_and(is_marked) {
            runtimes.remove("runc");
        }
        Ok(document.to_string())
    }

    /// Fails if the configuration has a runtime of this name that was not made by an installer.
    pub(crate) fn refuse_anothers(&self, document: &DocumentMut) -> Result<()> {
        let runtimes = runtimes_of(document, ConfigVersion::of(document)?);
        let Some(item) = runtimes.and_then(|runtimes| runtimes.get(&self.handler)) else { return Ok(()) };
        let whose = item.get("runtime_type").and_then(Item::as_str).unwrap_or("unknown type");
        ensure!(
            self.is_ours(item),
            "containerd already has a runtime handler {} (of {whose}); choose another name for this one",
            self.handler
        );
        Ok(())
    }

    /// A shim at this very path is never anyone else's: the directory is the installer's own.
    fn is_ours(&self, item: &Item) -> bool {
        item.get("runtime_path").and_then(Item::as_str).is_some_and(|path| Path::new(path) == self.shim)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.insert("runtime_type", value(TYPE));
        table.insert("runtime_path", value(self.shim.display().to_string()));
        if self.sandboxer == Sandboxer::Shim {
            table.insert("sandboxer", value("shim"));
        }
        if !self.options.is_empty() {
            let mut options = Table::new();
            for (name, option) in &self.options {
                options.insert(name, Item::Value(option.clone()));
            }
            table.insert("options", Item::Table(options));
        }
        table
    }
}

/// A configuration's text, parsed. Fails with the line that is wrong.
pub(crate) fn parse(text: &str) -> Result<DocumentMut> {
    text.parse().context("parsing the configuration")
}

fn insert(text: &str, version: ConfigVersion, name: &str, mut table: Table) -> Result<String> {
    let mut document = parse(text)?;
    table.decor_mut().set_prefix(format!("\n{MARK}\n"));
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for key in path(version) {
        let item = at.entry(key).or_insert_with(implicit);
        at = item.as_table_like_mut().with_context(|| format!("{key} is not a table"))?;
    }
    at.insert(name, Item::Table(table));
    let new = document.to_string();
    ensure!(
        is_insertion(text, &new),
        "adding runtimes.{name} would change other lines of the configuration; add it by hand"
    );
    Ok(new)
}

/// Whether `new` is `old` with something put in at one place.
fn is_insertion(old: &str, new: &str) -> bool {
    let (old, new) = (old.trim_end_matches('\n').as_bytes(), new.trim_end_matches('\n').as_bytes());
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    before + after >= old.len() && new.len() >= old.len()
}

fn path(version: ConfigVersion) -> [&'static str; 4] {
    ["plugins", version.plugin(), "containerd", "runtimes"]
}

fn runtimes_of(document: &DocumentMut, version: ConfigVersion) -> Option<&dyn TableLike> {
    let mut at: &dyn TableLike = document.as_table();
    for key in path(version) {
        at = at.get(key)?.as_table_like()?;
    }
    Some(at)
}

fn runtimes_mut(document: &mut DocumentMut, version: ConfigVersion) -> Option<&mut dyn TableLike> {
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for key in path(version) {
        at = at.get_mut(key)?.as_table_like_mut()?;
    }
    Some(at)
}

fn is_disabled(document: &DocumentMut) -> bool {
    let disabled = document.get("disabled_plugins").and_then(Item::as_array);
    let cri = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];
    disabled.is_some_and(|list| list.iter().any(|name| name.as_str().is_some_and(|name| cri.contains(&name))))
}

fn is_marked(table: &Table) -> bool {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).is_some_and(|prefix| prefix.contains(MARK))
}

/// As containerd 1.7 has it by default.
fn runc() -> Table {
    let mut table = Table::new();
    table.insert("runtime_type", value("io.containerd.runc.v2"));
    table.insert("sandbox_mode", value("podsandbox"));
    table
}

fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

/// A runtime's tables, with their full names.
fn tables(version: ConfigVersion, name: &str, table: &Table) -> String {
    let name = [&path(version)[..], &[name]].concat();
    let header = |more: &[&str]| {
        let keys = name.iter().chain(more).map(|key| Key::new(*key).display_repr().into_owned());
        format!("[{}]\n", keys.collect::<Vec<_>>().join("."))
    };
    let mut text = header(&[]);
    for (key, item) in table {
        match item {
            Item::Table(options) => text += &format!("\n{}{options}", header(&[key])),
            item => text += &format!("{key} = {}\n", item.to_string().trim()),
        }
    }
    text
}

#[cfg(test)]
mod tests;
