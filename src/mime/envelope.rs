//! The ENVELOPE of a message, ready for the wire. RFC 3501 §7.4.2, RFC 9051 §7.5.2.
//!
//! Values are unfolded and otherwise as they came: encoded words stay. To, Cc and Bcc that come in several fields are one
//! list; of the others the first field counts. All lists of one answer share `MIME_ADDRESSES_MAX`, nested messages'
//! too: an address of two octets takes fifty in an answer.

use super::address;
use super::header::{self, unfold};
use super::wire;

/// ```text
/// envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc SP
///            env-in-reply-to SP env-message-id ")"
/// ```
/// Takes the addresses that it writes from `room`, which begins with `MIME_ADDRESSES_MAX`.
pub(super) fn write(out: &mut Vec<u8>, header: &[u8], room: &mut usize) {
    let [mut date, mut subject, mut in_reply_to, mut message_id] = [None; 4];
    let [mut from, mut sender, mut reply_to] = [None; 3];
    let [mut to, mut cc, mut bcc] = [const { Vec::new() }; 3];
    for field in header::fields(header) {
        let value = field.value;
        match field.name.to_ascii_lowercase().as_slice() {
            b"date" => keep(&mut date, value),
            b"subject" => keep(&mut subject, value),
            b"in-reply-to" => keep(&mut in_reply_to, value),
            b"message-id" => keep(&mut message_id, value),
            b"from" => keep(&mut from, value),
            b"sender" => keep(&mut sender, value),
            b"reply-to" => keep(&mut reply_to, value),
            b"to" => to.push(value),
            b"cc" => cc.push(value),
            b"bcc" => bcc.push(value),
            _ => {}
        }
    }
    out.push(b'(');
    unfolded(out, date);
    out.push(b' ');
    unfolded(out, subject);
    let mut addresses = |values: &[&[u8]]| {
        let mut list = Vec::new();
        for value in values {
            let before = list.len();
            list.extend(address::read(value, *room));
            *room -= list.len() - before;
        }
        list
    };
    // Absent or empty, Sender and Reply-To are as From.
    let from = addresses(from.as_slice());
    for list in [None, sender, reply_to] {
        out.push(b' ');
        let list = addresses(list.as_slice());
        address::write(out, if list.is_empty() { &from } else { &list });
    }
    for list in [to, cc, bcc] {
        out.push(b' ');
        address::write(out, &addresses(&list));
    }
    out.push(b' ');
    unfolded(out, in_reply_to);
    out.push(b' ');
    unfolded(out, message_id);
    out.push(b')');
}

fn keep<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) {
    place.get_or_insert(value);
}

/// NIL where the field is absent, `""` where it is empty.
pub(super) fn unfolded(out: &mut Vec<u8>, value: Option<&[u8]>) {
    wire::nstring(out, value.map(unfold).as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MIME_ADDRESSES_MAX;

    fn envelope(header: &str) -> String {
        let mut out = Vec::new();
        let mut room = MIME_ADDRESSES_MAX;
        write(&mut out, header.as_bytes(), &mut room);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_3501_section_8() {
        let header = concat!(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n",
            "From: Terry Gray <gray@cac.washington.edu>\r\n",
            "Subject: IMAP4rev1 WG mtg summary and minutes\r\n",
            "To: imap@cac.washington.edu\r\n",
            "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n",
            "Message-Id: <B27397-0100000@cac.washington.edu>\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
        );
        let expected = concat!(
            r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" "#,
            r#"(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) "#,
            r#"(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) "#,
            r#"((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "#,
            r#""<B27397-0100000@cac.washington.edu>")"#
        );
        assert_eq!(envelope(header), expected);
    }

    #[test]
    fn absent_empty_and_repeated_fields() {
        assert_eq!(envelope(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        let header = "Subject:\nTo: a@b\nTo: c@d\nSender: \nReply-To: r@r\nFrom: f@f\nFrom: g@g\nDate: x\n y\n";
        let expected = concat!(
            r#"("x y" "" ((NIL NIL "f" "f")) ((NIL NIL "f" "f")) ((NIL NIL "r" "r")) "#,
            r#"((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)"#
        );
        assert_eq!(envelope(header), expected);
    }

    #[test]
    fn octets_that_no_quoted_string_takes_go_as_literals() {
        assert_eq!(envelope("Subject: né\r\n"), "(NIL {3}\r\nné NIL NIL NIL NIL NIL NIL NIL NIL)");
    }
}
