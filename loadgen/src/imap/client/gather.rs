//! Responses to one long command are taken in before they are checked.
//!
//! Checking FLAGS of 10,000 messages costs the client more than it costs a good server to send them, and a client that checks
//! while it reads would measure itself. Invariant: this decides when octets are looked at, never what is found in them; what
//! can't be the middle of a long answer is looked at once.

use memchr::memrchr;

use super::Client;
use crate::limits::GATHER_BYTES_MAX;

impl Client {
    /// True where `input` is to be given again with what comes behind it.
    pub(super) fn gathers(&mut self, input: &[u8]) -> bool {
        if !self.gathering {
            return false;
        }
        self.gathering = input.len() < GATHER_BYTES_MAX && !self.flight.is_empty() && goes_on(input);
        self.gathering
    }
}

/// Whether the last whole line is untagged data, so that the tagged reply is still to come.
fn goes_on(input: &[u8]) -> bool {
    let Some(end) = memrchr(b'\n', input) else { return true };
    let from = memrchr(b'\n', &input[..end]).map_or(0, |at| at + 1);
    let line = &input[from..end];
    line.starts_with(b"* ") && !line.starts_with(b"* BYE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_an_answer_is_waited_with() {
        for (input, waits) in [
            ("", true),
            ("* 1 FE", true),
            ("* 1 FETCH (FLAGS ())\r\n* 2", true),
            ("* 1 FETCH (FLAGS ())\r\nA000001 OK done\r", true),
            ("* 1 FETCH (FLAGS ())\r\nA000001 OK done\r\n", false),
            ("* 1 FETCH (FLAGS ())\r\nA000009 OK done\r\n", false),
            ("* BYE gone\r\n", false),
            ("nonsense\r\n* 1", false),
        ] {
            assert_eq!(goes_on(input.as_bytes()), waits, "{input}");
        }
    }
}
