//! A place is the one file of a node that the registration goes into, and in which form.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item};

use crate::containerd::Generation;
use crate::host::Host;
use crate::layout::{Layout, Source};
use crate::registration::{
    ConfigVersion, Registration, Runtimes, Sandboxer, parse, with_block, without_block,
};

/// The name of the file that a configuration imports.
const DROP_IN: &str = "containerd-shim-wasmedge.toml";
/// What k3s and RKE2 make their configuration from if they find no template.
const GO_TEMPLATE: &str = "{{ template \"base\" . }}\n";

/// Where the registration goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, which may not exist yet.
    pub(crate) file: PathBuf,
    /// How it is there.
    pub(crate) form: Form,
    version: ConfigVersion,
    runtimes: Runtimes,
    is_read: bool,
}

/// How a registration is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// The file is the registration.
    File,
    /// A table among others.
    Table,
    /// A marked piece of text.
    Block,
}

impl Place {
    /// Chooses the place. Fails if the configuration cannot be read, or has a handler of that name already.
    ///
    /// A file that is imported is the first choice, but not of containerd 1.x: there it replaces the whole CRI plugin's
    /// configuration. And it must be of the main file's version: containerd 2.1 forgets a main file of version 2 for
    /// an imported one of version 3.
    pub(crate) fn choose(
        host: &Host,
        layout: &Layout,
        generation: Generation,
        registration: &Registration,
    ) -> Result<Self> {
        ensure!(
            generation == Generation::Two || registration.sandboxer == Sandboxer::Podsandbox,
            "the sandboxer shim takes containerd 2.x"
        );
        let in_file = || format!("{}", layout.config.display());
        let config = host.read(&layout.config)?.map(|file| file.text).unwrap_or_default();
        let document = parse(&config).with_context(in_file)?;
        registration.refuse_anothers(&document).with_context(in_file)?;
        let version = ConfigVersion::of(&document).with_context(in_file)?;
        ensure!(
            generation == Generation::One || version != ConfigVersion::One || document.is_empty(),
            "{}: it names no version or version 1, of which containerd 2.x takes no runtimes: migrate it first",
            layout.config.display()
        );
        let runtimes = match generation {
            Generation::One => Runtimes::WithRunc,
            Generation::Two => Runtimes::OurOnly,
        };
        let at = |file: PathBuf, form, version| Self { file, form, version, runtimes, is_read: true };
        if generation == Generation::Two
            && version != ConfigVersion::One
            && let Some(directory) = imported_directory(&document, &layout.config)
        {
            return Ok(at(directory.join(DROP_IN), Form::File, version));
        }
        Ok(match &layout.source {
            Source::Config if document.is_empty() => {
                at(layout.config.clone(), Form::File, generation.config_version())
            }
            Source::Config => at(layout.config.clone(), Form::Table, version),
            Source::TomlTemplate(template) => {
                Self { is_read: false, ..at(template.clone(), Form::Table, version) }
            }
            Source::GoTemplates(directory) => {
                let name = match version {
                    ConfigVersion::Three | ConfigVersion::Four => "config-v3.toml.tmpl",
                    _ => "config.toml.tmpl",
                };
                Self { is_read: false, ..at(directory.join(name), Form::Block, version) }
            }
        })
    }

    /// Whether containerd reads the file itself, so that it can be asked what it will make of it.
    pub(crate) fn can_be_foreseen(&self) -> bool {
        self.is_read
    }

    /// The file's text with the registration in it, from the text that it has now, if it exists.
    pub(crate) fn register(&self, now: Option<&str>, registration: &Registration) -> Result<String> {
        let registered = match self.form {
            Form::File => Ok(registration.as_file(self.version, self.runtimes)),
            Form::Table => registration.insert_into(now.unwrap_or_default(), self.runtimes),
            Form::Block => Ok(with_block(now.unwrap_or(GO_TEMPLATE), &registration.tables(self.version))),
        };
        registered.with_context(|| format!("{}", self.file.display()))
    }
}

impl Form {
    /// The text without a registration in this form, or `None` if nothing of the file remains.
    pub(crate) fn unregister(self, now: &str, registration: &Registration) -> Result<Option<String>> {
        Ok(match self {
            Self::File => None,
            Self::Table => Some(registration.remove_from(now)?),
            Self::Block => Some(without_block(now)).filter(|text| text != GO_TEMPLATE),
        })
    }
}

/// The first directory whose every `.toml` file is imported.
fn imported_directory(document: &DocumentMut, config: &Path) -> Option<PathBuf> {
    let imports = document.get("imports").and_then(Item::as_array)?;
    let patterns = imports.iter().filter_map(|pattern| pattern.as_str());
    let directories = patterns.filter_map(|pattern| pattern.strip_suffix("/*.toml"));
    let mut plain = directories.filter(|directory| !directory.contains(['*', '?', '[']));
    Some(config.parent()?.join(plain.next()?))
}

#[cfg(test)]
mod tests;
