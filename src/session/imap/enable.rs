//! ENABLE (RFC 5161): the client says which extensions it is ready for.
//!
//! What has nothing to be enabled is passed over, and so is what we don't know; today that is all there is.

use super::Dialogue;

impl Dialogue {
    pub(super) fn enable(&mut self, names: &[&str]) {
        tracing::debug!(client = %self.wire.presence().peer().network(), ?names, "ENABLE of what there is nothing to enable of");
        self.put("* ENABLED\r\n");
    }
}
