//! LIST, LSUB, STATUS, CREATE, ID and ENABLE as the RFCs write them, what is taken beyond them, and what is refused.

use bumpalo::Bump;

use super::super::parse::parse;
use super::*;

fn parsed<T>(text: &str, check: impl FnOnce(Result<Command<'_>, ErrorKind>) -> T) -> T {
    let arena = Bump::new();
    let line = [b"a ", text.as_bytes(), b"\r\n"].concat();
    check(parse(&arena, &line).map(|tagged| tagged.command).map_err(|error| error.kind))
}

fn is(text: &str, expected: Command<'_>) {
    parsed(text, |command| assert_eq!(command, Ok(expected), "{text}"));
}

fn refused(text: &str, kind: ErrorKind) {
    parsed(text, |command| assert_eq!(command, Err(kind), "{text}"));
}

fn plain<'a>(reference: &'a str, patterns: &'a [&'a str]) -> List<'a> {
    List { reference, patterns, ..List::default() }
}

#[test]
fn plain_lists() {
    for (text, reference, pattern) in [
        ("\"\" *", "", "*"),
        ("\"\" \"\"", "", ""),
        ("~/Mail/ %", "~/Mail/", "%"),
        ("/usr \"Entw&APw-r%\"", "/usr", "Entwür%"),
        ("{0}\r\n {3+}\r\na b ", "", "a b"),
        ("inbox return", "inbox", "return"),
    ] {
        is(&format!("LIST {text}"), Command::List(plain(reference, &[pattern])));
        is(&format!("lsub {text}"), Command::Lsub { reference, pattern });
    }
    for command in ["LIST", "LSUB"] {
        refused(&format!("{command} \"\""), ErrorKind::Space);
        refused(
            &format!("{command} \"\" a\"b\""),
            if command == "LIST" { ErrorKind::Space } else { ErrorKind::Trailing },
        );
    }
    refused("LSUB (SUBSCRIBED) \"\" *", ErrorKind::Astring);
    refused("LSUB \"\" (a b)", ErrorKind::Astring);
    refused("LSUB \"\" * RETURN (CHILDREN)", ErrorKind::Trailing);
}

/// The examples of RFC 5258 §5, RFC 5819 §3 and RFC 6154 §5.2.
#[test]
fn extended_lists() {
    let extended = |patterns| List { extended: true, ..plain("", patterns) };
    let select = |subscribed, recursive_match, special_use| ListSelect { subscribed, recursive_match, special_use };
    let subscribed = ListReturn { subscribed: true, ..ListReturn::default() };
    let children = ListReturn { children: true, ..ListReturn::default() };
    let special_use = ListReturn { special_use: true, ..ListReturn::default() };
    for (text, list) in [
        ("() \"\" %", extended(&["%"])),
        (
            "(SUBSCRIBED) \"\" \"*\"",
            List { select: select(true, false, false), returns: subscribed, ..extended(&["*"]) },
        ),
        ("() \"\" \"%\" RETURN (CHILDREN)", List { returns: children, ..extended(&["%"]) }),
        ("(REMOTE) \"\" \"*\" RETURN (SUBSCRIBED)", List { returns: subscribed, ..extended(&["*"]) }),
        ("\"\" (\"INBOX\" Drafts \"Sent/%\")", extended(&["INBOX", "Drafts", "Sent/%"])),
        ("\"\" * RETURN ()", extended(&["*"])),
        // What is no modified UTF-7 matches nothing, and is no reason to refuse the others.
        ("\"\" (a &AA \"Tom & Jerry\" b &AGE-)", extended(&["a", "", "", "b", ""])),
        ("(special-use) \"\" *", List { select: select(false, false, true), returns: special_use, ..extended(&["*"]) }),
        ("\"\" % return (SPECIAL-USE)", List { returns: special_use, ..extended(&["%"]) }),
        (
            "( RECURSIVEMATCH  SUBSCRIBED REMOTE subscribed ) \"\" ( \"\" ) RETURN (CHILDREN SPECIAL-USE)",
            List {
                select: select(true, true, false),
                returns: ListReturn { subscribed: true, children: true, special_use: true, status: &[] },
                ..extended(&[""])
            },
        ),
        (
            "\"\" % RETURN (STATUS (MESSAGES unseen) CHILDREN)",
            List {
                returns: ListReturn { status: &[StatusItem::Messages, StatusItem::Unseen], ..children },
                ..extended(&["%"])
            },
        ),
    ] {
        is(&format!("LIST {text}"), Command::List(list));
    }
}

#[test]
fn malformed_lists() {
    for (text, kind) in [
        ("(RECURSIVEMATCH) \"\" *", ErrorKind::ListRecursive),
        ("(REMOTE RECURSIVEMATCH) \"\" *", ErrorKind::ListRecursive),
        ("(SPECIAL-USE RECURSIVEMATCH) \"\" *", ErrorKind::ListRecursive),
        ("(UNKNOWN) \"\" *", ErrorKind::ListOption),
        ("(SUBSCRIBEDX) \"\" *", ErrorKind::ListOption),
        ("(SUBSCRIBED,REMOTE) \"\" *", ErrorKind::ListOption),
        ("(SUBSCRIBED", ErrorKind::Space),
        ("(SUBSCRIBED) *", ErrorKind::Space),
        ("(SUBSCRIBED)\"\" *", ErrorKind::Space),
        ("\"\" ()", ErrorKind::Astring),
        ("\"\" (a", ErrorKind::Space),
        ("\"\" (a (b))", ErrorKind::Astring),
        ("\"\" a (b)", ErrorKind::ListOption),
        ("\"\" a RETURN", ErrorKind::Space),
        ("\"\" a RETURN CHILDREN", ErrorKind::Parenthesis),
        ("\"\" a RETURN (UNKNOWN)", ErrorKind::ListOption),
        ("\"\" a RETURN (STATUS)", ErrorKind::Space),
        ("\"\" a RETURN (STATUS ())", ErrorKind::StatusItem),
        ("\"\" a RETURN (STATUS (X))", ErrorKind::StatusItem),
        ("\"\" a RETURN (CHILDREN) x", ErrorKind::Trailing),
    ] {
        refused(&format!("LIST {text}"), kind);
    }
    let many = vec!["a"; LIST_PATTERNS_MAX + 1].join(" ");
    refused(&format!("LIST \"\" ({many})"), ErrorKind::TooMany);
    is(
        &format!("LIST \"\" ({})", &many[2..]),
        Command::List(List { extended: true, ..plain("", &["a"; LIST_PATTERNS_MAX]) }),
    );
}

#[test]
fn status_items() {
    use StatusItem::*;
    let status = |items| Command::Status { mailbox: "blurdybloop", items };
    is("STATUS blurdybloop (UIDNEXT MESSAGES)", status(&[UidNext, Messages]));
    is(
        "status blurdybloop (unseen uidvalidity recent messages uidnext unseen)",
        status(&[Unseen, UidValidity, Recent, Messages, UidNext]),
    );
    refused("STATUS x ()", ErrorKind::StatusItem);
    refused("STATUS x (UIDNEXTS)", ErrorKind::StatusItem);
    refused("STATUS x MESSAGES", ErrorKind::Parenthesis);
    refused("STATUS x (MESSAGES", ErrorKind::Space);
}

/// RFC 6154 §5.3.
#[test]
fn creations() {
    let create = |uses| Command::Create { mailbox: "MySpecial", uses };
    is("CREATE MySpecial", create(&[]));
    is("CREATE MySpecial (USE (\\Drafts \\Sent))", create(&["\\Drafts", "\\Sent"]));
    is("CREATE MySpecial (USE ())", create(&[]));
    is("CREATE MySpecial (use (\\x-y))", create(&["\\x-y"]));
    for (text, kind) in [
        ("x ()", ErrorKind::CreateParameter),
        ("x (USED (\\Sent))", ErrorKind::CreateParameter),
        ("x (USE \\Sent)", ErrorKind::Parenthesis),
        ("x (USE (Sent))", ErrorKind::CreateParameter),
        ("x (USE (\\))", ErrorKind::CreateParameter),
        ("x (USE (\\ü))", ErrorKind::CreateParameter),
        ("x (USE (\\Sent)", ErrorKind::Space),
        ("x y", ErrorKind::Parenthesis),
    ] {
        refused(&format!("CREATE {text}"), kind);
    }
    refused(&format!("CREATE x (USE ({}\\Sent))", "\\Sent ".repeat(USE_ATTRIBUTES_MAX)), ErrorKind::TooMany);
}

/// RFC 2971 §3.1, and the limits of §3.3.
#[test]
fn ids() {
    is("ID NIL", Command::Id(&[]));
    is("ID ()", Command::Id(&[]));
    is("id (\"name\" \"sodr\" \"os\" nil)", Command::Id(&[(b"name", Some(b"sodr")), (b"os", None)]));
    is("ID ({4}\r\nname {5+}\r\n\"\\ ü)", Command::Id(&[(b"name", Some("\"\\ ü".as_bytes()))]));
    for (text, kind) in [
        ("", ErrorKind::Space),
        (" NIL x", ErrorKind::Trailing),
        (" NILS", ErrorKind::Parenthesis),
        (" name x", ErrorKind::Parenthesis),
        (" (\"name\")", ErrorKind::Space),
        (" (\"name\" x)", ErrorKind::Astring),
        (" (NIL \"x\")", ErrorKind::Astring),
        (" (\"name\" \"x\"", ErrorKind::Space),
    ] {
        refused(&format!("ID{text}"), kind);
    }
    let fields = |count: usize| format!("ID ({})", vec!["\"a\" \"b\""; count].join(" "));
    is(&fields(ID_FIELDS_MAX), Command::Id(&[(b"a".as_slice(), Some(b"b".as_slice())); ID_FIELDS_MAX]));
    refused(&fields(ID_FIELDS_MAX + 1), ErrorKind::TooMany);
    let (name, value) = ("n".repeat(ID_NAME_BYTES_MAX), "v".repeat(ID_VALUE_BYTES_MAX));
    is(&format!("ID (\"{name}\" \"{value}\")"), Command::Id(&[(name.as_bytes(), Some(value.as_bytes()))]));
    refused(&format!("ID (\"{name}n\" \"v\")"), ErrorKind::Id);
    refused(&format!("ID (\"n\" \"{value}v\")"), ErrorKind::Id);
}

/// RFC 5161 §3.1.
#[test]
fn enables() {
    is("ENABLE CONDSTORE X-GOOD-IDEA", Command::Enable(&["CONDSTORE", "X-GOOD-IDEA"]));
    is("enable UTF8=ACCEPT ", Command::Enable(&["UTF8=ACCEPT"]));
    refused("ENABLE", ErrorKind::Space);
    refused("ENABLE ", ErrorKind::Atom);
    refused("ENABLE a  b", ErrorKind::Atom);
    refused("ENABLE \"a\"", ErrorKind::Atom);
    refused(&format!("ENABLE{}", " a".repeat(ENABLE_NAMES_MAX + 1)), ErrorKind::TooMany);
}
