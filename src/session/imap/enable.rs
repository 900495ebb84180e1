//! ENABLE (RFC 5161): the client says which extensions it is ready for.
//!
//! What has nothing to be enabled is passed over, and so is what we don't know; today that is all there is.

use super::Dialogue;
use crate::proto::imap::Tagged;

impl Dialogue {
    pub(super) fn enable(&mut self, tagged: &Tagged<'_>, names: &[&str]) {
        tracing::debug!(client = %self.visit.peer.network(), ?names, "ENABLE of what there is nothing to enable of");
        self.put("* ENABLED\r\n");
        self.conclude(tagged, Ok(()));
    }
}
