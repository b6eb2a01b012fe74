//! A block is a piece of text between two marks: the way into a file that is no TOML yet, such as a template.

/// What stands before and after it.
const BEGIN: &str = "# wasmedge-node-installer: begin\n";
const END: &str = "# wasmedge-node-installer: end\n";

/// The text with the block at its end, instead of the one that it may have.
pub(crate) fn with_block(text: &str, block: &str) -> String {
    let text = without_block(text);
    let gap = if text.is_empty() || text.ends_with('\n') { "\n" } else { "\n\n" };
    format!("{text}{gap}{BEGIN}{block}{END}")
}

/// The text without the block, and without the empty line that [`with_block`] puts before it.
pub(crate) fn without_block(text: &str) -> String {
    let Some((before, rest)) = text.split_once(BEGIN) else { return text.to_owned() };
    let after = rest.split_once(END).map_or("", |(_, after)| after);
    format!("{}{after}", before.strip_suffix('\n').unwrap_or(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_goes_in_and_out_again() {
        for text in ["{{ template \"base\" . }}\n", "a\n\n"] {
            let with = with_block(text, "x = 1\n");
            assert!(with.starts_with(text) && with.ends_with(END), "{with}");
            assert_eq!(with_block(&with, "x = 1\n"), with);
            assert_eq!(without_block(&with), text);
        }
    }

    #[test]
    fn what_was_written_below_a_block_stays() {
        let with = with_block("a\n", "x = 1\n") + "b\n";
        assert_eq!(without_block(&with), "a\nb\n");
    }
}
