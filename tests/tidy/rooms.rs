//! Where things may stand: arrows between rooms, crates, `unsafe`, locks, clocks.
//!
//! An arrow is any path from the crate's root, however it is written: `use crate::a::{b, c}`, an inline `crate::a::b`, or
//! a `super::super::a` that leaves its room. Tests of a room keep to its arrows too.

use crate::source::{Kind, Source, Token, Tree, Violation};

/// From left to right: a room names only what stands to its right.
pub const ROOMS: [&str; 15] = [
    "main",
    "tools",
    "serve",
    "control",
    "shard",
    "session",
    "archive",
    "delivery",
    "queue",
    "directory",
    "net",
    "store",
    "proto",
    "mime",
    "io",
];

/// What all may name; a leaf names leaves alone.
pub const LEAVES: [&str; 5] = ["config", "limits", "metrics", "hop", "service"];

/// Arrows that the order would allow, and that are wrong all the same.
const APART: [(&str, &str); 1] = [("store", "proto")];

/// A crate and where it may be named: a path's beginning, or a whole path.
const CRATES: [(&str, &[&str]); 8] = [
    // The raw echo is the limit that the server is measured against.
    ("io_uring", &["src/io/", "loadgen/src/echo.rs", "benches/"]),
    ("glommio", &["src/shard/executor.rs"]),
    ("rustls", &["src/net/tls.rs", "loadgen/", "tests/", "benches/"]),
    // session looks for boundaries of what it sends; the rest scans bytes for a living.
    ("memchr", &["src/proto/", "src/mime/", "src/store/", "src/session/", "loadgen/", "tests/", "benches/"]),
    ("bumpalo", &["src/net/", "src/proto/", "src/session/", "tests/", "benches/"]),
    // mime derives: what it finds out about a message is stored.
    ("rkyv", &["src/store/", "src/archive/", "src/mime/", "tests/", "benches/"]),
    ("hdrhistogram", &["src/metrics", "loadgen/", "benches/"]),
    ("criterion", &["benches/"]),
];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 6] =
    ["src/io/", "src/store/map", "src/shard/executor.rs", "loadgen/src/echo.rs", "benches/", "tests/"];

/// Where threads may share more than messages: counters, the hop queues, the tail that the kernel reads, and what a signal
/// finds out of maps.
const SHARED: [&str; 4] = ["src/hop.rs", "src/metrics", "src/io/buffers.rs", "src/store/map_fault.rs"];

/// Rooms that are told the time: they run under a simulated clock.
const TIMELESS: [&str; 4] = ["src/proto/", "src/mime/", "src/session/", "src/store/"];

/// A room names only rooms to its right, a leaf only leaves.
pub fn arrows(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.under(&["src/"]) {
        let from = if file.path == "src/main.rs" { "main" } else { file.module().first().copied().unwrap_or("lib") };
        if from == "lib" {
            found.extend(listing(file));
            continue;
        }
        let known = |name: &str| ROOMS.contains(&name) || LEAVES.contains(&name);
        if !known(from) {
            found.push(file.violation(1, format!("`{from}` is no room and no leaf")));
        }
        for (to, line) in named(file) {
            if to == from {
                continue;
            }
            let place = |name: &str| ROOMS.iter().position(|room| *room == name);
            let wrong = if !known(&to) {
                Some("is no room and no leaf")
            } else if LEAVES.contains(&to.as_str()) {
                None
            } else if LEAVES.contains(&from) {
                Some("is a room, and a leaf names none")
            } else if APART.contains(&(from, &to)) {
                Some("never meets it")
            } else if place(&to) < place(from) {
                Some("stands to its left")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                found.push(file.violation(line, format!("{from} names {to}, which {wrong}")));
            }
        }
    }
    found
}

/// `lib.rs` lists the rooms from left to right, and nothing else.
fn listing(file: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut last = 0;
    for at in 0..file.tokens.len() {
        if !file.reads(at, &["mod"]) {
            continue;
        }
        let Some(name) = file.tokens.get(at + 1) else { break };
        match ROOMS.iter().position(|room| name.is(room)) {
            Some(place) if place < last => {
                found.push(file.violation(name.line, format!("{} is listed right of {}", name.text, ROOMS[last])));
            }
            Some(place) => last = place,
            None if LEAVES.contains(&name.text.as_str()) => {}
            None => found.push(file.violation(name.line, format!("`{}` is no room and no leaf", name.text))),
        }
    }
    found
}

/// The first segments of all paths from the crate's root, with their lines.
fn named(file: &Source) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut depth = 0usize;
    // Depths at which an inline module's braces opened.
    let mut inline: Vec<usize> = Vec::new();
    for (at, token) in file.tokens.iter().enumerate() {
        if token.is("{") {
            depth += 1;
            if at >= 2 && file.reads(at - 2, &["mod"]) {
                inline.push(depth);
            }
        } else if token.is("}") {
            if inline.last() == Some(&depth) {
                inline.pop();
            }
            depth = depth.saturating_sub(1);
        }
        let begins = at == 0 || !file.tokens[at - 1].is("::");
        if begins && (token.is("crate") || token.is("super") || (token.is("self") && file.reads(at + 1, &["::"]))) {
            tree_of_paths(file, at, file.module().len() + inline.len(), &mut names);
        }
    }
    names
}

/// Walks a path, or a use tree, that begins `above` modules below the crate's root; gives the token after it.
fn tree_of_paths(file: &Source, mut at: usize, mut above: usize, names: &mut Vec<(String, usize)>) -> usize {
    loop {
        let Some(token) = file.tokens.get(at) else { return at };
        if token.is("{") {
            at += 1;
            while file.tokens.get(at).is_some_and(|token| !token.is("}")) {
                let after = tree_of_paths(file, at, above, names);
                at = if file.reads(after, &[","]) { after + 1 } else { after.max(at + 1) };
            }
            return at + 1;
        }
        match token.text.as_str() {
            "crate" => above = 0,
            "super" => above = above.saturating_sub(1),
            "self" => {}
            _ => {
                if above == 0 && (token.kind == Kind::Word || token.is("*")) {
                    names.push((token.text.clone(), token.line));
                }
                return rest_of_path(file, at);
            }
        }
        if !file.reads(at + 1, &["::"]) {
            return at + 1;
        }
        at += 2;
    }
}

/// The token after the branch of a use tree that goes on at `at`.
fn rest_of_path(file: &Source, mut at: usize) -> usize {
    while let Some(token) = file.tokens.get(at) {
        if token.is("{") {
            at = crate::source::closing(&file.tokens, at) + 1;
        } else if token.kind == Kind::Word || token.is("::") || token.is("*") {
            at += 1;
        } else {
            break;
        }
    }
    at
}

fn stands_in(file: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| file.path.starts_with(place))
}

/// A crate is named in its rooms alone.
pub fn crates(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (at, token) in file.tokens.iter().enumerate() {
            let Some((name, places)) = CRATES.iter().find(|(name, _)| token.is(name)) else { continue };
            let path = file.reads(at + 1, &["::"]) && !follows_segment(file, at);
            let whole = at > 0
                && (file.reads(at - 1, &["use"]) || file.reads(at - 1, &["crate"]))
                && (file.reads(at + 1, &[";"]) || file.reads(at + 1, &["as"]));
            if (path || whole) && !stands_in(file, places) {
                found.push(file.violation(token.line, format!("{name} is named outside {}", places.join(" "))));
            }
        }
    }
    found
}

/// Whether the word at `at` goes on a path: `a::b`, not a leading `::b`.
fn follows_segment(file: &Source, at: usize) -> bool {
    at >= 2
        && file.tokens[at - 1].is("::")
        && matches!(file.tokens[at - 2].kind, Kind::Word)
        && !["use", "in", "as"].iter().any(|word| file.tokens[at - 2].is(word))
}

/// `unsafe` stands in its rooms, and gives its reason.
pub fn unsafe_code(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &tree.files {
        for (at, token) in file.tokens.iter().enumerate().filter(|(_, token)| token.is("unsafe")) {
            if !stands_in(file, &UNSAFE) {
                found.push(file.violation(token.line, "unsafe outside its rooms"));
            }
            let pointer = (1..=3).any(|offset| {
                file.reads(at + offset, &["fn", "("]) && (offset == 1 || file.reads(at + 1, &["extern"]))
            });
            if pointer {
                continue;
            }
            // A method that a trait declares unsafe has its contract there.
            if file.reads(at + 1, &["fn"]) && implements(file, at) {
                continue;
            }
            let item = ["fn", "trait", "extern"].iter().any(|word| file.reads(at + 1, &[word]));
            if !reasoned(file, token.line, item) {
                let due = if item { "a `# Safety` section or a SAFETY comment" } else { "a SAFETY comment" };
                found.push(file.violation(token.line, format!("unsafe without {due} above it")));
            }
        }
    }
    found
}

/// Whether the token at `at` stands directly in an `impl Trait for Type`.
fn implements(file: &Source, at: usize) -> bool {
    let mut depth = 0usize;
    for before in (0..at).rev() {
        let token = &file.tokens[before];
        if token.is("}") {
            depth += 1;
        } else if token.is("{") && depth > 0 {
            depth -= 1;
        } else if token.is("{") {
            let ends = |token: &&Token| !["{", "}", ";"].iter().any(|mark| token.is(mark));
            let head: Vec<&Token> = file.tokens[..before].iter().rev().take_while(ends).collect();
            return ["impl", "for"].iter().all(|word| head.iter().any(|token| token.is(word)));
        }
    }
    false
}

/// Whether a comment that ends in the line or the three above it says why it is safe.
fn reasoned(file: &Source, line: usize, item: bool) -> bool {
    let comment = |line: usize| file.comments.iter().find(|comment| comment.line == line);
    let says = |line: usize| {
        comment(line).is_some_and(|comment| {
            comment.text.contains("SAFETY: ") || (item && comment.text.trim_start_matches('/').trim() == "# Safety")
        })
    };
    let Some(nearest) = (line.saturating_sub(3)..=line).rev().find(|line| comment(*line).is_some()) else {
        return false;
    };
    // A reason of several lines begins further up.
    let mut at = nearest;
    while at > 0 && comment(at).is_some() {
        if says(at) {
            return true;
        }
        at -= 1;
    }
    false
}

/// Locks and atomics stand where threads share something; tests may use them.
pub fn locks(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.under(&["src/"]).filter(|file| !stands_in(file, &SHARED)) {
        for (at, token) in file.tokens.iter().enumerate() {
            let atomic = token.text.strip_prefix("Atomic").is_some_and(|rest| rest.starts_with(char::is_uppercase));
            let lock = ["Mutex", "RwLock", "Condvar", "atomic"].iter().any(|name| token.is(name));
            let shared = token.kind == Kind::Word && (atomic || lock) || file.reads(at, &["static", "mut"]);
            if shared && !file.in_test(at) {
                found.push(file.violation(token.line, format!("`{}` outside metrics and the hop queues", token.text)));
            }
        }
    }
    found
}

/// The rooms that run under a simulated clock read no other.
pub fn clocks(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.under(&TIMELESS) {
        for (at, token) in file.tokens.iter().enumerate() {
            let now = ["Instant", "SystemTime"].iter().any(|name| file.reads(at, &[name, "::", "now"]));
            if now && !file.in_test(at) {
                found.push(file.violation(token.line, format!("{}::now(): time comes in as an argument", token.text)));
            }
        }
    }
    found
}
