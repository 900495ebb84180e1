//! The house's rules, held: who names whom, what stands where, how large things are, how they are named.
//!
//! Each rule is a test that lists all that breaks it, and has a test of its own that plants what it must find, so that a
//! rule can't pass because it sees nothing. The rules themselves are in `tests/tidy/`, each with its exceptions beside it.

#[path = "tidy/rfc.rs"]
mod rfc;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;
use std::sync::OnceLock;

use source::{Tree, Violation};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails with everything that breaks `rule` in this repository.
fn hold(rule: impl Fn(&Tree) -> Vec<Violation>) {
    static TREE: OnceLock<Tree> = OnceLock::new();
    let tree = TREE.get_or_init(|| Tree::read(root()));
    for needed in ["src/lib.rs", "src/main.rs", "src/io/mod.rs", "loadgen/src/main.rs", "tests/tidy.rs"] {
        assert!(tree.files.iter().any(|file| file.path == needed), "{needed} was not read");
    }
    nothing(rule(tree));
}

fn nothing(found: Vec<Violation>) {
    let listed: Vec<String> =
        found.iter().map(|violation| format!("  {}:{}: {}", violation.path, violation.line, violation.what)).collect();
    assert!(found.is_empty(), "{} found:\n{}\n", found.len(), listed.join("\n"));
}

/// Lines at which `rule` finds something in a file of this text.
fn lines(rule: impl Fn(&Tree) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    rule(&Tree::planted(&[(path, text)])).iter().map(|violation| violation.line).collect()
}

#[test]
fn rooms_name_only_what_stands_to_their_right() {
    hold(rooms::arrows);
}

#[test]
fn arrows_are_found_however_they_are_written() {
    let text = "use crate::io::Ring;\nuse crate::session::Login;\nuse crate::{limits, mime,\n shard::{executor, watchdog}};\n\
        fn f() { crate::serve::start(); }\nuse super::super::control;\nuse super::conn;\npub(crate) mod x {\n\
        use super::super::tools;\nuse super::super::super::tools::a;\n}\nuse crate::hop;\nuse super::{tls, super::queue};\n\
        // use crate::tools;\nconst S: &str = \"crate::tools::x\";\nuse crate::nowhere;\npub(in crate::net) fn g() {}\n";
    assert_eq!(lines(rooms::arrows, "src/net/tls.rs", text), [2, 4, 5, 6, 10, 13, 16]);
}

#[test]
fn arrows_keep_leaves_and_the_two_that_never_meet_apart() {
    assert_eq!(lines(rooms::arrows, "src/hop.rs", "use crate::limits;\nuse crate::io::Ring;\n"), [2]);
    assert_eq!(lines(rooms::arrows, "src/config/data.rs", "use crate::net;\n"), [1]);
    assert_eq!(lines(rooms::arrows, "src/store/log.rs", "use crate::mime::x;\nuse crate::proto::imap;\n"), [2]);
    assert_eq!(lines(rooms::arrows, "src/proto/sasl.rs", "use crate::mime::x;\nuse crate::store::Uid;\n"), [2]);
    assert_eq!(lines(rooms::arrows, "src/main.rs", "use ringpost::tools;\nuse crate::odd;\n"), [2]);
    assert_eq!(lines(rooms::arrows, "src/attic/mod.rs", "fn f() {}\n"), [1]);
    assert_eq!(
        lines(rooms::arrows, "src/lib.rs", "pub mod tools;\nmod io;\nmod net;\nmod limits;\nmod attic;\n"),
        [3, 5]
    );
}

#[test]
fn crates_are_named_in_their_rooms() {
    hold(rooms::crates);
}

#[test]
fn crates_are_found_outside_their_rooms() {
    let text = "use rustls::ServerConfig;\nuse ::glommio::Task;\n#[derive(rkyv::Archive)]\nstruct A;\nuse criterion;\n\
        fn f() { self::rustls::x(); a.memchr(b); memchr(1) }\nextern crate bumpalo as b;\nuse {memchr::memchr, std::io};\n";
    assert_eq!(lines(rooms::crates, "src/queue/mod.rs", text), [1, 2, 3, 5, 7, 8]);
    assert_eq!(lines(rooms::crates, "src/session/mod.rs", "use bumpalo::Bump;\nuse io_uring::IoUring;\n"), [2]);
    assert_eq!(lines(rooms::crates, "src/shard/executor.rs", "use glommio::Task;\nuse rustls::x;\n"), [2]);
    assert_eq!(lines(rooms::crates, "src/shard/watchdog.rs", "use glommio::Task;\n"), [1]);
}

#[test]
fn unsafe_stands_in_its_rooms_with_its_reason() {
    hold(rooms::unsafe_code);
}

#[test]
fn unsafe_is_found_without_its_reason_and_outside_its_rooms() {
    let reason = "// SAFETY: it is ours.\nlet x = unsafe { y };\n\n\n\nlet z = unsafe { y };\n";
    assert_eq!(lines(rooms::unsafe_code, "src/io/file.rs", reason), [6]);
    assert_eq!(lines(rooms::unsafe_code, "src/net/conn.rs", reason), [2, 6, 6]);
    let long = "// SAFETY: it is ours,\n// and\n// and\n// and\n// and so on.\nlet x = unsafe { y };\n";
    assert_eq!(lines(rooms::unsafe_code, "src/store/map.rs", long), [] as [usize; 0]);
    let items = "/// Does.\n///\n/// # Safety\n/// The caller knows.\n#[inline]\npub unsafe fn f() {}\n\nunsafe fn g() {}\n\
        unsafe impl Send for X {}\nunsafe trait T {}\n// SAFETY: no state.\nunsafe impl Sync for X {}\n\
        type P = unsafe fn(u8);\ntype Q = unsafe extern \"C\" fn(u8);\n#![forbid(unsafe_code)]\n";
    assert_eq!(lines(rooms::unsafe_code, "src/io/file.rs", items), [8, 9, 10]);
    let methods = "impl T for X {\n fn a() { b() }\n unsafe fn f() {}\n}\nimpl X {\n unsafe fn g() {}\n}\n\
        impl T for Y {}\nunsafe fn h() {}\n";
    assert_eq!(lines(rooms::unsafe_code, "src/io/file.rs", methods), [6, 9]);
}

#[test]
fn locks_and_atomics_stand_where_threads_share() {
    hold(rooms::locks);
}

#[test]
fn locks_are_found() {
    let text = "use std::sync::Mutex;\nuse std::sync::Arc;\nuse std::sync::atomic::{AtomicU64, Ordering};\nstatic mut X: u8 = 0;\n\
        struct Atomics;\n#[cfg(test)]\nmod tests {\n use std::sync::Mutex;\n}\nfn f(x: &std::sync::RwLock<u8>) {}\n";
    assert_eq!(lines(rooms::locks, "src/store/log.rs", text), [1, 3, 3, 4, 10]);
    assert_eq!(lines(rooms::locks, "src/hop.rs", text), [] as [usize; 0]);
}

#[test]
fn rooms_under_a_simulated_clock_read_no_other() {
    hold(rooms::clocks);
}

#[test]
fn clocks_are_found() {
    let text = "use std::time::Instant;\nfn f() -> Instant { Instant::now() }\n#[cfg(test)]\nfn g() { Instant::now(); }\n\
        fn h() { std::time::SystemTime::now(); }\n";
    assert_eq!(lines(rooms::clocks, "src/store/log.rs", text), [2, 5]);
    assert_eq!(lines(rooms::clocks, "src/shard/mod.rs", text), [] as [usize; 0]);
}

#[test]
fn files_keep_their_size() {
    hold(shape::file_sizes);
}

#[test]
fn long_files_are_found() {
    let long = "fn f() {}\n".repeat(701);
    assert_eq!(lines(shape::file_sizes, "src/a.rs", &long), [1]);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", "fn f() {}\n".repeat(700));
    assert_eq!(lines(shape::file_sizes, "src/a.rs", &tests), [] as [usize; 0]);
    let apart = Tree::planted(&[
        ("src/a.rs", "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n#[cfg(not(test))]\nmod c;\n"),
        ("src/a_tests.rs", &long),
        ("src/b/mod.rs", "#[cfg(test)]\nmod tests;\n"),
        ("src/b/tests/known.rs", &long),
        ("src/b/tests.rs", &long),
        ("src/a/c.rs", &long),
    ]);
    let found: Vec<String> = shape::file_sizes(&apart).into_iter().map(|violation| violation.path).collect();
    assert_eq!(found, ["src/a/c.rs"]);
}

#[test]
fn functions_fit_a_screen_and_take_few_parameters() {
    hold(shape::functions);
}

#[test]
fn long_functions_and_parameter_lists_are_found() {
    let body = "    x();\n".repeat(68);
    let text = format!("fn fits() {{\n{body}}}\nfn long()\nwhere\n    T: X,\n{{\n{body}}}\n");
    assert_eq!(lines(shape::functions, "src/a.rs", &text), [71]);
    let text = "fn five(&'a mut self, a: A, b: B<C, D>, c: (E, F), d: impl Fn(G, H) -> I, e: [J; 2]) {}\n\
        fn six<T: X<Y>>(a: A, b: B, c: C, d: D, e: E, f: F,) -> R;\nlet p: fn(A, B, C, D, E, F) = x;\n\
        fn own(self: Pin<&mut Self>, a: A, b: B, c: C, d: D, e: E) {}\nfn mine(mut self, a: A, b: B, c: C, d: D, e: E, f: F) {}\n";
    assert_eq!(lines(shape::functions, "loadgen/src/a.rs", text), [2, 5]);
}

#[test]
fn files_open_with_what_they_are() {
    hold(shape::heads);
}

#[test]
fn missing_heads_are_found() {
    assert_eq!(lines(shape::heads, "src/a.rs", "//! One.\n//! Two.\nfn f() {}\n"), [1]);
    assert_eq!(lines(shape::heads, "src/a.rs", "\n//! One.\n//! Two.\n//! Three.\nfn f() {}\n"), [1]);
    assert_eq!(lines(shape::heads, "src/a.rs", &format!("{}fn f() {{}}\n", "//! Much.\n".repeat(11))), [1]);
    assert_eq!(lines(shape::heads, "src/a.rs", "//! (room)\nmod x;\n"), [1]);
    assert_eq!(lines(shape::heads, "src/a.rs", "mod x;\n"), [1]);
    assert_eq!(lines(shape::heads, "src/a.rs", "//! One.\nmod x;\nuse x::Y;\n"), [] as [usize; 0]);
    let invariants = format!("//! What it is. Invariants:\n{}fn f() {{}}\n", "//! - One.\n".repeat(19));
    assert_eq!(lines(shape::heads, "src/a.rs", &invariants), [] as [usize; 0]);
}

#[test]
fn names_say_something() {
    hold(shape::names);
}

#[test]
fn empty_names_are_found() {
    let text = "mod util;\nfn get_name() {}\nfn name() {}\nstruct ConnManager;\nfn common_name() {}\nlet get_it = 1;\n";
    assert_eq!(lines(shape::names, "src/a.rs", text), [1, 2, 4]);
    assert_eq!(lines(shape::names, "src/net/helpers.rs", ""), [1]);
    assert_eq!(lines(shape::names, "src/common/x.rs", ""), [1]);
    assert_eq!(lines(shape::names, "tests/client_util.rs", ""), [1]);
}

#[test]
fn nothing_is_left_for_later() {
    hold(shape::leftovers);
}

#[test]
fn leftovers_are_found() {
    let text = "fn f() { todo!() }\nfn g() { unimplemented!(\"\") }\n// FIXME: this.\n#[test]\n#[ignore = \"slow\"]\nfn h() {}\n\
        // A list of todos, and TODOS.\nfn i() { x(\"todo!()\") }\n/* a\n TODO: b */\n";
    let mut found = lines(shape::leftovers, "tests/a.rs", text);
    found.sort();
    assert_eq!(found, [1, 2, 3, 5, 10]);
}

#[test]
fn errors_are_not_boxed() {
    hold(shape::boxed_errors);
}

#[test]
fn boxed_errors_are_found() {
    let text = "fn f() -> Result<(), Box<dyn std::error::Error>> {}\ntype J = Box<dyn FnOnce() + Send>;\n\
        fn g() -> Box<dyn Error + Send> {}\n";
    assert_eq!(lines(shape::boxed_errors, "src/a.rs", text), [1, 3]);
}

#[test]
fn architecture_is_a_page_one_reads() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    nothing(shape::page_size("ARCHITECTURE.md", &text).into_iter().collect());
    assert!(shape::page_size("ARCHITECTURE.md", &"line\n".repeat(300)).is_none());
    assert_eq!(shape::page_size("ARCHITECTURE.md", &"line\n".repeat(301)).unwrap().line, 301);
}

#[test]
fn the_load_generator_is_a_second_opinion() {
    nothing(
        shape::second_opinion(&std::fs::read_to_string(root().join("loadgen/Cargo.toml")).unwrap())
            .into_iter()
            .collect(),
    );
    let planted = "[package]\nname = \"loadgen\"\n[dependencies]\nringpost = { path = \"..\" }\n";
    assert_eq!(shape::second_opinion(planted).unwrap().line, 4);
}

/// The table of requirements.
fn table() -> String {
    std::fs::read_to_string(root().join("tests/rfc.tsv")).expect("the table of requirements")
}

#[test]
fn citations_are_listed() {
    hold(|tree| rfc::citations(tree, &table()));
}

#[test]
fn unlisted_citations_are_found() {
    let text = "// RFC 9051 §6.4.5: .PEEK never sets \\Seen.\n\n/// RFC 3501 §7, and RFC 5321 §4.1.1.4.\nfn f() {}\n";
    let table = "# a comment\n9051\t6.4.5\t-\tpeek\tyes\ta\n3501\t7\tMUST\tanswers\tno\ta\n";
    assert_eq!(lines(|tree| rfc::citations(tree, table), "src/a.rs", text), [3]);
    assert_eq!(lines(|tree| rfc::citations(tree, table), "tests/a.rs", text), [] as [usize; 0]);
}

#[test]
fn requirements_have_tests_or_reasons() {
    hold(|tree| rfc::requirements(tree, &table(), |path| root().join(path).is_file()));
}

#[test]
fn requirements_without_tests_are_found() {
    let rows = [
        "1\t2\t-\tfound\tyes\ttests/b.rs::peeks",
        "1\t2\tMUST\tfound\tyes\ttests/conformance/imap/a.txt",
        "1\t2\tSHOULD\tfound\tn/a\ta client's duty",
        "1\t2\tMUST\tfound\tpartial\tno test",
        "1\t2\tMUST\telsewhere\tyes\ttests/c.rs::peeks",
        "1\t2\tMUST\tno path\tyes\tpeeks",
        "1\t2\tMUST\tno script\tyes\ttests/conformance/imap/b.txt",
        "1\t2\tMUST\tnot below it\tyes\ttests/imap/a.txt",
        "1\t2\tMUST\tno reason\tno\t",
        "1\t2\tMUST\tno state\tperhaps\tx",
        "1\t2\tMAY\tno word\tno\tx",
        "1\t2\tfive columns\tno\tx",
    ];
    let tree = Tree::planted(&[("tests/b.rs", "fn peeks() {}\n"), ("tests/c.rs", "fn other() {}\n")]);
    let found = rfc::requirements(&tree, &rows.join("\n"), |path| path.ends_with("/a.txt"));
    let mut found: Vec<usize> = found.iter().map(|violation| violation.line).collect();
    found.sort();
    assert_eq!(found, [4, 5, 6, 7, 8, 9, 10, 11, 12]);
}

#[test]
fn every_must_and_should_has_a_row() {
    let counts = std::fs::read_to_string(root().join("tests/rfc/counts.tsv")).expect("the counts");
    assert!(counts.lines().count() > 100, "the counts were not read");
    nothing(rfc::counted(&table(), &counts));
}

/// What `tests/rfc/count` counts and what it leaves out, by a text of the RFCs' form.
#[test]
fn words_are_counted_by_section() {
    let text = "\n\nNetwork Working Group    A. Author\n\n                     A Title\n\nTable of Contents\n\n   1.  What MUST be . . . . 1\n\
        \n1. Introduction\n\n   The key words \"MUST\", \"MUST NOT\" and \"SHOULD\" are to be interpreted as\n   \
        described in RFC 2119.\n\n2.1.  Clients MUST read this\n\n   They MUST NOT do so, SHOULD not do that,\n   and must do \
        this;\n\n\nAuthor                 Standards Track                 [Page 1]\n\u{c}\nRFC 1          What MUST be done\
                      May 2016\n\n\n   it SHOULD NOT be that, or a MUSTER, or REQUIRED.\n\n   word = \"a\" ; MUST be a\n\n\
        3. References\n\n   [A] \"One MUST\".\n\nAppendix A. More\n\n   It MUST.\n";
    let folder = std::env::temp_dir().join(format!("ringpost-tidy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    std::fs::write(folder.join("rfc1.txt"), text).expect("a scratch file");
    let mut count = std::process::Command::new("python3");
    let counted = count.arg(root().join("tests/rfc/count")).arg(&folder).arg("1").output().expect("python3");
    std::fs::remove_dir_all(&folder).expect("a scratch folder");
    let counted = String::from_utf8(counted.stdout).expect("UTF-8");
    let (head, rows) = counted.split_once('\n').expect("a head");
    assert!(head.starts_with("# RFC, section, word,"), "{head}");
    assert_eq!(rows, "1\t2.1\tMUST\t2\n1\t2.1\tSHOULD\t2\n1\tA\tMUST\t1\n");
}

#[test]
fn missing_rows_are_found() {
    let row = |section: &str, word: &str| format!("1\t{section}\t{word}\tx\tno\tx\n");
    let table = [row("1", "MUST"), row("1", "MUST"), row("1", "-"), row("2", "SHOULD"), row("3", "MUST")].concat();
    let what = |counts: &str| -> Vec<String> {
        rfc::counted(&table, counts).into_iter().map(|violation| violation.what).collect()
    };
    let right = "# RFC, section, word, count\n1\t1\tMUST\t2\n1\t2\tSHOULD\t1\n1\t3\tMUST\t1\n";
    assert_eq!(what(right), [""; 0]);
    assert_eq!(what(&right.replace("MUST\t2", "MUST\t3")), ["RFC 1 §1 has 3 MUST, and 2 rows in tests/rfc.tsv"]);
    assert_eq!(
        what(&right.replace("SHOULD\t1", "MUST\t1")),
        ["RFC 1 §2 has 1 MUST, and 0 rows in tests/rfc.tsv", "RFC 1 §2 has 0 SHOULD, and 1 rows in tests/rfc.tsv"]
    );
    assert_eq!(what(&right.replace("1\t3\tMUST\t1\n", "")), ["RFC 1 §3 has 0 MUST, and 1 rows in tests/rfc.tsv"]);
    assert_eq!(what(&format!("{right}1\t1\tMUST\t2\n1\t4\tMAY\t1\n1\t4\n")).len(), 3);
}

#[test]
fn words_in_strings_and_comments_are_not_code() {
    let text = "/* unsafe /* { */ unsafe */ let a = \"unsafe \\\" unsafe\"; let b = r#\"unsafe \" unsafe\"#;\nlet c = ('\"', b'\\'', '\\u{1F600}');\n\
        fn d<'a>(x: &'a u8) {}\nlet e = b\"unsafe\"; let r#unsafe_word = 1..2;\nunsafe { x }\n";
    assert_eq!(lines(rooms::unsafe_code, "src/io/a.rs", text), [5]);
}
