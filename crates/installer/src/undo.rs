//! An undo list holds, for each step that was done, how to take it back.

use anyhow::Result;

/// How one step is taken back.
type Action<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// Steps that were done, the last one last.
#[derive(Default)]
pub(crate) struct Undo<'a> {
    actions: Vec<(&'static str, Action<'a>)>,
}

impl<'a> Undo<'a> {
    /// Notes how to take back what is about to be done. `what` completes the sentence "while …".
    pub(crate) fn push(&mut self, what: &'static str, action: impl FnOnce() -> Result<()> + 'a) {
        self.actions.push((what, Box::new(action)));
    }

    /// Takes everything back, the last step first, whatever fails on the way; the failures, if any.
    pub(crate) fn roll_back(self) -> Vec<anyhow::Error> {
        let failed =
            |(what, action): (&'static str, Action<'a>)| action().err().map(|error| error.context(what));
        self.actions.into_iter().rev().filter_map(failed).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_last_step_is_taken_back_first_and_a_failure_does_not_stop_the_rest() {
        let done = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        undo.push("taking back the first", || {
            done.borrow_mut().push(1);
            Ok(())
        });
        undo.push("taking back the second", || anyhow::bail!("it is stuck"));
        undo.push("taking back the third", || {
            done.borrow_mut().push(3);
            Ok(())
        });
        let failures = undo.roll_back();
        assert_eq!(failures.len(), 1);
        assert_eq!(format!("{:#}", failures[0]), "taking back the second: it is stuck");
        assert_eq!(*done.borrow(), [3, 1]);
    }
}
