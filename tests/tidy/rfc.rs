//! `tests/rfc.tsv`, the table of requirements: what the code cites, and each MUST and SHOULD of the RFCs that
//! `tests/rfc/count` has counted, with the test that shows it.
//!
//! Whether a test shows what its row says is for the reader to judge; here it has to exist.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::source::{Tree, Violation};

const TABLE: &str = "tests/rfc.tsv";
const COUNTS: &str = "tests/rfc/counts.tsv";
/// Scripts that show a requirement stand below it.
const SCRIPTS: &str = "tests/conformance/";
/// The words that are counted, and that of a row which is there for a citation.
const WORDS: [&str; 2] = ["MUST", "SHOULD"];
const CITED: &str = "-";

/// A row of the table.
struct Row<'t> {
    line: usize,
    rfc: &'t str,
    section: &'t str,
    word: &'t str,
    requirement: &'t str,
    state: &'t str,
    test: &'t str,
}

fn wrong(path: &str, line: usize, what: String) -> Violation {
    Violation { path: path.to_string(), line, what }
}

/// Lines of a table with their numbers, comments left out.
fn lines(table: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = table.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| (at + 1, line.split('\t').collect()))
}

/// Rows of `table`; what is none goes to `found`.
fn rows<'t>(table: &'t str, found: &mut Vec<Violation>) -> Vec<Row<'t>> {
    let mut rows = Vec::new();
    for (line, columns) in lines(table) {
        match columns[..] {
            [rfc, section, word, requirement, state, test] => {
                rows.push(Row { line, rfc, section, word, requirement, state, test });
            }
            _ => found.push(wrong(TABLE, line, format!("{} columns, not 6", columns.len()))),
        }
    }
    rows
}

/// Every row of `table` is one, no two are the same, and each `yes` has a test that exists: `path::function` in the tree,
/// or a script that `exists` says is there.
pub fn requirements(tree: &Tree, table: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let functions: HashSet<(&str, &str)> = tree
        .files
        .iter()
        .flat_map(|file| file.tokens.windows(2).map(move |pair| (file, pair)))
        .filter(|(_, pair)| pair[0].is("fn"))
        .map(|(file, pair)| (file.path.as_str(), pair[1].text.as_str()))
        .collect();
    let shows = |test: &str| match test.split_once("::") {
        Some(function) => functions.contains(&function),
        None => test.starts_with(SCRIPTS) && exists(test),
    };
    let mut seen: HashMap<[&str; 4], usize> = HashMap::new();
    for row in rows(table, &mut found) {
        if row.word != CITED && !WORDS.contains(&row.word) {
            found.push(wrong(TABLE, row.line, format!("`{}` is not MUST, SHOULD or -", row.word)));
        }
        if let Some(first) = seen.insert([row.rfc, row.section, row.word, row.requirement], row.line) {
            found.push(wrong(TABLE, row.line, format!("the same as line {first}")));
        }
        match row.state {
            "yes" if !shows(row.test) => found.push(wrong(TABLE, row.line, format!("`{}` is no test", row.test))),
            "partial" | "no" | "n/a" if row.test.trim().is_empty() => {
                found.push(wrong(TABLE, row.line, format!("`{}` without a reason", row.state)));
            }
            "yes" | "partial" | "no" | "n/a" => {}
            _ => found.push(wrong(TABLE, row.line, format!("`{}` is not yes, partial, no or n/a", row.state))),
        }
    }
    found
}

/// Every citation in `src` is in `table`.
pub fn citations(tree: &Tree, table: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let listed: HashSet<(&str, &str)> = rows(table, &mut Vec::new()).iter().map(|row| (row.rfc, row.section)).collect();
    for file in tree.under(&["src/"]) {
        for comment in &file.comments {
            for (rfc, section) in cited(&comment.text) {
                if !listed.contains(&(rfc, section)) {
                    found.push(file.violation(comment.line, format!("RFC {rfc} §{section} is not in {TABLE}")));
                }
            }
        }
    }
    found
}

/// What `text` cites as `RFC 9051 §6.4.5`.
fn cited(text: &str) -> Vec<(&str, &str)> {
    let mut citations = Vec::new();
    for after in text.split("RFC ").skip(1) {
        let digits = after.find(|next: char| !next.is_ascii_digit()).unwrap_or(after.len());
        let Some(section) = after[digits..].strip_prefix(" §") else { continue };
        let end = section.find(|next: char| !next.is_ascii_alphanumeric() && next != '.').unwrap_or(section.len());
        citations.push((&after[..digits], section[..end].trim_end_matches('.')));
    }
    citations
}

/// A word in a section: where it stands first, how many there should be, how many there are.
struct Word {
    path: &'static str,
    line: usize,
    count: usize,
    rows: usize,
}

/// `table` has as many rows of each RFC, section and word as `counts` says.
pub fn counted(table: &str, counts: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut words: BTreeMap<[&str; 3], Word> = BTreeMap::new();
    for (line, columns) in lines(counts) {
        let [rfc, section, word, count] = columns[..] else {
            found.push(wrong(COUNTS, line, format!("{} columns, not 4", columns.len())));
            continue;
        };
        match count.parse() {
            Ok(count) if count > 0 && WORDS.contains(&word) => {
                if words.insert([rfc, section, word], Word { path: COUNTS, line, count, rows: 0 }).is_some() {
                    found.push(wrong(COUNTS, line, format!("RFC {rfc} §{section} {word} comes twice")));
                }
            }
            _ => found.push(wrong(COUNTS, line, format!("`{word} {count}` is no word and its count"))),
        }
    }
    for row in rows(table, &mut Vec::new()).iter().filter(|row| WORDS.contains(&row.word)) {
        let new = Word { path: TABLE, line: row.line, count: 0, rows: 0 };
        words.entry([row.rfc, row.section, row.word]).or_insert(new).rows += 1;
    }
    for ([rfc, section, word], Word { path, line, count, rows }) in words {
        if count != rows {
            found.push(wrong(
                path,
                line,
                format!("RFC {rfc} §{section} has {count} {word}, and {rows} rows in {TABLE}"),
            ));
        }
    }
    found
}
