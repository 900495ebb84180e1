//! Reads one SMTP or LMTP command line.
//!
//! Invariants: the result borrows the line; what it holds is without control characters, and ASCII but for the addresses
//! of SMTPUTF8. An error is a whole reply. Whether a command fits the moment is the session's business. MAIL and RCPT are
//! read in `envelope`. RFC 5321 §4.1, RFC 4954 §4, RFC 3030 §2 (BDAT), RFC 6531 §3.7.4.2 (VRFY).

use std::str::from_utf8;

use memchr::memchr;

use super::envelope::{Mail, Rcpt, mail, rcpt, size_value};
use super::path::{is_address_literal, is_domain, is_text};
use crate::limits::SMTP_PATH_BYTES_MAX;

/// A command of SMTP or LMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the commands of RFC 5321 §4.1.1
pub enum Command<'a> {
    Ehlo {
        domain: &'a str,
    },
    Helo {
        domain: &'a str,
    },
    Lhlo {
        domain: &'a str,
    },
    Mail(Mail<'a>),
    Rcpt(Rcpt<'a>),
    /// A chunk of `bytes` octets follows the line (RFC 3030 §2).
    Bdat {
        bytes: u64,
        last: bool,
    },
    Data,
    Rset,
    Noop,
    Quit,
    Vrfy {
        name: &'a str,
    },
    Expn {
        name: &'a str,
    },
    Help,
    StartTls,
    /// `initial` is the initial response in base64, `=` where it is empty.
    Auth {
        mechanism: &'a str,
        initial: Option<&'a [u8]>,
    },
}

/// A line that is no command that we know, or a malformed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `text` says what each means
pub enum ParseError {
    Unrecognized,
    Unreadable,
    NoArgument,
    ArgumentMissing,
    HelloArgument,
    MailSyntax,
    RcptSyntax,
    Address,
    ParameterUnknown,
    ParameterValue,
    ParameterTwice,
    AuthSyntax,
    NotAscii,
    ChunkSize,
}

impl ParseError {
    /// The reply code.
    pub fn code(self) -> u16 {
        match self {
            ParseError::Unrecognized | ParseError::Unreadable => 500,
            ParseError::ParameterUnknown => 555,
            ParseError::NotAscii => 553,
            _ => 501,
        }
    }

    /// The enhanced status code (RFC 3463).
    pub fn enhanced(self) -> &'static str {
        match self {
            ParseError::Unrecognized => "5.5.1",
            ParseError::Unreadable => "5.5.2",
            // For the reverse-path too, where RFC 3463 would have 5.1.7: one answer for all broken addresses.
            ParseError::Address => "5.1.3",
            ParseError::NotAscii => "5.6.7",
            _ => "5.5.4",
        }
    }

    /// The text.
    pub fn text(self) -> &'static str {
        match self {
            ParseError::Unrecognized => "Command not recognized",
            ParseError::Unreadable => "Syntax error, command unreadable",
            ParseError::NoArgument => "The command takes no argument",
            ParseError::ArgumentMissing => "The command needs an argument",
            ParseError::HelloArgument => "A domain or address literal must follow",
            ParseError::MailSyntax => "Syntax: MAIL FROM:<address>",
            ParseError::RcptSyntax => "Syntax: RCPT TO:<address>",
            ParseError::Address => "Malformed address",
            ParseError::ParameterUnknown => "Parameter not recognized",
            ParseError::ParameterValue => "Malformed parameter",
            ParseError::ParameterTwice => "Parameter given twice",
            ParseError::AuthSyntax => "Syntax: AUTH mechanism [initial-response]",
            ParseError::NotAscii => "The address needs SMTPUTF8",
            ParseError::ChunkSize => "Syntax: BDAT octets [LAST]",
        }
    }
}

/// Whether a line that can't be read may be a BDAT, which octets follow that are no commands.
pub fn announces_chunk(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

/// `command = verb [SP argument] CRLF`; spaces before the CRLF are forgiven, the CRLF itself may be gone.
pub fn parse(line: &[u8]) -> Result<Command<'_>, ParseError> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    if line.iter().any(u8::is_ascii_control) {
        return Err(if announces_chunk(line) { ParseError::ChunkSize } else { ParseError::Unreadable });
    }
    let line = line.trim_ascii_end();
    let space = memchr(b' ', line).unwrap_or(line.len());
    let (verb, argument) = (&line[..space], line[space..].trim_ascii_start());
    let mut upper = [0; 8];
    let Some(upper) = upper.get_mut(..verb.len()) else { return Err(ParseError::Unrecognized) };
    upper.copy_from_slice(verb);
    upper.make_ascii_uppercase();
    match &*upper {
        b"MAIL" => mail(argument),
        b"RCPT" => rcpt(argument),
        b"DATA" => bare(argument, Command::Data),
        b"RSET" => bare(argument, Command::Rset),
        b"QUIT" => bare(argument, Command::Quit),
        b"STARTTLS" => bare(argument, Command::StartTls),
        // RFC 5321 §4.1.1.9: a string may follow, and is passed over.
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"EHLO" => Ok(Command::Ehlo { domain: hello(argument)? }),
        b"HELO" => Ok(Command::Helo { domain: hello(argument)? }),
        b"LHLO" => Ok(Command::Lhlo { domain: hello(argument)? }),
        b"VRFY" => vrfy(argument),
        b"EXPN" => Ok(Command::Expn { name: string(argument)? }),
        b"BDAT" => bdat(argument),
        b"AUTH" => auth(argument),
        _ => Err(ParseError::Unrecognized),
    }
}

fn bare<'a>(argument: &[u8], command: Command<'a>) -> Result<Command<'a>, ParseError> {
    if argument.is_empty() { Ok(command) } else { Err(ParseError::NoArgument) }
}

/// `String = Atom / Quoted-string`, as written; only to be looked up, so that any ASCII will do.
fn string(argument: &[u8]) -> Result<&str, ParseError> {
    match from_utf8(argument) {
        Ok("") | Err(_) => Err(ParseError::ArgumentMissing),
        Ok(name) if name.is_ascii() => Ok(name),
        Ok(_) => Err(ParseError::NotAscii),
    }
}

/// `vrfy = "VRFY" SP String [ SP "SMTPUTF8" ]` (RFC 6531 §3.7.4.2)
fn vrfy(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    if argument.len() > SMTP_PATH_BYTES_MAX + " SMTPUTF8".len() {
        return Err(ParseError::Address);
    }
    let name = argument.len().checked_sub(9).and_then(|at| argument.split_at_checked(at));
    match name {
        Some((name, parameter)) if parameter.eq_ignore_ascii_case(b" SMTPUTF8") => match from_utf8(name.trim_ascii()) {
            Ok("") | Err(_) => Err(ParseError::ArgumentMissing),
            Ok(name) if is_text(name) => Ok(Command::Vrfy { name }),
            Ok(_) => Err(ParseError::Address),
        },
        _ => Ok(Command::Vrfy { name: string(argument)? }),
    }
}

/// `ehlo = "EHLO" SP ( Domain / address-literal )`; also an address without brackets, since many clients send it
/// (RFC 5321 §4.1.4 forbids to refuse a name for not being true).
fn hello(argument: &[u8]) -> Result<&str, ParseError> {
    match from_utf8(argument) {
        Ok(domain)
            if is_domain(argument) || is_address_literal(domain) || domain.parse::<std::net::IpAddr>().is_ok() =>
        {
            Ok(domain)
        }
        _ => Err(ParseError::HelloArgument),
    }
}

/// `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]`, `chunk-size = 1*DIGIT`, `end-marker = "LAST"` (RFC 3030 §2)
fn bdat(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let space = memchr(b' ', argument).unwrap_or(argument.len());
    let bytes = size_value(Some(&argument[..space])).ok_or(ParseError::ChunkSize)?;
    match argument[space..].trim_ascii_start() {
        b"" => Ok(Command::Bdat { bytes, last: false }),
        last if last.eq_ignore_ascii_case(b"LAST") => Ok(Command::Bdat { bytes, last: true }),
        _ => Err(ParseError::ChunkSize),
    }
}

/// `auth = "AUTH" SP sasl-mech [SP (base64 / "=")]` (RFC 4954 §8); the base64 is checked by `sasl`.
fn auth(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let space = memchr(b' ', argument).unwrap_or(argument.len());
    let (mechanism, initial) = (&argument[..space], argument[space..].trim_ascii_start());
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match from_utf8(mechanism) {
        Ok(mechanism)
            if (1..=20).contains(&mechanism.len())
                && mechanism.as_bytes().iter().all(known)
                && !initial.contains(&b' ') =>
        {
            Ok(Command::Auth { mechanism, initial: (!initial.is_empty()).then_some(initial) })
        }
        _ => Err(ParseError::AuthSyntax),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
