//! What clap says about a wrong command line, in one line.
//!
//! An error that a script logs is one line here like every other; the usage and the examples are a `--help` away, and the
//! line says so.

/// The message without its `error:`, its usage lines and its line breaks; a tip stays.
pub fn one_line(rendered: &str) -> String {
    let mut text = String::new();
    for line in rendered.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str(if line.starts_with("tip:") || line.starts_with('[') { "; " } else { " " });
        }
        text.push_str(line);
    }
    text.push_str("; try --help");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_message_and_its_tip_remain() {
        let rendered = "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'\n\n\
                        Usage: ringpost serve --port <N>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            super::one_line(rendered),
            "unexpected argument '--prot' found; tip: a similar argument exists: '--port'; try --help"
        );
        let rendered = "error: the following required arguments were not provided:\n  <NAME>\n\nUsage: x\n";
        assert_eq!(super::one_line(rendered), "the following required arguments were not provided: <NAME>; try --help");
    }
}
