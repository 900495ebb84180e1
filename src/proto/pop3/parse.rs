//! Reads one POP3 command line.
//!
//! Invariants: the result borrows the line; a password is taken octet for octet; keywords are in any case; an argument too
//! many is refused, never passed over. Whether a command fits the moment, and whether there is such a message, is the
//! session's business. RFC 1939 §9, RFC 2449 §3, RFC 2595 §4, RFC 5034 §4.

use std::str::from_utf8;

use memchr::memchr;

/// A command of POP3.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the commands of RFC 1939 §9, message numbers theirs
pub enum Command<'a> {
    Capa,
    Stls,
    User {
        name: &'a [u8],
    },
    Pass {
        password: &'a [u8],
    },
    /// `initial` is the initial response in base64, `=` where it is empty; without a mechanism the client asks for their list.
    Auth {
        mechanism: Option<&'a str>,
        initial: Option<&'a [u8]>,
    },
    Apop,
    Quit,
    Stat,
    List {
        message: Option<u32>,
    },
    Retr {
        message: u32,
    },
    Dele {
        message: u32,
    },
    Noop,
    Rset,
    Uidl {
        message: Option<u32>,
    },
    Top {
        message: u32,
        /// Lines of the body.
        lines: u32,
    },
}

impl std::fmt::Debug for Command<'_> {
    /// Leaves arguments out, which may be secrets: this may end in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::Capa => "CAPA",
            Command::Stls => "STLS",
            Command::User { .. } => "USER",
            Command::Pass { .. } => "PASS",
            Command::Auth { .. } => "AUTH",
            Command::Apop => "APOP",
            Command::Quit => "QUIT",
            Command::Stat => "STAT",
            Command::List { .. } => "LIST",
            Command::Retr { .. } => "RETR",
            Command::Dele { .. } => "DELE",
            Command::Noop => "NOOP",
            Command::Rset => "RSET",
            Command::Uidl { .. } => "UIDL",
            Command::Top { .. } => "TOP",
        })
    }
}

/// A line that is no command that we know, or a malformed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `text` says what each means
pub enum ParseError {
    Unknown,
    NoArgument,
    ArgumentMissing,
    Number,
    NoMessage,
    AuthSyntax,
}

impl ParseError {
    /// The text.
    pub fn text(self) -> &'static str {
        match self {
            ParseError::Unknown => "Unknown command",
            ParseError::NoArgument => "The command takes no such argument",
            ParseError::ArgumentMissing => "The command needs an argument",
            ParseError::Number => "A number was expected",
            ParseError::NoMessage => "No such message",
            ParseError::AuthSyntax => "Syntax: AUTH mechanism [initial-response]",
        }
    }
}

/// `command = keyword *(SP param) CRLF` (RFC 2449 §3); spaces before the CRLF are forgiven where they can't belong to a
/// password, the CRLF itself may be gone.
pub fn parse(line: &[u8]) -> Result<Command<'_>, ParseError> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let space = memchr(b' ', line).unwrap_or(line.len());
    let (keyword, argument) = (&line[..space], line.get(space + 1..).unwrap_or_default());
    let mut upper = [0; 4];
    // RFC 1939 §3: keywords are three or four characters.
    let Some(upper) = upper.get_mut(..keyword.len()) else { return Err(ParseError::Unknown) };
    upper.copy_from_slice(keyword);
    upper.make_ascii_uppercase();
    match &*upper {
        b"USER" => user(argument),
        b"PASS" => pass(argument),
        b"AUTH" => auth(argument.trim_ascii()),
        // Whatever its argument: it is off.
        b"APOP" => Ok(Command::Apop),
        b"CAPA" => bare(argument, Command::Capa),
        b"STLS" => bare(argument, Command::Stls),
        b"QUIT" => bare(argument, Command::Quit),
        b"STAT" => bare(argument, Command::Stat),
        b"NOOP" => bare(argument, Command::Noop),
        b"RSET" => bare(argument, Command::Rset),
        b"LIST" => Ok(Command::List { message: optional(argument)? }),
        b"UIDL" => Ok(Command::Uidl { message: optional(argument)? }),
        b"RETR" => Ok(Command::Retr { message: message(argument.trim_ascii())? }),
        b"DELE" => Ok(Command::Dele { message: message(argument.trim_ascii())? }),
        b"TOP" => top(argument.trim_ascii()),
        _ => Err(ParseError::Unknown),
    }
}

fn bare<'a>(argument: &[u8], command: Command<'a>) -> Result<Command<'a>, ParseError> {
    if argument.trim_ascii().is_empty() { Ok(command) } else { Err(ParseError::NoArgument) }
}

/// `user = "USER" SP name`; the name may hold spaces, as a hierarchical one does.
fn user(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    match argument.trim_ascii() {
        b"" => Err(ParseError::ArgumentMissing),
        name => Ok(Command::User { name }),
    }
}

/// `pass = "PASS" SP string`: whatever follows the one space, spaces too (RFC 1939 §7).
fn pass(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    if argument.is_empty() { Err(ParseError::ArgumentMissing) } else { Ok(Command::Pass { password: argument }) }
}

/// `auth = "AUTH" SP sasl-mech [SP initial-response] / "AUTH"`: the last one, which asks for the mechanisms, is older than
/// CAPA and still sent.
fn auth(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    if argument.is_empty() {
        return Ok(Command::Auth { mechanism: None, initial: None });
    }
    let space = memchr(b' ', argument).unwrap_or(argument.len());
    let mechanism = from_utf8(&argument[..space]).map_err(|_| ParseError::AuthSyntax)?;
    let initial = argument.get(space + 1..).map(<[u8]>::trim_ascii_start);
    match initial {
        Some(initial) if memchr(b' ', initial).is_some() => Err(ParseError::AuthSyntax),
        initial => Ok(Command::Auth { mechanism: Some(mechanism), initial }),
    }
}

/// `[SP msg]`
fn optional(argument: &[u8]) -> Result<Option<u32>, ParseError> {
    match argument.trim_ascii() {
        b"" => Ok(None),
        argument => message(argument).map(Some),
    }
}

/// `msg = 1*DIGIT`, counting from 1
fn message(argument: &[u8]) -> Result<u32, ParseError> {
    match number(argument)? {
        // No maildrop has that many.
        0 | u32::MAX => Err(ParseError::NoMessage),
        number => Ok(number),
    }
}

/// `1*DIGIT`; more than 32 bits hold is as much as there can be.
fn number(argument: &[u8]) -> Result<u32, ParseError> {
    if argument.is_empty() {
        return Err(ParseError::ArgumentMissing);
    }
    argument.iter().try_fold(0u32, |number, octet| match octet {
        b'0'..=b'9' => Ok(number.saturating_mul(10).saturating_add(u32::from(octet - b'0'))),
        _ => Err(ParseError::Number),
    })
}

/// `top = "TOP" SP msg SP n`
fn top(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let space = memchr(b' ', argument).unwrap_or(argument.len());
    let (of, lines) = (&argument[..space], argument[space..].trim_ascii_start());
    Ok(Command::Top { message: message(of)?, lines: number(lines)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        for (line, command) in [
            (&b"CAPA\r\n"[..], Command::Capa),
            (b"capa", Command::Capa),
            (b"STLS\r\n", Command::Stls),
            (b"USER mrose\r\n", Command::User { name: b"mrose" }),
            (b"user Anna Muster/Sales/ACME \r\n", Command::User { name: b"Anna Muster/Sales/ACME" }),
            (b"PASS tanstaaf\r\n", Command::Pass { password: b"tanstaaf" }),
            (b"Pass  a b \r\n", Command::Pass { password: b" a b " }),
            (b"AUTH\r\n", Command::Auth { mechanism: None, initial: None }),
            (b"AUTH LOGIN\r\n", Command::Auth { mechanism: Some("LOGIN"), initial: None }),
            (b"AUTH PLAIN =\r\n", Command::Auth { mechanism: Some("PLAIN"), initial: Some(b"=") }),
            (b"AUTH PLAIN AGEAYg==\r\n", Command::Auth { mechanism: Some("PLAIN"), initial: Some(b"AGEAYg==") }),
            (b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n", Command::Apop),
            (b"QUIT \r\n", Command::Quit),
            (b"STAT\r\n", Command::Stat),
            (b"LIST\r\n", Command::List { message: None }),
            (b"LIST 2\r\n", Command::List { message: Some(2) }),
            (b"RETR 1\r\n", Command::Retr { message: 1 }),
            (b"retr 0000000000007\r\n", Command::Retr { message: 7 }),
            (b"DELE 4294967294\r\n", Command::Dele { message: 4_294_967_294 }),
            (b"NOOP\r\n", Command::Noop),
            (b"RSET\r\n", Command::Rset),
            (b"UIDL \r\n", Command::Uidl { message: None }),
            (b"UIDL 3\r\n", Command::Uidl { message: Some(3) }),
            (b"TOP 1 10\r\n", Command::Top { message: 1, lines: 10 }),
            (b"top  1  0 \r\n", Command::Top { message: 1, lines: 0 }),
            (b"TOP 1 99999999999999999999\r\n", Command::Top { message: 1, lines: u32::MAX }),
        ] {
            assert_eq!(parse(line), Ok(command), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_is_refused() {
        use ParseError::*;
        for (line, error) in [
            (&b"\r\n"[..], Unknown),
            (b"RETRX 1\r\n", Unknown),
            (b"LAST\r\n", Unknown),
            (b"RETR\t1\r\n", Unknown),
            (b"USER\r\n", ArgumentMissing),
            (b"USER  \r\n", ArgumentMissing),
            (b"PASS\r\n", ArgumentMissing),
            (b"PASS \r\n", ArgumentMissing),
            (b"STAT 1\r\n", NoArgument),
            (b"QUIT now\r\n", NoArgument),
            (b"RETR\r\n", ArgumentMissing),
            (b"RETR 1 2\r\n", Number),
            (b"RETR -1\r\n", Number),
            (b"RETR +1\r\n", Number),
            (b"RETR 0x1\r\n", Number),
            (b"RETR 0\r\n", NoMessage),
            (b"LIST 4294967295\r\n", NoMessage),
            (b"DELE 99999999999999999999999\r\n", NoMessage),
            (b"TOP 1\r\n", ArgumentMissing),
            (b"TOP 1 -1\r\n", Number),
            (b"TOP 1 2 3\r\n", Number),
            (b"AUTH PLAIN a b\r\n", AuthSyntax),
            (b"AUTH \xff\r\n", AuthSyntax),
        ] {
            assert_eq!(parse(line), Err(error), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_command_that_is_shown_keeps_its_secret() {
        assert_eq!(format!("{:?}", Command::Pass { password: b"tanstaaf" }), "PASS");
    }
}
