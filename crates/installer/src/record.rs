//! The record says what the node was like before the installer came: `installation.json` in its directory.
//!
//! It is written before the change that it is about, so that whatever stops the installer, what it has done can be
//! taken back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::host::{Host, TextFile};
use crate::place::Form;
use crate::registration::Registration;

const NAME: &str = "installation.json";

/// What was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The files that were changed.
    pub(crate) files: BTreeMap<PathBuf, Change>,
    /// The directories that were made for them, outermost first.
    pub(crate) directories: Vec<PathBuf>,
    /// Directories that the runtime makes when it runs, and that were not there.
    pub(crate) traces: Vec<PathBuf>,
    /// Whether files were changed that containerd has not read yet.
    pub(crate) restart_due: bool,
}

/// One file's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The file as it would be without the registration; `None` if it would not exist.
    before: Option<TextFile>,
    /// What was written.
    after: String,
    /// In which form the registration is in it.
    form: Form,
}

impl Record {
    /// The record of an installation in `directory`, or `None` if there is none. Fails if it cannot be read.
    pub(crate) fn load(host: &Host, directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(NAME);
        let Some(file) = host.read(&path)? else { return Ok(None) };
        let record =
            serde_json::from_str(&file.text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Some(record))
    }

    /// Writes it. The directory must exist.
    pub(crate) fn save(&self, host: &Host, directory: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing down what was there before")?;
        host.write(&directory.join(NAME), &TextFile { mode: 0o600, ..TextFile::new(text + "\n") })
    }

    /// Notes that `file`, which is `now`, is about to become `after`. What was there before the first of such changes
    /// stays on record, unless somebody else has changed the file since.
    pub(crate) fn note(
        &mut self,
        file: &Path,
        now: Option<TextFile>,
        after: &str,
        form: Form,
        registration: &Registration,
    ) -> Result<()> {
        let before = match self.files.get(file) {
            Some(change) => change.undone(now, registration)?,
            None => now,
        };
        let change = Change { before, after: after.to_owned(), form };
        self.files.insert(file.to_owned(), change);
        Ok(())
    }
}

impl Change {
    /// The file as it shall be when the registration is gone, given what it is now.
    ///
    /// A file that is still as the installer wrote it becomes what it was, byte for byte. From one that was edited
    /// since, only the registration is taken out.
    pub(crate) fn undone(
        &self,
        now: Option<TextFile>,
        registration: &Registration,
    ) -> Result<Option<TextFile>> {
        let Some(now) = now else { return Ok(None) };
        if now.text == self.after {
            return Ok(self.before.clone());
        }
        let text = self.form.unregister(&now.text, registration)?;
        Ok(text.map(|text| TextFile { text, ..now }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::Sandboxer;

    const FILE: &str = "/etc/containerd/config.toml";

    fn registration() -> Registration {
        Registration {
            handler: "wasmedge".to_owned(),
            shim: "/opt/w/shim".into(),
            sandboxer: Sandboxer::default(),
            options: Vec::new(),
        }
    }

    fn registered(text: &str) -> String {
        registration().insert_into(text, crate::registration::Runtimes::OurOnly).unwrap()
    }

    fn noted(before: &str) -> Record {
        let mut record = Record::default();
        let now = Some(TextFile { mode: 0o640, ..TextFile::new(before.to_owned()) });
        record.note(Path::new(FILE), now, &registered(before), Form::Table, &registration()).unwrap();
        record
    }

    fn undone(record: &Record, now: &str) -> Option<TextFile> {
        record.files[Path::new(FILE)].undone(Some(TextFile::new(now.to_owned())), &registration()).unwrap()
    }

    #[test]
    fn an_untouched_file_becomes_what_it_was_with_its_mode() {
        let before = "version = 3 # \t\n\n\n";
        let file = undone(&noted(before), &registered(before)).unwrap();
        assert_eq!((file.text.as_str(), file.mode), (before, 0o640));
    }

    #[test]
    fn what_the_administrator_has_changed_since_stays() {
        let edited = registered("version = 3\n").replace("version = 3\n", "version = 3\noom_score = 7\n");
        assert_eq!(undone(&noted("version = 3\n"), &edited).unwrap().text, "version = 3\noom_score = 7\n");
    }

    #[test]
    fn a_second_change_keeps_the_first_ones_before() {
        let mut record = noted("version = 3\n");
        let now = Some(TextFile::new(registered("version = 3\n")));
        record.note(Path::new(FILE), now, "other", Form::Table, &registration()).unwrap();
        assert_eq!(undone(&record, "other").unwrap().text, "version = 3\n");
    }

    #[test]
    fn a_file_that_did_not_exist_is_to_go() {
        let mut record = Record::default();
        record.note(Path::new(FILE), None, "x", Form::File, &registration()).unwrap();
        assert_eq!(undone(&record, "x"), None);
        assert_eq!(undone(&record, "x, and edited"), None);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        assert_eq!(Record::load(&host, Path::new("/")).unwrap(), None);
        let record = noted("version = 3\n");
        record.save(&host, Path::new("/")).unwrap();
        assert_eq!(Record::load(&host, Path::new("/")).unwrap(), Some(record));
    }
}
