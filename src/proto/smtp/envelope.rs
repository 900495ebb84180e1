//! MAIL and RCPT: a path and its parameters.
//!
//! Invariants: a parameter that we don't know is refused, never passed over, and none may come twice; what a value holds
//! is printable, also behind the escapes of xtext, so that it may be written into a header or a log. Whether a parameter
//! was offered is the session's business. RFC 5321 §4.1.2, RFC 1870 §3, RFC 3461 §4, RFC 4954 §5, RFC 6152, RFC 6531 §3.4.

use std::str::from_utf8;

use memchr::memchr;

use super::parse::{Command, ParseError};
use super::path::{Mailbox, brackets, is_text, mailbox};
use crate::limits::{ENVID_BYTES_MAX, ORCPT_BYTES_MAX};

/// MAIL: who sends, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mail<'a> {
    /// The reverse-path; `None` is `<>`.
    pub from: Option<Mailbox<'a>>,
    /// SIZE: octets that the client announces.
    pub size: Option<u64>,
    /// BODY
    pub body: Option<Body>,
    /// AUTH: who submitted it at first, as xtext; `<>` where nobody is known (RFC 4954 §5).
    pub auth: Option<&'a str>,
    /// SMTPUTF8: addresses and header may hold UTF-8.
    pub utf8: bool,
    /// RET: what a notice of failure should bring back.
    pub ret: Option<Ret>,
    /// ENVID: the sender's own name for this message, as xtext.
    pub envid: Option<&'a str>,
}

/// RCPT: for whom, and what the sender wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rcpt<'a> {
    /// The forward-path.
    pub to: Mailbox<'a>,
    /// NOTIFY
    pub notify: Option<Notify>,
    /// ORCPT: the recipient that the sender named at first, `type;xtext`.
    pub orcpt: Option<&'a str>,
}

/// What BODY announces (RFC 6152).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// 7BIT
    SevenBit,
    /// 8BITMIME
    EightBitMime,
}

/// What RET asks for (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// FULL: the whole message.
    Full,
    /// HDRS: its header.
    Headers,
}

impl Ret {
    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Ret::Full => "FULL",
            Ret::Headers => "HDRS",
        }
    }
}

/// When NOTIFY asks for a notice (RFC 3461 §4.1); none of them is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// SUCCESS: it was delivered.
    pub success: bool,
    /// FAILURE: it can't be.
    pub failure: bool,
    /// DELAY: it takes its time.
    pub delay: bool,
}

impl Notify {
    /// As it is written.
    pub fn text(self) -> String {
        let names = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let asked: Vec<&str> = names.iter().filter(|(asked, _)| *asked).map(|(_, name)| *name).collect();
        if asked.is_empty() { "NEVER".to_owned() } else { asked.join(",") }
    }
}

/// Takes `keyword ":"` from the front, in any case, and spaces behind it, which no RFC allows and many clients send.
fn after_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = argument.split_at_checked(keyword.len())?;
    front.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

/// `mail = "MAIL FROM:" ( "<>" / Path ) [SP Mail-parameters]`
pub(super) fn mail(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let path = after_keyword(argument, b"FROM:").filter(|rest| rest.first() == Some(&b'<'));
    let (path, rest) = brackets(path.ok_or(ParseError::MailSyntax)?).ok_or(ParseError::Address)?;
    let from = match path {
        b"" => None,
        path => Some(mailbox(path).ok_or(ParseError::Address)?),
    };
    let mut mail = Mail { from, ..Mail::default() };
    for (keyword, value) in parameters(rest).ok_or(ParseError::MailSyntax)? {
        let twice = match upper(keyword, &mut [0; 8]) {
            b"SIZE" => mail.size.replace(given(size_value(value))?).is_some(),
            b"BODY" => mail.body.replace(given(body_value(value))?).is_some(),
            b"AUTH" => mail.auth.replace(given(value.and_then(xtext))?).is_some(),
            b"RET" => mail.ret.replace(given(ret_value(value))?).is_some(),
            b"ENVID" => mail.envid.replace(given(envid_value(value))?).is_some(),
            b"SMTPUTF8" if value.is_none() => std::mem::replace(&mut mail.utf8, true),
            b"SMTPUTF8" => return Err(ParseError::ParameterValue),
            _ => return Err(ParseError::ParameterUnknown),
        };
        if twice {
            return Err(ParseError::ParameterTwice);
        }
    }
    if !mail.utf8 && mail.from.is_some_and(|from| !from.is_ascii()) {
        return Err(ParseError::NotAscii);
    }
    Ok(Command::Mail(mail))
}

/// `rcpt = "RCPT TO:" ( "<Postmaster>" / Path ) [SP Rcpt-parameters]`. UTF-8 is taken: the parameter that allows it was
/// in MAIL ([`Rcpt::is_ascii`]).
pub(super) fn rcpt(argument: &[u8]) -> Result<Command<'_>, ParseError> {
    let path = after_keyword(argument, b"TO:").filter(|rest| rest.first() == Some(&b'<'));
    let (path, rest) = brackets(path.ok_or(ParseError::RcptSyntax)?).ok_or(ParseError::Address)?;
    let to = mailbox(path).ok_or(ParseError::Address)?;
    let mut rcpt = Rcpt { to, notify: None, orcpt: None };
    for (keyword, value) in parameters(rest).ok_or(ParseError::RcptSyntax)? {
        let twice = match upper(keyword, &mut [0; 8]) {
            b"NOTIFY" => rcpt.notify.replace(given(notify_value(value))?).is_some(),
            b"ORCPT" => rcpt.orcpt.replace(given(orcpt_value(value))?).is_some(),
            _ => return Err(ParseError::ParameterUnknown),
        };
        if twice {
            return Err(ParseError::ParameterTwice);
        }
    }
    Ok(Command::Rcpt(rcpt))
}

impl Rcpt<'_> {
    /// Whether it may stand in a transaction without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.to.is_ascii() && self.orcpt.is_none_or(str::is_ascii)
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

/// The keyword in upper case; one that is longer than all that we know is none of them.
fn upper<'b>(keyword: &[u8], buffer: &'b mut [u8; 8]) -> &'b [u8] {
    let Some(upper) = buffer.get_mut(..keyword.len()) else { return b"" };
    upper.copy_from_slice(keyword);
    upper.make_ascii_uppercase();
    upper
}

fn given<T>(value: Option<T>) -> Result<T, ParseError> {
    value.ok_or(ParseError::ParameterValue)
}

/// `size-value = 1*20DIGIT` (RFC 1870 §3); what passes 64 bits is as large as can be.
pub(super) fn size_value(value: Option<&[u8]>) -> Option<u64> {
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

/// `ret-value = "FULL" / "HDRS"`
fn ret_value(value: Option<&[u8]>) -> Option<Ret> {
    match value? {
        value if value.eq_ignore_ascii_case(b"FULL") => Some(Ret::Full),
        value if value.eq_ignore_ascii_case(b"HDRS") => Some(Ret::Headers),
        _ => None,
    }
}

/// `envid-parameter = "ENVID=" xtext`, at most 100 characters (RFC 3461 §4.4).
fn envid_value(value: Option<&[u8]>) -> Option<&str> {
    xtext(value.filter(|value| value.len() <= ENVID_BYTES_MAX)?)
}

/// `notify-esmtp-value = "NEVER" / 1#notify-list-element`, `notify-list-element = "SUCCESS" / "FAILURE" / "DELAY"`
fn notify_value(value: Option<&[u8]>) -> Option<Notify> {
    let mut notify = Notify::default();
    if value?.eq_ignore_ascii_case(b"NEVER") {
        return Some(notify);
    }
    for element in value?.split(|&byte| byte == b',') {
        let asked = match upper(element, &mut [0; 8]) {
            b"SUCCESS" => &mut notify.success,
            b"FAILURE" => &mut notify.failure,
            b"DELAY" => &mut notify.delay,
            _ => return None,
        };
        *asked = true;
    }
    Some(notify)
}

/// `orcpt-parameter = "ORCPT=" addr-type ";" xtext`, `addr-type = atom`, at most 500 characters (RFC 3461 §4.2). Of the
/// type `utf-8`, the address may hold UTF-8 as it is (RFC 6533 §3: utf-8-addr-unitext).
fn orcpt_value(value: Option<&[u8]>) -> Option<&str> {
    let value = value.filter(|value| value.len() <= ORCPT_BYTES_MAX)?;
    let semicolon = memchr(b';', value)?;
    let (kind, address) = (&value[..semicolon], &value[semicolon + 1..]);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if kind.is_empty() || !kind.iter().all(plain) {
        return None;
    }
    if address.is_ascii() || !kind.eq_ignore_ascii_case(b"utf-8") {
        xtext(address)?;
    } else {
        let text = from_utf8(address).ok().filter(|text| is_text(text))?;
        xtext_octets(text.bytes().filter(u8::is_ascii))?;
    }
    from_utf8(value).ok()
}

/// `xtext = *( %d33-42 / %d44-60 / %d62-126 / "+" 2HEXDIG )` (RFC 3461 §4), here not empty; what it hides must be
/// printable too. `<>` of AUTH is in it.
fn xtext(value: &[u8]) -> Option<&str> {
    if value.is_empty() {
        return None;
    }
    xtext_octets(value.iter().copied())?;
    from_utf8(value).ok()
}

fn xtext_octets(mut octets: impl Iterator<Item = u8>) -> Option<()> {
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => match (octets.next()?, octets.next()?) {
                (b'7', b'F') => return None,
                (b'2'..=b'7', b'0'..=b'9' | b'A'..=b'F') => {}
                _ => return None,
            },
            b'=' => return None,
            33..=126 => {}
            _ => return None,
        }
    }
    Some(())
}
