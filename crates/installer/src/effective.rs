//! The effective configuration is what containerd itself makes of its files: defaults, imports and all.
//!
//! It is asked for before containerd is restarted, so that a change that would cost the node more than it brings is
//! found while nothing has happened yet.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::host::Host;
use crate::layout::Layout;
use crate::registration::{ConfigVersion, Registration, parse};

/// What containerd reads out of its files.
pub(crate) struct Effective {
    document: DocumentMut,
}

impl Effective {
    /// Asks containerd's program. `None` if the program is nowhere to be found, or there is no configuration.
    /// Fails if containerd refuses its configuration.
    pub(crate) fn of(host: &Host, layout: &Layout) -> Result<Option<Self>> {
        if !host.has(&layout.config) {
            return Ok(None);
        }
        for program in layout.programs {
            let mut dump = host.command(program);
            dump.arg("--config").arg(&layout.config).args(["config", "dump"]).stdin(Stdio::null());
            let Ok(output) = dump.output() else { continue };
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() && complaint.contains("wasmedge-node-installer: running ") {
                continue;
            }
            ensure!(
                output.status.success(),
                "containerd refuses its configuration {}: {}",
                layout.config.display(),
                complaint.trim()
            );
            let text =
                String::from_utf8(output.stdout).context("reading what containerd's config dump says")?;
            return Ok(Some(Self { document: parse(&text)? }));
        }
        Ok(None)
    }

    /// Fails if it has a runtime of this name that was not made by an installer.
    pub(crate) fn refuse_anothers(&self, registration: &Registration) -> Result<()> {
        registration.refuse_anothers(&self.document)
    }

    /// Fails unless the only difference from `before` is the runtime of that name.
    pub(crate) fn ensure_only_adds(mut self, mut before: Self, handler: &str) -> Result<()> {
        for document in [&mut self.document, &mut before.document] {
            document.remove("imports");
            forget(document, handler);
            prune(document.as_table_mut());
        }
        let (before, after) = (before.document.to_string(), self.document.to_string());
        let lost: Vec<_> = before.lines().filter(|line| !after.lines().any(|other| other == *line)).collect();
        ensure!(
            before == after,
            "registering {handler} would change what else containerd is told{}{}",
            if lost.is_empty() { "" } else { ", it would lose: " },
            lost.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ")
        );
        Ok(())
    }
}

/// Takes out what says no more than a key that is not there: containerd prints some of them or not, as they come.
fn prune(table: &mut dyn TableLike) {
    for (_, item) in table.iter_mut() {
        if let Some(inner) = item.as_table_like_mut() {
            prune(inner);
        }
    }
    let says_nothing = |item: &Item| match item {
        Item::Table(table) => table.is_empty(),
        Item::Value(Value::String(text)) => text.value().is_empty(),
        Item::Value(Value::Integer(number)) => *number.value() == 0,
        Item::Value(Value::Boolean(boolean)) => !*boolean.value(),
        Item::Value(Value::Array(array)) => array.is_empty(),
        _ => false,
    };
    let empty = table.iter().filter(|(_, item)| says_nothing(item)).map(|(key, _)| key.to_owned());
    for key in empty.collect::<Vec<_>>() {
        table.remove(&key);
    }
}

fn forget(document: &mut DocumentMut, handler: &str) {
    let Ok(version) = ConfigVersion::of(document) else { return };
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for key in ["plugins", version.plugin(), "containerd", "runtimes"] {
        let Some(next) = at.get_mut(key).and_then(|item| item.as_table_like_mut()) else { return };
        at = next;
    }
    at.remove(handler);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "version = 3\noom_score = 7\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\nruntime_type = 'runc'\nsnapshotter = ''\n";

    fn effective(text: &str) -> Effective {
        Effective { document: parse(text).unwrap() }
    }

    #[test]
    fn a_runtime_more_is_all_that_may_differ() {
        let after = BEFORE.replace("snapshotter = ''\n", "")
            + "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wasmedge]\nruntime_type = 'w'\n";
        effective(&after).ensure_only_adds(effective(BEFORE), "wasmedge").unwrap();
    }

    #[test]
    fn what_would_be_lost_is_named() {
        let after = BEFORE.replace("oom_score = 7\n", "");
        let error = effective(&after).ensure_only_adds(effective(BEFORE), "wasmedge").unwrap_err();
        assert!(error.to_string().contains("it would lose: oom_score = 7"), "{error}");
    }
}
