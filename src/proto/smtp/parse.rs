//! Reads one SMTP or LMTP command line.
//!
//! Invariants: the result borrows the line; what it holds is ASCII without control characters; a parameter that we
//! don't offer is refused, never passed over. An error is a whole reply. Whether a command fits the moment is the
//! session's business. RFC 5321 §4.1, RFC 4954 §4 and §5, RFC 1870, RFC 6152.

use std::str::from_utf8;

use memchr::memchr;

use super::path::{Mailbox, brackets, is_address_literal, is_domain, mailbox};

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
    Mail {
        /// The reverse-path; `None` is `<>`.
        from: Option<Mailbox<'a>>,
        /// SIZE: octets that the client announces.
        size: Option<u64>,
        /// BODY
        body: Option<Body>,
        /// AUTH: who submitted it at first, as xtext; `<>` where nobody is known (RFC 4954 §5).
        auth: Option<&'a str>,
    },
    Rcpt {
        /// The forward-path.
        to: Mailbox<'a>,
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

/// What BODY announces (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// 7BIT
    SevenBit,
    /// 8BITMIME
    EightBitMime,
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
}

impl ParseError {
    /// The reply code.
    pub fn code(self) -> u16 {
        match self {
            ParseError::Unrecognized | ParseError::Unreadable => 500,
            ParseError::ParameterUnknown => 555,
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
        }
    }
}

/// `command = verb [SP argument] CRLF`; spaces before the CRLF are forgiven, the CRLF itself may be gone.
pub fn parse(line: &[u8]) -> Result<Command<'_>, ParseError> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    if line.iter().any(u8::is_ascii_control) {
        return Err(ParseError::Unreadable);
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
        b"VRFY" => Ok(Command::Vrfy { name: string(argument)? }),
        b"EXPN" => Ok(Command::Expn { name: string(argument)? }),
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
        Ok(_) => Err(ParseError::Address),
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

/// Takes `keyword ":"` from the front, in any case, and spaces behind it, which no RFC allows and many clients send.
fn after_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = argument.split_at_checked(keyword.len())?;
    front.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

/// `mail = "MAIL FROM:" ( "<>" / Path ) [SP Mail-parameters]`
fn mail(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let path = after_keyword(argument, b"FROM:").filter(|rest| rest.first() == Some(&b'<'));
    let (path, rest) = brackets(path.ok_or(ParseError::MailSyntax)?).ok_or(ParseError::Address)?;
    let from = match path {
        b"" => None,
        path => Some(mailbox(path).ok_or(ParseError::Address)?),
    };
    let (mut size, mut body, mut auth) = (None, None, None);
    for (keyword, value) in parameters(rest).ok_or(ParseError::MailSyntax)? {
        let twice = if keyword.eq_ignore_ascii_case(b"SIZE") {
            size.replace(size_value(value).ok_or(ParseError::ParameterValue)?).is_some()
        } else if keyword.eq_ignore_ascii_case(b"BODY") {
            body.replace(body_value(value).ok_or(ParseError::ParameterValue)?).is_some()
        } else if keyword.eq_ignore_ascii_case(b"AUTH") {
            auth.replace(auth_value(value).ok_or(ParseError::ParameterValue)?).is_some()
        } else {
            return Err(ParseError::ParameterUnknown);
        };
        if twice {
            return Err(ParseError::ParameterTwice);
        }
    }
    Ok(Command::Mail { from, size, body, auth })
}

/// `rcpt = "RCPT TO:" ( "<Postmaster>" / Path )`; we offer no parameters.
fn rcpt(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let path = after_keyword(argument, b"TO:").filter(|rest| rest.first() == Some(&b'<'));
    let (path, rest) = brackets(path.ok_or(ParseError::RcptSyntax)?).ok_or(ParseError::Address)?;
    let to = mailbox(path).ok_or(ParseError::Address)?;
    match parameters(rest).ok_or(ParseError::RcptSyntax)?.next() {
        Some(_) => Err(ParseError::ParameterUnknown),
        None => Ok(Command::Rcpt { to }),
    }
}

/// `*(SP esmtp-keyword ["=" esmtp-value])`: each keyword with its value, if it has one.
fn parameters(rest: &[u8]) -> Option<impl Iterator<Item = (&[u8], Option<&[u8]>)>> {
    if !matches!(rest.first(), None | Some(b' ')) {
        return None;
    }
    Some(rest.split(|&byte| byte == b' ').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        match memchr(b'=', parameter) {
            Some(equals) => (&parameter[..equals], Some(&parameter[equals + 1..])),
            None => (parameter, None),
        }
    }))
}

/// `size-value = 1*20DIGIT` (RFC 1870 §3); what passes 64 bits is as large as can be.
fn size_value(value: Option<&[u8]>) -> Option<u64> {
    let digits = value.filter(|digits| (1..=20).contains(&digits.len()))?;
    digits.iter().try_fold(0u64, |size, byte| {
        byte.is_ascii_digit().then(|| size.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

/// `body-value = "7BIT" / "8BITMIME"`
fn body_value(value: Option<&[u8]>) -> Option<Body> {
    match value? {
        value if value.eq_ignore_ascii_case(b"7BIT") => Some(Body::SevenBit),
        value if value.eq_ignore_ascii_case(b"8BITMIME") => Some(Body::EightBitMime),
        _ => None,
    }
}

/// `xtext = *( %d33-42 / %d44-60 / %d62-126 / "+" 2HEXDIG )` (RFC 3461 §4), or `<>`; what it hides must be printable
/// too.
fn auth_value(value: Option<&[u8]>) -> Option<&str> {
    let value = value.filter(|value| !value.is_empty())?;
    let mut rest = value;
    while let [byte, after @ ..] = rest {
        rest = match byte {
            b'+' => {
                let [high @ (b'2'..=b'7'), low @ (b'0'..=b'9' | b'A'..=b'F'), after @ ..] = after else { return None };
                if (*high, *low) == (b'7', b'F') {
                    return None;
                }
                after
            }
            b'=' => return None,
            33..=126 => after,
            _ => return None,
        };
    }
    from_utf8(value).ok()
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
