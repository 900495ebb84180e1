//! Rust source as the rules of `tests/tidy.rs` see it: tokens without comments, comments by line, and what is a test.
//!
//! A lexer of its own, as words in a string or a comment are not code. It knows enough of the language for that and
//! no more: it takes any text, and what rustc would refuse gets tokens of some kind.

use std::fs;
use std::ops::Range;
use std::path::Path;

/// What a token is, as far as a rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Literal,
    Lifetime,
    Mark,
}

/// A token, and the line it begins in, from 1.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
}

impl Token {
    /// A word or mark of this text; a literal never is.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text == text
    }
}

/// A comment's part of one line, with its slashes.
#[derive(Clone, Debug)]
pub struct Comment {
    pub line: usize,
    pub text: String,
}

/// One file.
#[derive(Debug)]
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
    /// Token ranges of items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
    /// The whole file is a module under `#[cfg(test)]`, or an integration test.
    pub is_test: bool,
}

/// All files that a rule looks at.
#[derive(Debug)]
pub struct Tree {
    pub files: Vec<Source>,
}

/// What breaks a rule.
#[derive(Debug)]
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub what: String,
}

impl Tree {
    /// The Rust files of the repository at `root`.
    pub fn read(root: &Path) -> Tree {
        let mut texts = Vec::new();
        for folder in ["src", "loadgen", "tests", "benches"] {
            collect(root, folder, &mut texts);
        }
        texts.sort();
        Tree::of(texts)
    }

    /// A tree of files given by path and text.
    pub fn planted(files: &[(&str, &str)]) -> Tree {
        Tree::of(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    fn of(texts: Vec<(String, String)>) -> Tree {
        let mut files: Vec<Source> = texts.into_iter().map(|(path, text)| Source::new(path, text)).collect();
        let modules: Vec<String> = files.iter().flat_map(Source::test_modules).collect();
        for file in &mut files {
            let below =
                |module: &String| file.path.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with('/'));
            file.is_test = ["tests/", "loadgen/tests/"].iter().any(|folder| file.path.starts_with(folder))
                || modules.iter().any(|module| *module == file.path || below(module));
        }
        Tree { files }
    }

    /// The files below one of `folders`.
    pub fn under<'a>(&'a self, folders: &'a [&str]) -> impl Iterator<Item = &'a Source> {
        self.files.iter().filter(|file| folders.iter().any(|folder| file.path.starts_with(folder)))
    }
}

fn collect(root: &Path, folder: &str, texts: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("file names are UTF-8"));
        if entry.file_type().unwrap().is_dir() {
            // Build results, not ours.
            if entry.file_name() != "target" {
                collect(root, &path, texts);
            }
        } else if path.ends_with(".rs") {
            texts.push((path.clone(), fs::read_to_string(root.join(&path)).unwrap()));
        }
    }
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let (tokens, comments) = Lexer { text: &text, at: 0, line: 1, tokens: Vec::new(), comments: Vec::new() }.run();
        let tests = test_items(&tokens);
        Source { path, text, tokens, comments, tests, is_test: false }
    }

    /// A violation in this file.
    pub fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }

    /// Whether the token is test code.
    pub fn in_test(&self, token: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&token))
    }

    /// Lines of the items under `#[cfg(test)]`.
    pub fn test_lines(&self) -> usize {
        self.tests.iter().map(|range| self.tokens[range.end - 1].line - self.tokens[range.start].line + 1).sum()
    }

    /// Whether the tokens from `at` on are these.
    pub fn reads(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| self.tokens.get(at + offset).is_some_and(|token| token.is(text)))
    }

    /// The file's folder, with its `/`.
    fn folder(&self) -> &str {
        &self.path[..self.path.rfind('/').map_or(0, |slash| slash + 1)]
    }

    /// The path of the module that this file is, from its crate's root.
    pub fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("loadgen/").unwrap_or(&self.path);
        let inside = inside.split_once('/').map_or(inside, |(_, rest)| rest).trim_end_matches(".rs");
        let mut module: Vec<&str> = inside.split('/').collect();
        if matches!(module.last(), Some(&"mod")) || matches!(module[..], ["lib"] | ["main"]) {
            module.pop();
        }
        module
    }

    /// Paths of files, and of folders, that this one declares as `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        for range in &self.tests {
            let tokens = &self.tokens[range.clone()];
            let [.., keyword, name, end] = tokens else { continue };
            if !keyword.is("mod") || !end.is(";") {
                continue;
            }
            let named = tokens.windows(3).find(|three| three[0].is("path") && three[1].is("="));
            if let Some([_, _, file]) = named {
                modules.push(format!("{}{}", self.folder(), file.text.trim_matches('"')));
                continue;
            }
            let stem = self.path.trim_end_matches(".rs");
            let base = match stem.rsplit('/').next() {
                Some("mod" | "lib" | "main") => self.folder().to_string(),
                _ => format!("{stem}/"),
            };
            modules.push(format!("{base}{}.rs", name.text));
            modules.push(format!("{base}{}", name.text));
        }
        modules
    }
}

/// Token ranges of the items under `#[cfg(test)]`, from the attribute to the end of the item.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.is(text));
    for at in 0..tokens.len() {
        if !(is(at, "#") && is(at + 1, "[") && is(at + 2, "cfg"))
            || ranges.last().is_some_and(|last| last.contains(&at))
        {
            continue;
        }
        let end = closing(tokens, at + 1);
        let condition = &tokens[at..end];
        if condition.iter().any(|token| token.is("test")) && !condition.iter().any(|token| token.is("not")) {
            ranges.push(at..item_end(tokens, end + 1));
        }
    }
    ranges
}

/// The token after the item that begins at `at`, attributes included.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            _ if tokens[at].kind != Kind::Mark => at += 1,
            ";" => return at + 1,
            "{" => return (closing(tokens, at) + 1).min(tokens.len()),
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// The token that closes the bracket at `open`, or the last one.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Mark {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len() - 1
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Lexer<'_> {
    fn run(mut self) -> (Vec<Token>, Vec<Comment>) {
        while let Some(first) = self.rest().chars().next() {
            let rest = self.rest();
            if rest.starts_with("//") {
                let length = rest.find('\n').unwrap_or(rest.len());
                self.comment(length);
            } else if rest.starts_with("/*") {
                let length = block_comment(rest);
                self.comment(length);
            } else if let Some(length) = string(rest) {
                self.token(Kind::Literal, length);
            } else if first == '\'' || rest.starts_with("b'") {
                self.quote();
            } else if first.is_alphabetic() || first == '_' {
                let raw = if rest.starts_with("r#") { 2 } else { 0 };
                self.at += raw;
                let length = raw_word(self.rest());
                self.token(Kind::Word, length);
            } else if first.is_ascii_digit() {
                self.token(Kind::Literal, number(rest));
            } else if first.is_whitespace() {
                self.line += usize::from(first == '\n');
                self.at += first.len_utf8();
            } else {
                let pair = ["::", "->", "=>", ".."].iter().any(|pair| rest.starts_with(pair));
                self.token(Kind::Mark, if pair { 2 } else { first.len_utf8() });
            }
        }
        (self.tokens, self.comments)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn token(&mut self, kind: Kind, length: usize) {
        let text = self.rest()[..length].to_string();
        let lines = text.matches('\n').count();
        self.tokens.push(Token { kind, text, line: self.line });
        self.line += lines;
        self.at += length;
    }

    fn comment(&mut self, length: usize) {
        let text = self.rest()[..length].to_string();
        for (offset, line) in text.lines().enumerate() {
            self.comments.push(Comment { line: self.line + offset, text: line.trim().to_string() });
        }
        self.line += text.matches('\n').count();
        self.at += length;
    }

    /// A character, a byte, or a lifetime.
    fn quote(&mut self) {
        let rest = self.rest();
        let open = rest.find('\'').unwrap_or(0) + 1;
        let mut inside = rest[open..].char_indices();
        let first = inside.next().map(|(_, first)| first);
        let second = inside.next();
        match (first, second) {
            (Some('\\'), Some((_, escaped))) => {
                let from = open + 1 + escaped.len_utf8();
                let length = rest[from..].find('\'').map_or(rest.len(), |end| from + end + 1);
                self.token(Kind::Literal, length);
            }
            (Some(_), Some((end, '\''))) => self.token(Kind::Literal, open + end + 1),
            _ => self.token(Kind::Lifetime, open + raw_word(&rest[open..])),
        }
    }
}

fn raw_word(text: &str) -> usize {
    text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let whole = raw_word(text);
    match text[whole..].strip_prefix('.') {
        Some(after) if after.starts_with(|next: char| next.is_ascii_digit()) => whole + 1 + raw_word(after),
        _ => whole,
    }
}

/// The length of the string, byte string or raw string that `text` begins with.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
            && (prefix.ends_with('r') || text[prefix.len()..].starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count();
    let body = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()));
    }
    let mut bytes = text.bytes().enumerate().skip(body);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of the block comment, nested ones inside it.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}
