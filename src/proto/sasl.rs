//! SASL messages: base64, PLAIN and LOGIN.
//!
//! Invariants: secrets are decoded into the caller's buffer and borrowed from there, nowhere else, so that the caller
//! can [`wipe`] them; an encoding that is not exactly base64 with its padding is refused. Whether a password is right
//! is not known here. RFC 4422, RFC 4616 (PLAIN), RFC 4648 §4, RFC 4954 §4.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeSliceError, Engine};
use memchr::memchr;

use crate::limits::{PASSWORD_BYTES_MAX, USER_NAME_BYTES_MAX};

/// The mechanisms that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised: a name, then a password, each asked for by a prompt.
    Login,
}

impl Mechanism {
    /// The mechanism of that name, in any case.
    pub fn named(name: &str) -> Option<Mechanism> {
        match name {
            name if name.eq_ignore_ascii_case("PLAIN") => Some(Mechanism::Plain),
            name if name.eq_ignore_ascii_case("LOGIN") => Some(Mechanism::Login),
            _ => None,
        }
    }
}

/// LOGIN's first prompt: `Username:` in base64.
pub const LOGIN_NAME_PROMPT: &str = "VXNlcm5hbWU6";
/// LOGIN's second prompt: `Password:` in base64.
pub const LOGIN_PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// A buffer of this size holds every message that is taken: PLAIN with three fields at their limits and two NULs.
pub const MESSAGE_BYTES_MAX: usize = 2 * USER_NAME_BYTES_MAX + PASSWORD_BYTES_MAX + 2;

/// Why a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// `*`: the client gives up. Answered `BAD` or 501, and no failed try (RFC 4954 §4).
    Cancelled,
    /// Not base64: `BAD` or 501.
    NotBase64,
    /// Longer than the buffer or a field's limit.
    TooLong,
    /// Base64 of something that is no message of the mechanism.
    Malformed,
}

impl SaslError {
    /// What to tell the client.
    pub fn text(self) -> &'static str {
        match self {
            SaslError::Cancelled => "Authentication cancelled",
            SaslError::NotBase64 => "The response is not base64",
            SaslError::TooLong => "The response is too long",
            SaslError::Malformed => "Malformed response",
        }
    }
}

/// Decodes a client's response (its line without the CRLF) into `out`: the number of octets. `initial`: it came with
/// the command, where `=` stands for an empty one (RFC 4954 §4, RFC 4959 §3).
pub fn decode(response: &[u8], initial: bool, out: &mut [u8]) -> Result<usize, SaslError> {
    match response {
        b"*" if !initial => Err(SaslError::Cancelled),
        b"=" if initial => Ok(0),
        response => STANDARD.decode_slice(response, out).map_err(|error| match error {
            DecodeSliceError::OutputSliceTooSmall => SaslError::TooLong,
            DecodeSliceError::DecodeError(_) => SaslError::NotBase64,
        }),
    }
}

/// A message of PLAIN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// Whom to act as; empty: whoever authenticates.
    pub authorization: &'a str,
    /// Who authenticates.
    pub authentication: &'a str,
    /// The password.
    pub password: &'a str,
}

impl std::fmt::Debug for Plain<'_> {
    /// Leaves the password out: this may end in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain")
            .field("authorization", &self.authorization)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2), each but the first at least one octet.
pub fn plain(message: &[u8]) -> Result<Plain<'_>, SaslError> {
    let first = memchr(0, message).ok_or(SaslError::Malformed)?;
    let second = memchr(0, &message[first + 1..]).ok_or(SaslError::Malformed)? + first + 1;
    let authorization = match &message[..first] {
        b"" => "",
        authorization => name(authorization)?,
    };
    Ok(Plain {
        authorization,
        authentication: name(&message[first + 1..second])?,
        password: password(&message[second + 1..])?,
    })
}

/// A user name, as LOGIN sends it alone: UTF-8 without NUL, not empty, within the limit.
pub fn name(text: &[u8]) -> Result<&str, SaslError> {
    field(text, USER_NAME_BYTES_MAX)
}

/// A password, likewise.
pub fn password(text: &[u8]) -> Result<&str, SaslError> {
    field(text, PASSWORD_BYTES_MAX)
}

fn field(text: &[u8], bytes_max: usize) -> Result<&str, SaslError> {
    if text.len() > bytes_max {
        return Err(SaslError::TooLong);
    }
    if text.is_empty() || memchr(0, text).is_some() {
        return Err(SaslError::Malformed);
    }
    std::str::from_utf8(text).map_err(|_| SaslError::Malformed)
}

/// Overwrites a buffer that held a secret.
pub fn wipe(buffer: &mut [u8]) {
    buffer.fill(0);
    // Else the compiler may leave the writing out, where the buffer is not read again.
    std::hint::black_box(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(response: &[u8], initial: bool) -> Result<Vec<u8>, SaslError> {
        let mut out = [0; 32];
        decode(response, initial, &mut out).map(|length| out[..length].to_vec())
    }

    #[test]
    fn responses() {
        assert_eq!(decoded(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm", true), Ok(b"\0tim\0tanstaaftanstaaf".to_vec()));
        assert_eq!(decoded(b"=", true), Ok(vec![]));
        assert_eq!(decoded(b"", false), Ok(vec![]));
        assert_eq!(decoded(LOGIN_NAME_PROMPT.as_bytes(), false), Ok(b"Username:".to_vec()));
        assert_eq!(decoded(LOGIN_PASSWORD_PROMPT.as_bytes(), false), Ok(b"Password:".to_vec()));
        assert_eq!(decoded(b"*", false), Err(SaslError::Cancelled));
    }

    /// Attack 22.
    #[test]
    fn bad_responses() {
        for (response, initial) in
            [(&b"="[..], false), (b"*", true), (b"a", false), (b"YQ", false), (b"YR==", false), (b"Y Q=", false)]
        {
            assert_eq!(decoded(response, initial), Err(SaslError::NotBase64), "{}", response.escape_ascii());
        }
        assert_eq!(decoded(b"YQ==\r\n", false), Err(SaslError::NotBase64));
        assert_eq!(decoded(&[b'A'; 44], false), Err(SaslError::TooLong));
        // Exactly full is not too long.
        assert_eq!(decoded(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false), Ok(vec![0; 32]));
    }

    #[test]
    fn plain_messages() {
        let message = Plain { authorization: "", authentication: "tim", password: "tanstaaf" };
        assert_eq!(plain(b"\0tim\0tanstaaf"), Ok(message));
        let message = Plain { authorization: "Ursel", authentication: "Kurt", password: "xipj3plmq" };
        assert_eq!(plain(b"Ursel\0Kurt\0xipj3plmq"), Ok(message));
        assert!(!format!("{message:?}").contains("xipj3plmq"));
        for message in [
            &b""[..],
            b"\0",
            b"a",
            b"a\0b",
            b"\0\0",
            b"\0a\0",
            b"\0\0b",
            b"\0a\0b\0",
            b"\0a\0b\0c",
            b"\0\xff\0b",
            b"\xff\0a\0b",
            b"\0a\0\xc3",
        ] {
            assert_eq!(plain(message), Err(SaslError::Malformed), "{}", message.escape_ascii());
        }
        // RFC 2595 §6: 255 octets of each at least.
        let field = "f".repeat(255);
        let message = format!("{field}\0{field}\0{field}");
        assert_eq!(
            plain(message.as_bytes()),
            Ok(Plain { authorization: &field, authentication: &field, password: &field })
        );
        let long = [b"\0".to_vec(), vec![b'a'; USER_NAME_BYTES_MAX + 1], b"\0b".to_vec()].concat();
        assert_eq!(plain(&long), Err(SaslError::TooLong));
        let long = [b"\0a\0".to_vec(), vec![b'b'; PASSWORD_BYTES_MAX + 1]].concat();
        assert_eq!(plain(&long), Err(SaslError::TooLong));
    }

    #[test]
    fn wiped() {
        let mut buffer = *b"secret";
        wipe(&mut buffer);
        assert_eq!(buffer, [0; 6]);
        assert_eq!(Mechanism::named("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::named("LOGIN"), Some(Mechanism::Login));
        assert_eq!(Mechanism::named("CRAM-MD5"), None);
    }
}
