//! ID (RFC 2971): who we are; who the client is goes into the log.
//!
//! Nothing depends on what a client says of itself. The log has it escaped: it is the client's text.

use super::Dialogue;

impl Dialogue {
    pub(super) fn id(&mut self, fields: &[(&[u8], Option<&[u8]>)]) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            for (name, value) in fields {
                let value = value.unwrap_or(b"NIL").escape_ascii();
                tracing::debug!(client = %self.wire.presence().peer().network(), "ID {}: {value}", name.escape_ascii());
            }
        }
        self.put(concat!("* ID (\"name\" \"Ringpost\" \"version\" \"", env!("CARGO_PKG_VERSION"), "\")\r\n"));
    }
}
