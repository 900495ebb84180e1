//! COPY, MOVE and their UID forms (RFC 3501 §6.4.7, RFC 6851, RFC 4315 §3).
//!
//! All of the messages go or none, in one record of the log. Messages that others have expunged are passed over. MOVE tells
//! COPYUID before the EXPUNGE responses and so before its tagged OK; COPY has it in that. A mailbox that is missing is not
//! made: `[TRYCREATE]` says that the client may.

use std::io;

use super::expunge::inclusive;
use super::store::uid_ranges;
use super::tell::refusal;
use super::{Dialogue, State, command, select};
use crate::net::Arena;
use crate::proto::imap::{Command, Range, Tagged, respond};
use crate::store::{Copied, Error};

/// RFC 3501 §6.3.11, §6.4.7: the client may create the mailbox and try again.
pub(super) const TRY_CREATE: &str = "NO [TRYCREATE] No such mailbox";

/// The tagged NO where a message can't go to a mailbox: one that was deleted meanwhile may be made anew.
pub(super) fn target_refusal(error: &Error) -> &'static str {
    if *error == Error::Gone { TRY_CREATE } else { refusal(error) }
}

impl Dialogue {
    pub(super) async fn copy(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> io::Result<()> {
        let transferred = self.transfer(tagged, arena).await;
        let moves = matches!(tagged.command, Command::Move { .. });
        let some = transferred.as_ref().ok().filter(|copied| !copied.from.is_empty());
        if let Some(copied) = some.filter(|_| moves) {
            // RFC 6851 §4.3: before the EXPUNGE responses.
            let out = self.wire.output();
            out.extend_from_slice(b"* OK ");
            copy_uid(out, copied);
            out.extend_from_slice(b"Moved\r\n");
        }
        self.tell_for(tagged).await?;
        if let Err(text) = transferred {
            self.answer(tagged.tag, text);
            return Ok(());
        }
        let out = self.wire.output();
        out.extend_from_slice(tagged.tag.as_bytes());
        out.extend_from_slice(b" OK ");
        if let Some(copied) = some.filter(|_| !moves) {
            copy_uid(out, copied);
        }
        out.extend_from_slice(if moves { b"MOVE completed\r\n" } else { b"COPY completed\r\n" });
        Ok(())
    }

    async fn transfer(&mut self, tagged: &Tagged<'_>, arena: &Arena) -> Result<Copied, &'static str> {
        let (set, name, moves) = match tagged.command {
            Command::Copy { set, mailbox } => (set, mailbox, false),
            Command::Move { set, mailbox } => (set, mailbox, true),
            _ => unreachable!("called for these two"),
        };
        let State::Selected(_, view) = &self.state else { return Err("BAD Select a mailbox first") };
        let uids = uid_ranges(view, set, command::uses_numbers(tagged), arena).ok_or("BAD No such message number")?;
        if moves && view.is_read_only() {
            return Err("NO [NOPERM] The mailbox is read-only");
        }
        let target = self.mailbox(name).await.map_err(|text| match text {
            select::NO_MAILBOX => TRY_CREATE,
            other => other,
        })?;
        if !moves && self.quota().is_some() {
            let bytes = self.bytes_of(uids).await;
            self.check_quota(target.account(), bytes)?;
        }
        let State::Selected(_, view) = &self.state else { return Err("BAD Select a mailbox first") };
        let uids = inclusive(uids);
        let transferred = match moves {
            true => view.move_to(&uids, &target).await,
            false => view.copy(&uids, &target).await,
        };
        transferred.map_err(|error| if view.is_gone() { refusal(&error) } else { target_refusal(&error) })
    }

    /// The sum of the messages' sizes.
    async fn bytes_of(&self, uids: &[Range]) -> u64 {
        let State::Selected(_, view) = &self.state else { return 0 };
        let mut bytes = 0;
        for range in uids {
            for seq in view.first_at_or_after(range.first)..view.first_at_or_after(range.last.saturating_add(1)) {
                bytes += view.entry(seq).map_or(0, |entry| u64::from(entry.size));
                self.context.ring.breathe().await;
            }
        }
        bytes
    }
}

/// `[COPYUID validity from to] `
/// ```text
/// resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set
/// ```
fn copy_uid(out: &mut Vec<u8>, copied: &Copied) {
    out.extend_from_slice(b"[COPYUID ");
    respond::number(out, u64::from(copied.uid_validity.0));
    for uids in [&copied.from, &copied.to] {
        out.push(b' ');
        let ranges: Vec<Range> = uids.iter().map(|&(first, last)| Range { first, last }).collect();
        respond::sequence_set(out, &ranges);
    }
    out.extend_from_slice(b"] ");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::UidValidity;

    #[test]
    fn rfc_4315_copy_uid() {
        let mut out = Vec::new();
        let copied =
            Copied { uid_validity: UidValidity(38_505), from: vec![(304, 304), (319, 320)], to: vec![(3956, 3958)] };
        copy_uid(&mut out, &copied);
        assert_eq!(out, b"[COPYUID 38505 304,319:320 3956:3958] ");
    }
}
