//! IDLE (RFC 2177): the client is told of changes as they happen, until it says DONE.
//!
//! A change is told in the turn that published it: the view's waker is woken by the log's writer on this very shard.

use std::io;
use std::task::Poll;
use std::time::Instant;

use super::{Next, Session, State};
use crate::limits;
use crate::metrics::Verb;
use crate::net::Fill;
use crate::proto::imap::Frame;

enum Event {
    Input(Fill),
    Changed,
}

impl Session {
    /// Boxed by its caller: a session that waits for its next command has no room for it.
    pub(super) async fn idle(&mut self, tag: Box<str>) -> io::Result<Next> {
        self.dialogue.wire.presence().goes_on(Verb::ImapIdle);
        self.dialogue.put("+ idling\r\n");
        let since = self.dialogue.wire.ring().now();
        loop {
            if self.dialogue.has_lost_its_mailbox() {
                return Ok(Next::Over);
            }
            self.dialogue.tell(true).await?;
            let limits = self.dialogue.limits();
            match self.dialogue.framer.next_line(self.input.octets(), limits::IDLE_LINE_BYTES_MAX, limits) {
                Frame::Command { length } => {
                    let done = self.input.octets()[..length - 2].eq_ignore_ascii_case(b"DONE");
                    self.input.consume(length);
                    self.dialogue.wire.presence().ends();
                    self.dialogue.answer(&tag, if done { "OK IDLE completed" } else { "BAD Expected DONE" });
                    return Ok(Next::Command);
                }
                Frame::Partial => {}
                Frame::Refused { length, .. } => {
                    self.input.consume(length);
                    self.dialogue.wire.presence().ends();
                    self.dialogue.answer(&tag, "BAD Expected DONE");
                    return Ok(Next::Command);
                }
                _ => return Ok(Next::Over),
            }
            self.dialogue.wire.flush().await?;
            match self.event().await? {
                Event::Changed | Event::Input(Fill::More) => {}
                Event::Input(Fill::End) => return Ok(Next::Over),
                Event::Input(Fill::Timeout) => {
                    if !self.still_here(since) {
                        return Ok(Next::Over);
                    }
                }
            }
        }
    }

    /// Waits for the client, for a change, or for the time of the next keep-alive.
    async fn event(&mut self) -> io::Result<Event> {
        let dialogue = &mut self.dialogue;
        if dialogue.context.stopping.get() {
            return Ok(Event::Input(Fill::Timeout));
        }
        dialogue.wire.set_deadline(limits::IDLE_KEEP_ALIVE.min(dialogue.visit.endpoint.idle_timeout()));
        let (input, wire, state) = (&mut self.input, &mut dialogue.wire, &dialogue.state);
        std::future::poll_fn(|context| {
            if let Poll::Ready(fill) = input.poll_fill(wire, context) {
                return Poll::Ready(fill.map(Event::Input));
            }
            match state {
                State::Selected(_, view) => view.poll_changed(context).map(|()| Ok(Event::Changed)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// A deadline passed: a keep-alive, or the end. False: the dialogue is over.
    fn still_here(&mut self, since: Instant) -> bool {
        let dialogue = &mut self.dialogue;
        let idle = dialogue.wire.ring().now().saturating_duration_since(since);
        let patience = dialogue.visit.endpoint.idle_timeout();
        if dialogue.context.stopping.get() || dialogue.wire.is_kicked() || idle >= patience {
            dialogue.say_bye();
            return false;
        }
        dialogue.put("* OK Still here\r\n");
        true
    }
}
