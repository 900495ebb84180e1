//! Writes SMTP replies.
//!
//! Invariant: whatever the texts hold, the reply is exactly the lines that were asked for: control characters and 8-bit
//! octets become `?`, a line over the limit is cut. RFC 5321 §4.2, RFC 2034 §4 (the enhanced code on every line).

use crate::limits::SMTP_REPLY_BYTES_MAX;
use crate::proto::imap::respond::number;

/// Writes a reply of one line: `250 2.1.0 OK`. An empty `enhanced` is left out, as in greetings and answers to EHLO.
pub fn line(out: &mut Vec<u8>, code: u16, enhanced: &str, text: &str) {
    reply_line(out, code, true, enhanced, text);
}

/// Writes a reply of several lines: `250-…`, the last one `250 …`. Without any it has one without text.
pub fn lines(out: &mut Vec<u8>, code: u16, enhanced: &str, texts: &[&str]) {
    let Some((last, first)) = texts.split_last() else { return line(out, code, enhanced, "") };
    for text in first {
        reply_line(out, code, false, enhanced, text);
    }
    reply_line(out, code, true, enhanced, last);
}

fn reply_line(out: &mut Vec<u8>, code: u16, last: bool, enhanced: &str, text: &str) {
    let start = out.len();
    number(out, u64::from(code));
    out.push(if last { b' ' } else { b'-' });
    if !enhanced.is_empty() {
        out.extend_from_slice(enhanced.as_bytes());
        out.push(b' ');
    }
    let room = (SMTP_REPLY_BYTES_MAX - 2).saturating_sub(out.len() - start);
    let plain = |byte: u8| if matches!(byte, b' '..=b'~') { byte } else { b'?' };
    out.extend(text.bytes().take(room).map(plain));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let mut out = Vec::new();
        line(&mut out, 250, "2.1.0", "Sender OK");
        line(&mut out, 220, "", "mail.example.org ESMTP");
        lines(&mut out, 250, "", &["mail.example.org", "PIPELINING", "SIZE 52428800"]);
        lines(&mut out, 535, "5.7.8", &["No", "Never"]);
        lines(&mut out, 354, "", &[]);
        let expected = "250 2.1.0 Sender OK\r\n220 mail.example.org ESMTP\r\n250-mail.example.org\r\n250-PIPELINING\r\n\
            250 SIZE 52428800\r\n535-5.7.8 No\r\n535 5.7.8 Never\r\n354 \r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn nothing_breaks_out_of_a_line() {
        let mut out = Vec::new();
        line(&mut out, 250, "2.0.0", "a\r\n354 b\0ü");
        assert_eq!(out, b"250 2.0.0 a??354 b???\r\n");
        out.clear();
        line(&mut out, 250, "2.0.0", &"x".repeat(5000));
        assert_eq!(out.len(), SMTP_REPLY_BYTES_MAX);
        assert!(out.ends_with(b"x\r\n"));
    }
}
