//! NAMESPACE (RFC 2342): the personal one alone.
//!
//! Other users' mailboxes and public ones are not there yet: NIL says so.

use super::Dialogue;
use crate::proto::imap::Tagged;

impl Dialogue {
    pub(super) fn namespace(&mut self, tagged: &Tagged<'_>) {
        self.put("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
        self.conclude(tagged, Ok(()));
    }
}
