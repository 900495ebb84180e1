//! Messages for the tests, and what delivery may add to one.

use super::show;

/// A message with these header values and `lines` lines of text, made from its subject alone: it can be made again.
pub fn numbered(subject: &str, lines: usize) -> Vec<u8> {
    let mut message = format!(
        "From: Sender <sender@client.example>\r\nTo: a@localhost\r\nSubject: {subject}\r\n\
         Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <{subject}@client.example>\r\n\r\n"
    )
    .into_bytes();
    for line in 0..lines {
        message.extend_from_slice(format!("line {line} of {subject}, which is here to be compared again\r\n").as_bytes());
    }
    message
}

/// RFC 5321 §4.4: delivery puts a Return-Path and Received lines before the message and changes nothing else. Gives the
/// lines that were added.
pub fn assert_delivered(fetched: &[u8], sent: &[u8], reverse_path: &str) -> String {
    let Some(added) = fetched.strip_suffix(sent) else {
        let differs = fetched.iter().rev().zip(sent.iter().rev()).take_while(|(left, right)| left == right).count();
        panic!(
            "not what was sent: {} octets for {}, equal are the last {differs}: {}",
            fetched.len(),
            sent.len(),
            show(&fetched[fetched.len().saturating_sub(differs + 80)..])
        );
    };
    let added = String::from_utf8(added.to_vec()).expect("trace lines are ASCII");
    assert!(added.starts_with(&format!("Return-Path: <{reverse_path}>\r\n")), "no Return-Path first: {added:?}");
    assert!(added.ends_with("\r\n"), "not whole lines: {added:?}");
    let mut received = 0;
    for line in added.trim_end_matches("\r\n").split("\r\n").skip(1) {
        assert!(line.len() <= 998, "a trace line of {} octets", line.len());
        match line {
            _ if line.starts_with("Received: ") => received += 1,
            _ if line.starts_with([' ', '\t']) && !line.trim().is_empty() => {}
            _ => panic!("not a trace line: {line:?}"),
        }
    }
    assert_eq!(received, 1, "Received lines in {added:?}");
    added
}
