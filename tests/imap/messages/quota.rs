//! The quota of an account, which APPEND and COPY keep to. RFC 5530 (OVERQUOTA).

use std::time::Duration;

use super::{append, filled};
use crate::support::{Binary, USER};

#[test]
fn append_and_copy_keep_to_the_quota() {
    let server = filled("quota", 0);
    let data = server.data().display().to_string();
    let command = Binary::command(&["user", "set", USER, "--quota", "1000", "--data", &data]);
    let (output, _) = Binary::run(command, b"", Duration::from_secs(10));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut imap = server.select("INBOX");
    assert_eq!(append(&mut imap, "INBOX", "", &[b'x'; 600]).status, "OK");
    // It is refused before it is sent.
    imap.answered("APPEND INBOX {401}", "NO [OVERQUOTA] ");
    assert!(append(&mut imap, "INBOX", "", &[b'x'; 401]).shown().starts_with("NO [OVERQUOTA] "));
    imap.ok("CREATE Other");
    imap.answered("COPY 1 Other", "NO [OVERQUOTA] ");
    // To move takes nothing, and what was expunged makes room.
    imap.ok("MOVE 1 Other");
    assert_eq!(append(&mut imap, "INBOX", "", &[b'x'; 400]).status, "OK");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(append(&mut imap, "INBOX", "", &[b'x'; 200]).status, "OK");
    imap.ok("COPY 1 Other");
    imap.answered("COPY 1 Other", "NO [OVERQUOTA] ");
}
