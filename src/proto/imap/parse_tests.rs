//! Every command as the RFCs write it, what is taken beyond them, and what is refused.

use super::*;
use crate::limits::{FETCH_ITEMS_MAX, KEYWORD_BYTES_MAX, KEYWORDS_MAX, NESTING_MAX, SEARCH_KEYS_MAX};
use crate::proto::imap::{
    FetchItem, FlagList, Flags, Partial, Range, Search, SearchKey, Section, SectionText, SequenceSet, StatusItem,
};

fn with<T>(text: &[u8], check: impl FnOnce(Result<Tagged<'_>, ParseError<'_>>) -> T) -> T {
    let arena = Bump::new();
    let line = [text, b"\r\n"].concat();
    check(parse(&arena, &line))
}

fn is_command(text: &str, expected: Command<'_>) {
    with(text.as_bytes(), |parsed| match parsed {
        Ok(tagged) => assert_eq!((tagged.tag, tagged.command), ("a", expected), "{text}"),
        Err(error) => panic!("{error:?}: {text}"),
    });
}

fn is_refused(text: &str, kind: ErrorKind) {
    with(text.as_bytes(), |parsed| match parsed {
        Ok(tagged) => panic!("{tagged:?}: {text}"),
        Err(error) => {
            assert_eq!((error.kind, error.tag), (kind, Some("a")), "{text} at {}", error.at);
            assert!(error.at <= text.len() + 2);
        }
    });
}

const fn range(first: u32, last: u32) -> Range {
    Range { first, last }
}

#[test]
fn commands_without_arguments() {
    for (name, command) in [
        ("CAPABILITY", Command::Capability),
        ("noop", Command::Noop),
        ("Logout", Command::Logout),
        ("STARTTLS", Command::StartTls),
        ("EXPUNGE", Command::Expunge { uids: None }),
        ("CHECK", Command::Check),
        ("CLOSE", Command::Close),
        ("UNSELECT", Command::Unselect),
        ("IDLE", Command::Idle),
        ("NAMESPACE", Command::Namespace),
    ] {
        is_command(&format!("a {name}"), command);
        is_command(&format!("a {name}  "), command);
        is_refused(&format!("a {name} x"), ErrorKind::Trailing);
    }
    is_command("a XYZZY 1 (2 \"", Command::Unknown("XYZZY"));
    is_command("a authenticated x", Command::Unknown("authenticated"));
    is_command("a UID CHECK", Command::Unknown("CHECK"));
}

#[test]
fn tags() {
    for (text, tag) in
        [("A.1]x NOOP", Some("A.1]x")), ("* NOOP", None), ("a+b NOOP", None), (" NOOP", None), ("", None)]
    {
        with(text.as_bytes(), |parsed| match (parsed, tag) {
            (Ok(tagged), Some(tag)) => assert_eq!(tagged.tag, tag),
            (Err(error), None) => assert_eq!((error.kind, error.tag), (ErrorKind::Tag, None)),
            (other, _) => panic!("{other:?}"),
        });
    }
    assert_eq!(super::tag(b"a1 \0"), Some("a1"));
    assert_eq!(super::tag(b"a1"), Some("a1"));
    assert_eq!(super::tag(b"a\xff NOOP"), None);
    is_refused("a", ErrorKind::CommandMissing);
    is_refused("a  ", ErrorKind::CommandMissing);
    is_refused("a  NOOP", ErrorKind::Atom);
    is_refused("a \u{fc}", ErrorKind::Atom);
}

#[test]
fn login_and_authenticate() {
    is_command("a LOGIN SMITH SESAME", Command::Login { user: b"SMITH", password: b"SESAME" });
    is_command("a login \"Fred Foo\" \"a\\\"b\\\\c\"", Command::Login { user: b"Fred Foo", password: b"a\"b\\c" });
    is_command("a LOGIN {3}\r\na b \"\"", Command::Login { user: b"a b", password: b"" });
    is_command("a LOGIN {11+}\r\nFRED FOOBAR {2+}\r\n\r\n", Command::Login { user: b"FRED FOOBAR", password: b"\r\n" });
    is_command("a LOGIN a]+b x", Command::Login { user: b"a]+b", password: b"x" });
    for (text, kind) in [
        ("a LOGIN", ErrorKind::Space),
        ("a LOGIN x", ErrorKind::Space),
        ("a LOGIN x y z", ErrorKind::Trailing),
        ("a LOGIN \"x y", ErrorKind::Quoted),
        ("a LOGIN \"x\\y\" z", ErrorKind::Quoted),
        ("a LOGIN \"x\\", ErrorKind::Quoted),
        ("a LOGIN {5}\r\nab", ErrorKind::Literal),
        ("a LOGIN {99999999999}\r\nab", ErrorKind::Literal),
        ("a LOGIN {99999999999999999999}\r\nab", ErrorKind::Number),
        ("a LOGIN {3}\r\na\0b x", ErrorKind::Nul),
        ("a LOGIN {1} x", ErrorKind::Literal),
        ("a LOGIN ( x", ErrorKind::Astring),
    ] {
        is_refused(text, kind);
    }
    let plain = |initial| Command::Authenticate { mechanism: "PLAIN", initial };
    is_command("a AUTHENTICATE PLAIN", plain(None));
    is_command("a AUTHENTICATE PLAIN =", plain(Some(b"=")));
    is_command("a AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", plain(Some(b"dGVzdAB0ZXN0AHRlc3Q=")));
    is_refused("a AUTHENTICATE PLAIN = =", ErrorKind::Trailing);
}

#[test]
fn mailboxes() {
    let arena = Bump::new();
    for (text, name) in [
        ("inBox", "INBOX"),
        ("\"INBOX\"", "INBOX"),
        ("Entw&APw-rfe", "Entwürfe"),
        ("\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"", "~peter/mail/台北/日本語"),
        ("{5}\r\na\"b\\c", "a\"b\\c"),
        ("a]", "a]"),
        ("\"\"", ""),
        ("../x", "../x"),
        ("/etc", "/etc"),
    ] {
        is_command(&format!("a SELECT {text}"), Command::Select { mailbox: name });
        is_command(&format!("a EXAMINE {text}"), Command::Examine { mailbox: name });
        is_command(&format!("a CREATE {text}"), Command::Create { mailbox: name, uses: &[] });
        is_command(&format!("a DELETE {text}"), Command::Delete { mailbox: name });
        is_command(&format!("a RENAME {text} x"), Command::Rename { from: name, to: "x" });
        is_command(&format!("a RENAME x {text}"), Command::Rename { from: "x", to: name });
        is_command(&format!("a SUBSCRIBE {text}"), Command::Subscribe { mailbox: name });
        is_command(&format!("a UNSUBSCRIBE {text}"), Command::Unsubscribe { mailbox: name });
    }
    // Attacks 29 and 30.
    for text in ["&", "&AA", "&AGE-", "\"Tom & Jerry\"", "&2D0-", "Entwürfe", "\"Tom & ü\"", "\u{85}"] {
        is_refused(&format!("a SELECT {text}"), ErrorKind::Mailbox);
        is_refused(&format!("a RENAME x {text}"), ErrorKind::Mailbox);
        for list in ["LIST", "LSUB", "LIST (SUBSCRIBED)"] {
            is_refused(&format!("a {list} \"\" {text}"), ErrorKind::Mailbox);
            is_refused(&format!("a {list} {text} *"), ErrorKind::Mailbox);
        }
        is_refused(&format!("a LIST {text} (x)"), ErrorKind::Mailbox);
    }
    for text in ["\"a\tb\"", "\"ü\u{1}\"", "{3}\r\na\0b", "{2}\r\n\r\n", "&AAA-", "&AAo-"] {
        is_refused(&format!("a CREATE {text}"), ErrorKind::MailboxControl);
    }
    let bad_utf8 = parse(&arena, b"a SELECT a\xc3\r\n").unwrap_err();
    assert_eq!(bad_utf8.kind, ErrorKind::Mailbox);
    is_refused("a SELECT x (CONDSTORE)", ErrorKind::Trailing);
    is_refused("a SELECT a%", ErrorKind::Trailing);
    is_refused("a RENAME x", ErrorKind::Space);
    is_refused("a DELETE x y", ErrorKind::Trailing);
}

#[test]
fn append_heads() {
    let arena = Bump::new();
    let head = |text: &'static str| parse_append_head(&arena, text.as_bytes());
    let expect = |text, expected: Append<'_>| match head(text) {
        Ok(Tagged { tag: "a", uid: false, command: Command::Append(append) }) => assert_eq!(append, expected),
        other => panic!("{other:?}: {text}"),
    };
    let none = FlagList::default();
    let bare = Append { mailbox: "INBOX", flags: none, date_time: None, size: 310, utf8: false };
    expect("a APPEND inbox {310}\r\n", bare);
    expect("a APPEND {5}\r\nINBOX {310+}\r\n", bare);
    expect("a APPEND INBOX () ~{310}\r\n", bare);
    expect("a APPEND INBOX UTF8 (~{310}\r\n", Append { utf8: true, ..bare });
    let seen = FlagList { system: Flags::SEEN, keywords: &[] };
    let date = Append { flags: seen, date_time: Some((760_686_745, -480)), ..bare };
    expect("a APPEND INBOX (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" {310}\r\n", date);
    for (text, kind) in [
        ("a APPEND INBOX\r\n", ErrorKind::Space),
        ("a APPEND INBOX \r\n", ErrorKind::Literal),
        ("a APPEND INBOX foo {3}\r\n", ErrorKind::Literal),
        ("a APPEND INBOX \"\" {3}\r\n", ErrorKind::DateTime),
        ("a APPEND INBOX (\\) {3}\r\n", ErrorKind::Flag),
        ("a APPEND INBOX {3}\r\nabc\r\n", ErrorKind::Trailing),
        ("a NOOP\r\n", ErrorKind::Trailing),
    ] {
        assert_eq!(head(text).map_err(|error| (error.kind, error.tag)), Err((kind, Some("a"))), "{text}");
    }
    // Where the framer left the message in the command.
    is_command("a APPEND INBOX {3}\r\nabc", Command::Append(Append { size: 3, ..bare }));
    is_refused("a APPEND INBOX {9}\r\nabc", ErrorKind::Literal);
}

#[test]
fn fetch_items() {
    fn fetch<'a>(set: &'a [Range], items: &'a [FetchItem<'a>]) -> Command<'a> {
        Command::Fetch { set: SequenceSet(set), items }
    }
    const ONE: &[Range] = &[range(1, 1)];
    use FetchItem::{
        Body, BodyStructure, Envelope, Flags, InternalDate, Rfc822, Rfc822Header, Rfc822Size, Rfc822Text, Uid,
    };
    for (text, items) in [
        ("FAST", &[Flags, InternalDate, Rfc822Size][..]),
        ("all", &[Flags, InternalDate, Rfc822Size, Envelope]),
        ("FULL", &[Flags, InternalDate, Rfc822Size, Envelope, Body]),
        ("(UID FAST)", &[Uid, Flags, InternalDate, Rfc822Size]),
        ("(uid rfc822.size body bodystructure)", &[Uid, Rfc822Size, Body, BodyStructure]),
        ("RFC822", &[Rfc822 { peek: false }]),
        ("RFC822.PEEK", &[Rfc822 { peek: true }]),
        ("(RFC822.HEADER RFC822.TEXT)", &[Rfc822Header, Rfc822Text]),
        ("ENVELOPE", &[Envelope]),
    ] {
        is_command(&format!("a FETCH 1 {text}"), fetch(ONE, items));
    }
    let whole = Section { peek: false, part: &[], text: SectionText::All, partial: None };
    let fields: &[&[u8]] = &[b"DATE", b"FROM"];
    for (text, section) in [
        ("BODY[]", whole),
        ("body.peek[]", Section { peek: true, ..whole }),
        ("BODY[]<0.2048>", Section { partial: Some(Partial { offset: 0, count: 2048 }), ..whole }),
        ("BODY[1.2.3]", Section { part: &[1, 2, 3], ..whole }),
        ("BODY[HEADER]", Section { text: SectionText::Header, ..whole }),
        ("BODY[text]", Section { text: SectionText::Text, ..whole }),
        ("BODY[4.2.MIME]", Section { part: &[4, 2], text: SectionText::Mime, ..whole }),
        ("BODY[4.2.HEADER]", Section { part: &[4, 2], text: SectionText::Header, ..whole }),
        ("BODY[HEADER.FIELDS (DATE FROM)]", Section { text: SectionText::HeaderFields(fields), ..whole }),
        (
            "BODY.PEEK[1.2.header.fields.not (\"DATE\" {4}\r\nFROM)]<4294967295.4294967295>",
            Section {
                peek: true,
                part: &[1, 2],
                text: SectionText::HeaderFieldsNot(fields),
                partial: Some(Partial { offset: u64::from(u32::MAX), count: u64::from(u32::MAX) }),
            },
        ),
        ("BODY[99999]", Section { part: &[99_999], ..whole }),
    ] {
        is_command(&format!("a FETCH 1 {text}"), fetch(ONE, &[FetchItem::Section(section)]));
        is_command(&format!("a FETCH 1 (FLAGS {text} UID)"), fetch(ONE, &[Flags, FetchItem::Section(section), Uid]));
    }
    const SETS: &[Range] = &[range(2, 4), range(9, 1), range(7, Range::LAST), range(Range::LAST, Range::LAST)];
    is_command("a FETCH 2:4,9:1,7:*,* UID", fetch(SETS, &[Uid]));
    is_command("a FETCH 1:4294967295 UID", fetch(&[range(1, u32::MAX - 1)], &[Uid]));
}

#[test]
fn malformed_fetches() {
    for (text, kind) in [
        ("1", ErrorKind::Space),
        ("1 ", ErrorKind::FetchItem),
        ("1 ()", ErrorKind::FetchItem),
        ("1 (FLAGS", ErrorKind::Space),
        ("1 FLAGS UID", ErrorKind::Trailing),
        ("1 FLAGSUID", ErrorKind::FetchItem),
        ("1 VERYLONGNAMEOFANITEM", ErrorKind::FetchItem),
        ("1 BODY.PEEK", ErrorKind::FetchItem),
        ("1 FLAGS[]", ErrorKind::FetchItem),
        ("1 BODY[", ErrorKind::Section),
        ("1 BODY[0]", ErrorKind::Section),
        ("1 BODY[1.]", ErrorKind::Section),
        ("1 BODY[1.0.2]", ErrorKind::Section),
        ("1 BODY[1TEXT]", ErrorKind::Section),
        ("1 BODY[99999999999]", ErrorKind::Section),
        ("1 BODY[MIME]", ErrorKind::Section),
        ("1 BODY[HEADER.]", ErrorKind::Section),
        ("1 BODY[HEADER.FIELDS]", ErrorKind::Section),
        ("1 BODY[HEADER.FIELDS ()]", ErrorKind::Astring),
        ("1 BODY[TEXT", ErrorKind::Section),
        ("1 BODY[]<0>", ErrorKind::Partial),
        ("1 BODY[]<0.0>", ErrorKind::Partial),
        ("1 BODY[]<1.2", ErrorKind::Partial),
        ("1 BODY[]<.2>", ErrorKind::Partial),
        ("1 BODY[]<1.99999999999999999999>", ErrorKind::Partial),
        ("0 UID", ErrorKind::SequenceSet),
        ("1: UID", ErrorKind::SequenceSet),
        ("1, UID", ErrorKind::SequenceSet),
        ("4294967296 UID", ErrorKind::SequenceSet),
        ("1:2:3 UID", ErrorKind::Space),
        ("x UID", ErrorKind::SequenceSet),
    ] {
        is_refused(&format!("a FETCH {text}"), kind);
        is_refused(&format!("a UID FETCH {text}"), kind);
    }
    let many = vec!["UID"; FETCH_ITEMS_MAX + 1].join(" ");
    is_refused(&format!("a FETCH 1 ({many})"), ErrorKind::TooMany);
    let deep = "1.".repeat(1_000);
    is_refused(&format!("a FETCH 1 BODY[{deep}1]"), ErrorKind::Section);
}

#[test]
fn stores() {
    use StoreAction::*;
    let flags = FlagList { system: Flags::DELETED.with(Flags::SEEN), keywords: &["$Junk", "x"] };
    for (item, action, silent) in [
        ("FLAGS", Replace, false),
        ("+FLAGS", Add, false),
        ("-flags", Remove, false),
        ("FLAGS.SILENT", Replace, true),
        ("+FLAGS.SILENT", Add, true),
        ("-Flags.Silent", Remove, true),
    ] {
        let set = SequenceSet(&[range(2, 4)]);
        let expected = Command::Store { set, action, silent, flags };
        is_command(&format!("a STORE 2:4 {item} (\\Deleted \\SEEN $Junk x)"), expected);
        is_command(&format!("a STORE 2:4 {item} \\Deleted $Junk \\Seen $JUNK \\Recent \\Extension x "), expected);
        is_command(
            &format!("a STORE 2:4 {item} ()"),
            Command::Store { set, action, silent, flags: FlagList::default() },
        );
    }
    for (text, kind) in [
        ("1 FLAGS", ErrorKind::Space),
        ("1 FLAGS ", ErrorKind::Flag),
        ("1 FLAG (x)", ErrorKind::StoreAction),
        ("1 +-FLAGS (x)", ErrorKind::StoreAction),
        ("1 FLAGS (\\)", ErrorKind::Flag),
        ("1 FLAGS (\\Foo\\)", ErrorKind::Flag),
        ("1 FLAGS (\\*)", ErrorKind::Flag),
        ("1 FLAGS (\\Seen", ErrorKind::Flag),
        ("1 FLAGS (a%)", ErrorKind::Keyword),
        ("1 FLAGS (a]b)", ErrorKind::Keyword),
        ("1 FLAGS (ü)", ErrorKind::Keyword),
        ("1 FLAGS (\"x\")", ErrorKind::Flag),
        ("1 FLAGS ((x))", ErrorKind::Flag),
        ("1 FLAGS (x) y", ErrorKind::Trailing),
    ] {
        is_refused(&format!("a STORE {text}"), kind);
    }
    let long = "k".repeat(KEYWORD_BYTES_MAX + 1);
    is_refused(&format!("a STORE 1 +FLAGS ({long})"), ErrorKind::Keyword);
    let many: String = (0..=KEYWORDS_MAX).map(|number| format!(" k{number}")).collect();
    is_refused(&format!("a STORE 1 +FLAGS ({many})"), ErrorKind::KeywordsTooMany);
}

#[test]
fn search_keys() {
    use SearchKey::*;
    let flag = |flag, set| Flag { flag, set };
    for (text, key) in [
        ("ALL", All),
        ("answered", flag(Flags::ANSWERED, true)),
        ("DELETED", flag(Flags::DELETED, true)),
        ("DRAFT", flag(Flags::DRAFT, true)),
        ("FLAGGED", flag(Flags::FLAGGED, true)),
        ("NEW", New),
        ("OLD", flag(Flags::RECENT, false)),
        ("RECENT", flag(Flags::RECENT, true)),
        ("SEEN", flag(Flags::SEEN, true)),
        ("UNANSWERED", flag(Flags::ANSWERED, false)),
        ("UNDELETED", flag(Flags::DELETED, false)),
        ("UNDRAFT", flag(Flags::DRAFT, false)),
        ("UNFLAGGED", flag(Flags::FLAGGED, false)),
        ("UNSEEN", flag(Flags::SEEN, false)),
        ("KEYWORD $Junk", Keyword { keyword: "$Junk", set: true }),
        ("UNKEYWORD x", Keyword { keyword: "x", set: false }),
        ("BCC x", Bcc(b"x")),
        ("BODY \"a b\"", Body(b"a b")),
        ("CC x", Cc(b"x")),
        ("FROM \"SMITH\"", From(b"SMITH")),
        ("SUBJECT {2}\r\n\r\n", Subject(b"\r\n")),
        ("TEXT \"\"", Text(b"")),
        ("TO x", To(b"x")),
        ("HEADER Message-ID <a@b>", Header { field: b"Message-ID", value: b"<a@b>" }),
        ("BEFORE 1-Feb-1994", Before(8_797)),
        ("ON \"1-feb-1994\"", On(8_797)),
        ("SINCE 01-FEB-1994", Since(8_797)),
        ("SENTBEFORE 1-Jan-1970", SentBefore(0)),
        ("SENTON 31-Dec-1969", SentOn(-1)),
        ("SENTSINCE 29-Feb-2024", SentSince(19_782)),
        ("LARGER 4294967296", Larger(4_294_967_296)),
        ("SMALLER 0", Smaller(0)),
        ("UID 1:*", Uid(SequenceSet(&[range(1, Range::LAST)]))),
        ("1:2,*", Sequence(SequenceSet(&[range(1, 2), range(Range::LAST, Range::LAST)]))),
        ("NOT SEEN", Not(&flag(Flags::SEEN, true))),
        ("OR 1 NOT ALL", Or(&Sequence(SequenceSet(&[range(1, 1)])), &Not(&All))),
        ("(ALL (NEW))", And(&[All, And(&[New])])),
    ] {
        is_command(&format!("a SEARCH {text}"), Command::Search(Search { charset: None, keys: &[key] }));
        with(format!("a UID SEARCH CHARSET UTF-8 ALL {text}").as_bytes(), |parsed| {
            let search = Search { charset: Some("UTF-8"), keys: &[All, key] };
            assert_eq!(parsed, Ok(Tagged { tag: "a", uid: true, command: Command::Search(search) }), "{text}");
        });
    }
}

/// Attack 32, and what is no search.
#[test]
fn malformed_searches() {
    for (text, kind) in [
        ("", ErrorKind::Space),
        (" ", ErrorKind::SearchKey),
        (" CHARSET UTF-8", ErrorKind::Space),
        (" ()", ErrorKind::SearchKey),
        (" (ALL", ErrorKind::Space),
        (" ALL)", ErrorKind::Space),
        (" ALLX", ErrorKind::SearchKey),
        (" UNANSWEREDX", ErrorKind::SearchKey),
        (" NOT", ErrorKind::Space),
        (" OR ALL", ErrorKind::Space),
        (" HEADER x", ErrorKind::Space),
        (" ON 30-Feb-2000", ErrorKind::Date),
        (" ON \"1-Feb-2000", ErrorKind::Quoted),
        (" LARGER x", ErrorKind::Number),
        (" LARGER 9999999999999999999999", ErrorKind::Number),
        (" UID x", ErrorKind::SequenceSet),
        (" KEYWORD \\Seen", ErrorKind::Keyword),
    ] {
        is_refused(&format!("a SEARCH{text}"), kind);
    }
    for nested in ["(", "NOT ", "OR ALL ", "(NOT "] {
        is_refused(&format!("a SEARCH {}", nested.repeat(100_000)), ErrorKind::Nesting);
    }
    let deepest = format!("a SEARCH {}ALL", "NOT ".repeat(NESTING_MAX - 1));
    assert!(with(deepest.as_bytes(), |parsed| parsed.is_ok()));
    let terms = "ALL ".repeat(SEARCH_KEYS_MAX);
    assert!(with(format!("a SEARCH {terms}").as_bytes(), |parsed| parsed.is_ok()));
    is_refused(&format!("a SEARCH {terms}ALL"), ErrorKind::TooMany);
    let set = format!("a FETCH {}1 UID", "1,2,".repeat(500_000));
    is_refused(&set, ErrorKind::TooMany);
}

#[test]
fn uid_commands() {
    with(b"a UID EXPUNGE 3000:3002", |parsed| {
        let uids = Some(SequenceSet(&[range(3000, 3002)]));
        assert_eq!(parsed, Ok(Tagged { tag: "a", uid: true, command: Command::Expunge { uids } }));
    });
    for (text, uid) in [("a uid fetch 1 UID", true), ("a FETCH 1 UID", false), ("a UID STORE 1 FLAGS (x)", true)] {
        assert_eq!(with(text.as_bytes(), |parsed| parsed.map(|tagged| tagged.uid).ok()), Some(uid), "{text}");
    }
    is_refused("a UID", ErrorKind::Space);
    is_refused("a UID EXPUNGE", ErrorKind::Space);
}

#[test]
fn copies_and_moves() {
    let set = SequenceSet(&[range(2, 4), range(Range::LAST, Range::LAST)]);
    is_command("a COPY 2:4,* MEETING", Command::Copy { set, mailbox: "MEETING" });
    is_command("a move 2:4,* {5}\r\ninbox", Command::Move { set, mailbox: "INBOX" });
    for text in ["a UID COPY 2:4,* \"Entw&APw-rfe\"", "a uid MOVE 2:4,* \"Entw&APw-rfe\""] {
        with(text.as_bytes(), |parsed| match parsed {
            Ok(Tagged { uid: true, command, .. }) => assert!(matches!(
                command,
                Command::Copy { set: found, mailbox } | Command::Move { set: found, mailbox }
                    if found == set && mailbox == "Entwürfe"
            )),
            other => panic!("{other:?}: {text}"),
        });
    }
    for (text, kind) in [
        ("", ErrorKind::Space),
        (" 1", ErrorKind::Space),
        (" 1 ", ErrorKind::Astring),
        (" x y", ErrorKind::SequenceSet),
        (" 1 x y", ErrorKind::Trailing),
        (" 1 &AA", ErrorKind::Mailbox),
        (" 1 {3}\r\na\0b", ErrorKind::MailboxControl),
    ] {
        for name in ["COPY", "UID COPY", "MOVE", "UID MOVE"] {
            is_refused(&format!("a {name}{text}"), kind);
        }
    }
}

#[test]
fn names_and_bits() {
    for (item, name) in StatusItem::NAMED {
        assert_eq!(item.name(), name);
    }
    for (index, (flag, name)) in Flags::NAMED.into_iter().enumerate() {
        assert_eq!((flag.bits(), Flags::named(name.as_bytes())), (1 << index, Some(flag)));
        assert_eq!(Flags::from_bits(flag.bits() | 0xC0), flag);
    }
    for (text, seen) in [
        ("RFC822", true),
        ("RFC822.TEXT", true),
        ("BODY[]", true),
        ("BODY[1.MIME]<0.1>", true),
        ("RFC822.PEEK", false),
        ("RFC822.HEADER", false),
        ("BODY.PEEK[TEXT]", false),
        ("BODY", false),
        ("FLAGS", false),
    ] {
        with(format!("a FETCH 1 {text}").as_bytes(), |parsed| match parsed {
            Ok(Tagged { command: Command::Fetch { items, .. }, .. }) => {
                assert_eq!(items[0].sets_seen(), seen, "{text}")
            }
            other => panic!("{other:?}"),
        });
    }
}
