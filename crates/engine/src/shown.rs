//! A shown text: words that a guest or an image has chosen, fit for a person's terminal.
//!
//! Without control characters, which could move the cursor or tell another story in a second line, and cut to a length.

/// A name in a message is cut to so many characters.
const NAME: usize = 64;
/// A whole message is cut to so many.
const MESSAGE: usize = 2000;

/// A name, one of several in a message. An empty one is shown as `""`.
pub(crate) fn name(name: &str) -> String {
    if name.is_empty() { "\"\"".to_owned() } else { cut(name, NAME) }
}

/// A whole message, whatever is quoted in it.
pub(crate) fn message(message: &str) -> String {
    cut(message, MESSAGE)
}

fn cut(text: &str, most: usize) -> String {
    let mut shown: String =
        text.chars().take(most).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_short_line() {
        let shown = name(&format!("a\n\x1b[2J{}", "x".repeat(100_000)));
        assert!(shown.starts_with("a\u{fffd}\u{fffd}[2Jxx") && shown.ends_with("x…"), "{shown}");
        assert_eq!(shown.chars().count(), NAME + 1);
        assert_eq!(message("a: b"), "a: b");
        assert_eq!(name(""), "\"\"");
    }
}
