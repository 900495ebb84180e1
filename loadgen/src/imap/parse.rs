//! One whole response ⇄ what it means. RFC 9051 §7 and §9; RFC 3501 where it differs (SEARCH, RECENT, LSUB).
//!
//! Invariant: every octet of a response is read, and one that the grammar does not allow is an error with its place. Responses
//! of extensions that we did not ask for are still checked to be well formed values.

use super::fetch::{FetchItem, msg_att};
use super::scan::{Cursor, Malformed, Taken, Text};

/// The word of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// OK
    Ok,
    /// NO
    No,
    /// BAD
    Bad,
    /// BYE
    Bye,
    /// PREAUTH
    Preauth,
}

/// A response code that a client acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code<'a> {
    /// CAPABILITY
    Capability(Vec<&'a [u8]>),
    /// UIDVALIDITY
    UidValidity(u32),
    /// UIDNEXT
    UidNext(u32),
    /// UNSEEN
    Unseen(u32),
    /// PERMANENTFLAGS
    PermanentFlags(Vec<&'a [u8]>),
    /// HIGHESTMODSEQ
    HighestModSeq(u64),
    /// APPENDUID (RFC 4315 §3); of MULTIAPPEND the first UID.
    AppendUid {
        /// The mailbox's UIDVALIDITY.
        validity: u32,
        /// The message's UID.
        uid: u32,
    },
    /// COPYUID (RFC 4315 §3): where the first of the copies is.
    CopyUid {
        /// The other mailbox's UIDVALIDITY.
        validity: u32,
        /// The first copy's UID.
        uid: u32,
    },
    /// Any other: its name.
    Other(&'a [u8]),
}

/// A status word with its code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusText<'a> {
    /// OK, NO …
    pub status: Status,
    /// What stood in brackets.
    pub code: Option<Code<'a>>,
    /// The human-readable rest.
    pub text: &'a [u8],
}

/// A response of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response<'a> {
    /// `+ …`
    Continuation,
    /// A command's end.
    Tagged(&'a [u8], StatusText<'a>),
    /// `* OK …` and its like.
    Status(StatusText<'a>),
    /// CAPABILITY
    Capability(Vec<&'a [u8]>),
    /// FLAGS
    Flags(Vec<&'a [u8]>),
    /// EXISTS
    Exists(u32),
    /// RECENT
    Recent(u32),
    /// EXPUNGE
    Expunge(u32),
    /// FETCH
    Fetch(u32, Vec<FetchItem<'a>>),
    /// VANISHED (RFC 7162 §3.2.10); true: EARLIER.
    Vanished(bool),
    /// SEARCH or SORT.
    Search {
        /// How many numbers.
        found: u32,
        /// The greatest of them, 0 where there is none.
        greatest: u32,
    },
    /// Any other untagged data: its name.
    Other(&'a [u8]),
}

/// Parses one whole response with its CRLF.
/// ```text
/// response-data = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data / capability-data / enable-data) CRLF
/// response-tagged = tag SP resp-cond-state CRLF
/// continue-req  = "+" SP (resp-text / base64) CRLF
/// ```
pub fn parse(response: &[u8]) -> Result<Response<'_>, Malformed> {
    let mut cursor = Cursor::new(response);
    if cursor.took(b'*') {
        cursor.space()?;
        let parsed = untagged(&mut cursor)?;
        cursor.end()?;
        return Ok(parsed);
    }
    if cursor.took(b'+') {
        // RFC 9051 §7.6 has a space here; "+\r\n" is common and harmless.
        if cursor.took(b' ') {
            text(&mut cursor)?;
        }
        cursor.end()?;
        return Ok(Response::Continuation);
    }
    // tag = 1*<any ASTRING-CHAR except "+">
    let tag =
        cursor.run("a tag, * or +", |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_'))?;
    cursor.space()?;
    let word = cursor.atom()?;
    let Some(status @ (Status::Ok | Status::No | Status::Bad)) = status_of(word) else {
        return cursor.malformed("OK, NO or BAD before this");
    };
    let condition = status_text(&mut cursor, status)?;
    cursor.end()?;
    Ok(Response::Tagged(tag, condition))
}

fn status_of(word: &[u8]) -> Option<Status> {
    const WORDS: [(&[u8], Status); 5] = [
        (b"OK", Status::Ok),
        (b"NO", Status::No),
        (b"BAD", Status::Bad),
        (b"BYE", Status::Bye),
        (b"PREAUTH", Status::Preauth),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, status)| *status)
}

/// ```text
/// resp-text = ["[" resp-text-code "]" SP] [text]
/// ```
fn status_text<'a>(cursor: &mut Cursor<'a>, status: Status) -> Taken<StatusText<'a>> {
    if cursor.rest() == b"\r\n" {
        // Not in the grammar of RFC 3501, allowed by RFC 9051 only after the space; servers do it and nobody is harmed.
        return Ok(StatusText { status, code: None, text: b"" });
    }
    cursor.space()?;
    let mut code = None;
    if cursor.took(b'[') {
        code = Some(resp_text_code(cursor)?);
        cursor.take(b']', "the response code's closing bracket")?;
        if cursor.rest() != b"\r\n" {
            cursor.space()?;
        }
    }
    Ok(StatusText { status, code, text: text(cursor)? })
}

/// `text = 1*(TEXT-CHAR / UTF8-2 / UTF8-3 / UTF8-4)`, and here the empty one.
fn text<'a>(cursor: &mut Cursor<'a>) -> Taken<&'a [u8]> {
    let rest = cursor.rest();
    let count = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
    cursor.octets(count)
}

/// ```text
/// resp-text-code = "ALERT" / "BADCHARSET" [SP "(" charset *(SP charset) ")"] / capability-data / "PARSE" /
///                  "PERMANENTFLAGS" SP "(" [flag-perm *(SP flag-perm)] ")" / "UIDNEXT" SP nz-number /
///                  "UIDVALIDITY" SP nz-number / "UNSEEN" SP nz-number / "APPENDUID" SP nz-number SP append-uid / … /
///                  atom [SP 1*<any TEXT-CHAR except "]">]
/// ```
fn resp_text_code<'a>(cursor: &mut Cursor<'a>) -> Taken<Code<'a>> {
    let name = cursor.atom()?;
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    Ok(if is(b"CAPABILITY") {
        Code::Capability(capabilities(cursor)?)
    } else if is(b"UIDVALIDITY") {
        cursor.space()?;
        Code::UidValidity(cursor.nz_number()?)
    } else if is(b"UIDNEXT") {
        cursor.space()?;
        Code::UidNext(cursor.nz_number()?)
    } else if is(b"UNSEEN") {
        cursor.space()?;
        Code::Unseen(cursor.nz_number()?)
    } else if is(b"HIGHESTMODSEQ") {
        cursor.space()?;
        Code::HighestModSeq(cursor.number64()?)
    } else if is(b"PERMANENTFLAGS") {
        cursor.space()?;
        Code::PermanentFlags(flag_list(cursor)?)
    } else if is(b"APPENDUID") {
        cursor.space()?;
        let validity = cursor.nz_number()?;
        cursor.space()?;
        let uid = cursor.nz_number()?;
        // append-uid may be a uid-set with MULTIAPPEND (RFC 4315 §4).
        if cursor.peek() != Some(b']') {
            sequence_set(cursor)?;
        }
        Code::AppendUid { validity, uid }
    } else if is(b"COPYUID") {
        cursor.space()?;
        let validity = cursor.nz_number()?;
        cursor.space()?;
        sequence_set(cursor)?;
        cursor.space()?;
        let uid = cursor.nz_number()?;
        if cursor.peek() != Some(b']') {
            sequence_set(cursor)?;
        }
        Code::CopyUid { validity, uid }
    } else {
        if cursor.took(b' ') {
            cursor.run("the code's argument", |octet| !matches!(octet, b']' | b'\r' | b'\n' | 0))?;
        }
        Code::Other(name)
    })
}

fn sequence_set(cursor: &mut Cursor<'_>) -> Taken<()> {
    cursor.run("a sequence set", |octet| octet.is_ascii_digit() || matches!(octet, b':' | b',' | b'*')).map(drop)
}

fn flag_list<'a>(cursor: &mut Cursor<'a>) -> Taken<Vec<&'a [u8]>> {
    let mut flags = Vec::new();
    cursor.list(|cursor| {
        flags.push(cursor.flag()?);
        Ok(())
    })?;
    Ok(flags)
}

/// `capability-data = "CAPABILITY" *(SP capability)`; IMAP4rev1 or IMAP4rev2 must be among them.
fn capabilities<'a>(cursor: &mut Cursor<'a>) -> Taken<Vec<&'a [u8]>> {
    let mut names = Vec::new();
    while cursor.took(b' ') {
        names.push(cursor.atom()?);
    }
    if names.iter().any(|name| name.eq_ignore_ascii_case(b"IMAP4rev1") || name.eq_ignore_ascii_case(b"IMAP4rev2")) {
        Ok(names)
    } else {
        cursor.malformed("IMAP4rev1 or IMAP4rev2 among the capabilities before this")
    }
}

fn untagged<'a>(cursor: &mut Cursor<'a>) -> Taken<Response<'a>> {
    if cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        return numbered(cursor);
    }
    if !cursor.peek().is_some_and(|octet| octet.is_ascii_alphabetic()) {
        return cursor.malformed("the name of untagged data");
    }
    let name = cursor.atom()?;
    if let Some(status) = status_of(name) {
        return Ok(Response::Status(status_text(cursor, status)?));
    }
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    if is(b"CAPABILITY") {
        return Ok(Response::Capability(capabilities(cursor)?));
    }
    if is(b"FLAGS") {
        cursor.space()?;
        return Ok(Response::Flags(flag_list(cursor)?));
    }
    if is(b"SEARCH") || is(b"SORT") {
        return search(cursor);
    }
    if is(b"LIST") || is(b"LSUB") {
        cursor.space()?;
        mailbox_list(cursor)?;
    } else if is(b"STATUS") {
        cursor.space()?;
        status_data(cursor)?;
    } else if is(b"VANISHED") {
        cursor.space()?;
        let earlier = cursor.peek() == Some(b'(');
        if earlier {
            cursor.any_value()?;
            cursor.space()?;
        }
        sequence_set(cursor)?;
        return Ok(Response::Vanished(earlier));
    } else {
        while cursor.took(b' ') {
            cursor.any_value()?;
        }
    }
    Ok(Response::Other(name))
}

/// ```text
/// message-data = nz-number SP ("EXPUNGE" / ("FETCH" SP msg-att))
/// mailbox-data = … / number SP "EXISTS" / number SP "RECENT"
/// ```
fn numbered<'a>(cursor: &mut Cursor<'a>) -> Taken<Response<'a>> {
    let number = cursor.number()?;
    cursor.space()?;
    if cursor.took_word(b"EXISTS") {
        return Ok(Response::Exists(number));
    }
    if cursor.took_word(b"RECENT") {
        return Ok(Response::Recent(number));
    }
    if number == 0 {
        return cursor.malformed("a message number above zero before this");
    }
    if cursor.took_word(b"EXPUNGE") {
        return Ok(Response::Expunge(number));
    }
    if cursor.took_word(b"FETCH") {
        cursor.space()?;
        return Ok(Response::Fetch(number, msg_att(cursor)?));
    }
    cursor.malformed("EXISTS, RECENT, EXPUNGE or FETCH")
}

/// `"SEARCH" *(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]` (RFC 3501, RFC 7162 §3.1.5)
fn search<'a>(cursor: &mut Cursor<'a>) -> Taken<Response<'a>> {
    let (mut found, mut greatest) = (0, 0);
    while cursor.took(b' ') {
        if cursor.peek() == Some(b'(') {
            cursor.any_value()?;
            break;
        }
        if cursor.rest() == b"\r\n" {
            break; // "* SEARCH \r\n": an empty result with a space, from old servers.
        }
        greatest = greatest.max(cursor.nz_number()?);
        found += 1;
    }
    Ok(Response::Search { found, greatest })
}

/// ```text
/// mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox [SP mbox-list-extended]
/// ```
fn mailbox_list(cursor: &mut Cursor<'_>) -> Taken<()> {
    flag_list(cursor)?;
    cursor.space()?;
    match cursor.nstring()? {
        Some(Text::Quoted(delimiter)) if matches!(delimiter.len(), 1 | 2) => {}
        None => {}
        Some(_) => return cursor.malformed("a delimiter of one character in quotes before this"),
    }
    cursor.space()?;
    cursor.astring()?;
    if cursor.took(b' ') {
        cursor.any_value()?;
    }
    Ok(())
}

/// `"STATUS" SP mailbox SP "(" [status-att-list] ")"`, each attribute with a number (or MAILBOXID's list).
fn status_data(cursor: &mut Cursor<'_>) -> Taken<()> {
    cursor.astring()?;
    cursor.space()?;
    cursor.list(|cursor| {
        cursor.atom()?;
        cursor.space()?;
        cursor.any_value()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_responses() {
        let text = b"A000001 OK [APPENDUID 38505 3955] APPEND completed\r\n";
        let condition = StatusText {
            status: Status::Ok,
            code: Some(Code::AppendUid { validity: 38505, uid: 3955 }),
            text: b"APPEND completed",
        };
        assert_eq!(parse(text), Ok(Response::Tagged(b"A000001", condition)));
        let text = b"* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] hi {3}\r\n";
        let Ok(Response::Status(status)) = parse(text) else { panic!("a status") };
        assert_eq!(status.code, Some(Code::Capability(vec![b"IMAP4rev1", b"LITERAL+", b"AUTH=PLAIN"])));
        for good in [
            "* BYE\r\n",
            "* PREAUTH x\r\n",
            "+ go\r\n",
            "+\r\n",
            "A1 NO [X-CODE any \"text] more\r\n",
            "* OK [BADCHARSET (UTF-8)] x\r\n",
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn data() {
        assert_eq!(parse(b"* 0 EXISTS\r\n"), Ok(Response::Exists(0)));
        assert_eq!(parse(b"* 44 EXPUNGE\r\n"), Ok(Response::Expunge(44)));
        assert_eq!(
            parse(b"* SEARCH 2 84 882 (MODSEQ 917162500)\r\n"),
            Ok(Response::Search { found: 3, greatest: 882 })
        );
        assert_eq!(parse(b"* SEARCH\r\n"), Ok(Response::Search { found: 0, greatest: 0 }));
        assert_eq!(parse(b"* VANISHED (EARLIER) 41,43:116\r\n"), Ok(Response::Vanished(true)));
        assert_eq!(parse(b"* 3 FETCH (UID 9)\r\n"), Ok(Response::Fetch(3, vec![FetchItem::Uid(9)])));
        for good in [
            "* LIST (\\Noselect) \"/\" ~/Mail/foo\r\n",
            "* LIST () NIL {3}\r\na b\r\n",
            "* LIST () \"\\\\\" \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
            "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)\r\n",
            "* ESEARCH (TAG \"A282\") UID MIN 2 COUNT 3 ALL 1:3,5\r\n",
            "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
            "* ID (\"name\" \"x\" \"version\" NIL)\r\n",
            "* ENABLED CONDSTORE\r\n",
            "* FLAGS (\\Answered \\Seen $Forwarded)\r\n",
        ] {
            assert!(parse(good.as_bytes()).is_ok(), "{good} {:?}", parse(good.as_bytes()));
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused() {
        for wrong in [
            "\r\n",
            "* \r\n",
            "*\r\n",
            "* 4 EXISTS \r\n",
            "* 4 EXISTSX\r\n",
            "* 0 EXPUNGE\r\n",
            "* 0 FETCH (UID 1)\r\n",
            "* -1 EXISTS\r\n",
            "* 4294967296 EXISTS\r\n",
            "* FLAGS \\Seen\r\n",
            "* SEARCH 0\r\n",
            "* CAPABILITY LITERAL+\r\n",
            "* LIST () \"//x\" a\r\n",
            "* LIST () \"/\"\r\n",
            "* STATUS x (MESSAGES)\r\n",
            "* OK [UIDNEXT 0] x\r\n",
            "* OK [UIDNEXT 5\r\n",
            "* OK a\rb\r\n",
            "A1 PREAUTH x\r\n",
            "A1 FOO x\r\n",
            "A1\r\n",
            "A+1 OK x\r\n",
            " A1 OK x\r\n",
            "* 1 FETCH (UID 1) \r\n",
            "* NAMESPACE ((\"\" \"/\") NIL NIL\r\n",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_damage_panics() {
        let good = b"* 3 FETCH (UID 9 FLAGS (\\Seen) BODY[TEXT]<0> {3}\r\nabc ENVELOPE (NIL {1}\r\nx NIL NIL NIL NIL NIL NIL NIL NIL))\r\n";
        assert!(parse(good).is_ok());
        for at in 0..good.len() {
            let _ = parse(&good[..at]);
            for octet in [0, b'(', b')', b'{', b'"', b'9', b'\r', 0xff] {
                let mut damaged = good.to_vec();
                damaged[at] = octet;
                let _ = parse(&damaged);
            }
        }
    }
}
