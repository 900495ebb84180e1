//! NAMESPACE (RFC 2342): the personal one alone.
//!
//! Other users' mailboxes and public ones are not there yet: NIL says so.

use super::Dialogue;

impl Dialogue {
    pub(super) fn namespace(&mut self) {
        self.put("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    }
}
