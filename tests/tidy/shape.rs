//! How things read: sizes, the head of a file, names, and words that are not to stay.
//!
//! Lines of tests don't count to a file's size, and a test may be as long as its table; all else is the same for both.

use crate::source::{Kind, Source, Tree, Violation, closing};

/// Lines of a file, its tests aside.
const FILE_LINES_MAX: usize = 700;
/// Lines of a function, from `fn` to its closing brace: a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Parameters of a function, `self` aside.
const PARAMETERS_MAX: usize = 5;
/// Lines of `//!` that open a file. One is enough for a file that only lists modules and for tests; a list of
/// invariants may be longer.
const HEAD_LINES: (usize, usize) = (3, 10);
const HEAD_LINES_WITH_INVARIANTS_MAX: usize = 20;
/// Lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Files, folders and modules are named for what they do.
const EMPTY_NAMES: [&str; 10] =
    ["util", "utils", "common", "helper", "helpers", "manager", "managers", "handler", "handlers", "misc"];
/// A seam of the store that the design names so.
const SEAM: &str = "get_range";
/// Ends of type names that say nothing.
const EMPTY_ENDS: [&str; 5] = ["Util", "Utils", "Helper", "Manager", "Handler"];

/// Files stay under their size.
pub fn file_sizes(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !file.is_test) {
        let lines = file.text.lines().count() - file.test_lines();
        if lines > FILE_LINES_MAX {
            found.push(file.violation(1, format!("{lines} lines without its tests, of {FILE_LINES_MAX}")));
        }
    }
    found
}

/// Functions fit a screen and take few parameters.
pub fn functions(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.under(&["src/", "loadgen/src/"]) {
        for at in 0..file.tokens.len() {
            let Some(function) = function(file, at) else { continue };
            let name = &file.tokens[at + 1].text;
            let line = file.tokens[at].line;
            if function.lines > FUNCTION_LINES_MAX && !file.in_test(at) {
                let what = format!("fn {name} has {} lines of {FUNCTION_LINES_MAX}", function.lines);
                found.push(file.violation(line, what));
            }
            if function.parameters > PARAMETERS_MAX {
                let what = format!("fn {name} takes {} parameters of {PARAMETERS_MAX}", function.parameters);
                found.push(file.violation(line, what));
            }
        }
    }
    found
}

struct Function {
    lines: usize,
    parameters: usize,
}

/// The function whose `fn` is at `at`; not a pointer's type.
fn function(file: &Source, at: usize) -> Option<Function> {
    let tokens = &file.tokens;
    if !tokens[at].is("fn") || tokens.get(at + 1)?.kind != Kind::Word {
        return None;
    }
    let mut open = at + 2;
    if tokens.get(open)?.is("<") {
        let mut depth = 0;
        loop {
            match tokens.get(open)?.text.as_str() {
                "<" => depth += 1,
                ">" => depth -= 1,
                _ => {}
            }
            open += 1;
            if depth == 0 {
                break;
            }
        }
    }
    if !tokens.get(open)?.is("(") {
        return None;
    }
    let close = closing(tokens, open);
    let mut end = close + 1;
    while !tokens.get(end)?.is(";") && !tokens[end].is("{") {
        let inside = tokens[end].is("(") || tokens[end].is("[");
        end = if inside { closing(tokens, end) + 1 } else { end + 1 };
    }
    let last = if tokens[end].is("{") { closing(tokens, end) } else { end };
    Some(Function { lines: tokens[last].line - tokens[at].line + 1, parameters: parameters(file, open, close) })
}

/// Parameters between the parentheses at `open` and `close`, `self` aside.
fn parameters(file: &Source, open: usize, close: usize) -> usize {
    let tokens = &file.tokens;
    let (mut count, mut depth, mut at, mut start) = (0, 0usize, open + 1, open + 1);
    while at <= close {
        let token = &tokens[at];
        if at == close || (token.is(",") && depth == 0) {
            let receiver = tokens[start..at].iter().find(|token| token.kind == Kind::Word && !token.is("mut"));
            count += usize::from(receiver.is_some_and(|word| !word.is("self")));
            start = at + 1;
        } else if token.is("<") {
            depth += 1;
        } else if token.is(">") {
            depth = depth.saturating_sub(1);
        } else if token.is("(") || token.is("[") || token.is("{") {
            at = closing(tokens, at);
        }
        at += 1;
    }
    count
}

/// A file opens with what it is.
pub fn heads(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let invariants = head.iter().any(|line| line.contains("nvariants"));
        let least = if file.is_test || lists_modules(file) { 1 } else { HEAD_LINES.0 };
        let most = if invariants { HEAD_LINES_WITH_INVARIANTS_MAX } else { HEAD_LINES.1 };
        let lines = head.len();
        if !(least..=most).contains(&lines) {
            found.push(file.violation(1, format!("opens with {lines} lines of `//!`, not {least} to {most}")));
        } else if head.iter().any(|line| line.contains("(room)")) {
            found.push(file.violation(1, "an empty room"));
        }
    }
    found
}

/// Whether a file is `mod`, `use` and attributes, or a bare `main`.
fn lists_modules(file: &Source) -> bool {
    let definitions = ["struct", "enum", "trait", "type", "fn", "impl", "const", "static", "macro_rules"];
    file.tokens.iter().all(|token| !definitions.iter().any(|word| token.is(word)))
}

/// Names say what a thing does.
pub fn names(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        let parts = file.path.trim_end_matches(".rs").split(['/', '_']);
        for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            found.push(file.violation(1, format!("a path of `{part}`")));
        }
        for pair in file.tokens.windows(2) {
            let [keyword, name] = pair else { continue };
            let wrong = match keyword.text.as_str() {
                _ if keyword.kind != Kind::Word || name.kind != Kind::Word => false,
                "mod" => EMPTY_NAMES.contains(&name.text.as_str()),
                "fn" => name.text.starts_with("get_") && name.text != SEAM,
                "struct" | "enum" | "trait" | "type" | "union" => EMPTY_ENDS.iter().any(|end| name.text.ends_with(end)),
                _ => false,
            };
            if wrong {
                found.push(
                    file.violation(name.line, format!("a name that says nothing: {} {}", keyword.text, name.text)),
                );
            }
        }
    }
    found
}

/// Nothing is left for later, and no test is switched off.
pub fn leftovers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (at, token) in file.tokens.iter().enumerate() {
            let left = ["todo", "unimplemented", "dbg"].iter().any(|name| file.reads(at, &[name, "!"]))
                || file.reads(at, &["#", "[", "ignore"]);
            if left {
                let what: String = file.tokens[at..].iter().take(3).map(|token| token.text.as_str()).collect();
                found.push(file.violation(token.line, format!("left over: {what}")));
            }
        }
        for comment in &file.comments {
            let words = comment.text.split(|next: char| !next.is_alphanumeric());
            for word in words.filter(|word| ["FIXME", "TODO", "XXX"].contains(word)) {
                found.push(file.violation(comment.line, format!("left over: {word}")));
            }
        }
    }
    found
}

/// The library's errors are enums of its own.
pub fn boxed_errors(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.under(&["src/"]) {
        for (at, token) in file.tokens.iter().enumerate().filter(|(at, _)| file.reads(*at, &["Box", "<", "dyn"])) {
            let mut path = file.tokens[at + 3..].iter().take_while(|token| token.kind == Kind::Word || token.is("::"));
            if path.any(|token| token.is("Error")) && !file.in_test(at) {
                found.push(file.violation(token.line, "a boxed error"));
            }
        }
    }
    found
}

/// What a page over its size breaks.
pub fn page_size(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > ARCHITECTURE_LINES_MAX).then(|| Violation {
        path: path.to_string(),
        line: lines,
        what: format!("{lines} lines of {ARCHITECTURE_LINES_MAX}"),
    })
}

/// The load generator stands on its own, as the tests' second opinion.
pub fn second_opinion(manifest: &str) -> Option<Violation> {
    let names = |line: &str| line.split(|next: char| !next.is_alphanumeric()).any(|word| word == "ringpost");
    let line = manifest.lines().position(names)?;
    Some(Violation {
        path: "loadgen/Cargo.toml".to_string(),
        line: line + 1,
        what: "the load generator depends on the server".to_string(),
    })
}
