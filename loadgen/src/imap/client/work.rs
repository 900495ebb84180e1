//! The work of a connection that is set up: what it sends in its closed loop, and the checks of what that is answered with.
//!
//! Invariants: a FETCH that is answered OK brought what it asked for; a message's body never changes; UIDs of APPEND ascend.

use super::{Client, Kind, Pending, Stage, Work, kind_of, violation};
use crate::dialogue::{Fault, Turn};
use crate::imap::command::Builder;
use crate::imap::fetch::FetchItem;
use crate::imap::mailbox::Mailbox;
use crate::imap::parse::{Code, Status, StatusText};
use crate::message::{Verdict, checksum, verify};

impl Client {
    pub(super) fn issue(&mut self, turn: &mut Turn<'_>) {
        while self.stage == Stage::Working
            && turn.issuing
            && self.held.is_empty()
            && self.flight.len() < self.settings.depth
        {
            match self.settings.work {
                Work::Noop | Work::Echo => self.issue_noop(turn),
                Work::Fetch { body, flags } => self.issue_fetch(body, flags, turn),
                Work::Append => self.issue_append(turn),
                Work::Login | Work::Hold { .. } => return,
            }
            self.issued += 1;
        }
    }

    fn issue_noop(&mut self, turn: &mut Turn<'_>) {
        let tag = self.tag();
        let mut text = *b"A000000 NOOP\r\n";
        text[..7].copy_from_slice(&tag);
        turn.send(&text);
        self.sent(tag, Kind::Noop, turn);
    }

    fn issue_fetch(&mut self, body: bool, flags: bool, turn: &mut Turn<'_>) {
        let exists = u64::from(self.mailbox.as_ref().map_or(1, Mailbox::exists).max(1));
        let (step, body) =
            if body && flags { (self.issued / 2, self.issued.is_multiple_of(2)) } else { (self.issued, body) };
        // Connections start at different messages, so that they don't all read the same one at the same time.
        let number = (u64::from(self.index) * 7 + step) % exists + 1;
        let tag = self.tag();
        let what = if body { "(UID BODY.PEEK[])" } else { "(UID FLAGS)" };
        let line = format!("{} FETCH {number} {what}\r\n", std::str::from_utf8(&tag).unwrap_or_default());
        turn.send(line.as_bytes());
        self.sent(tag, Kind::Fetch { number: number as u32, body, answered: false }, turn);
    }

    fn issue_append(&mut self, turn: &mut Turn<'_>) {
        let tag = self.tag();
        let number = u64::from(self.index) * 1_000_000_000 + self.issued;
        let settings = self.settings.clone();
        let mut template = settings.template.borrow_mut();
        let bytes = template.bytes();
        let plus = self.capabilities.literal_plus || (self.capabilities.literal_minus && bytes <= 4096);
        let first = Builder::new(&tag).word("APPEND").string(&self.settings.mailbox).word("(\\Seen)");
        let literal = format!("{{{bytes}{}}}", if plus { "+" } else { "" });
        let mut pieces = first.word(&literal).end();
        let message = template.stamp(number);
        if plus && pieces.len() == 1 {
            turn.send(&pieces[0]);
            turn.send(message);
            turn.out.extend_from_slice(b"\r\n");
            self.sent(tag, Kind::Append, turn);
        } else {
            let message = [message, b"\r\n"].concat();
            // A mailbox name that had to be a literal itself: its piece ends with ours announced, so both wait in turn.
            if plus && let Some(last) = pieces.back_mut() {
                last.extend_from_slice(&message);
            } else {
                pieces.push_back(message);
            }
            self.send_pieces(Kind::Append, tag, pieces, turn);
        }
    }

    pub(super) fn fetched(&mut self, number: u32, items: &[FetchItem<'_>], turn: &mut Turn<'_>) -> Result<(), Fault> {
        let uid = items.iter().find_map(|item| if let FetchItem::Uid(uid) = item { Some(*uid) } else { None });
        self.in_mailbox("FETCH", |mailbox| mailbox.told_fetch(number, uid))?;
        let mut has_flags = false;
        let mut has_body = false;
        for item in items {
            match item {
                FetchItem::Flags(_) => has_flags = true,
                FetchItem::Section { section: b"", origin: None, data } => {
                    has_body = true;
                    let Some(data) = data else { return violation(format!("BODY[] of message {number} is NIL")) };
                    self.check_body(number, uid, data.octets(), turn)?;
                }
                _ => {}
            }
        }
        for pending in &mut self.flight {
            if let Kind::Fetch { number: asked, body, answered } = &mut pending.kind
                && *asked == number
                && !*answered
                && uid.is_some()
                && (if *body { has_body } else { has_flags })
            {
                *answered = true;
                break;
            }
        }
        Ok(())
    }

    fn check_body(&self, number: u32, uid: Option<u32>, body: &[u8], turn: &mut Turn<'_>) -> Result<(), Fault> {
        match verify(body) {
            Verdict::Intact => turn.tally.verified += 1,
            Verdict::Damaged => {
                return violation(format!(
                    "the body of message {number} does not have the checksum that its header states"
                ));
            }
            Verdict::Unmarked => {
                let validity = self.mailbox.as_ref().map_or(0, Mailbox::validity);
                if let Some(uid) = uid
                    && !turn.tally.body_seen((validity, uid), checksum(body))
                {
                    return violation(format!(
                        "message {number} (UID {uid}) has another content than when it was fetched before"
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn worked(
        &mut self,
        pending: &Pending,
        status: &StatusText<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        if status.status != Status::Ok {
            turn.tally.error(&kind_of(status));
            return Ok(());
        }
        if let Kind::Fetch { number, body, answered: false } = pending.kind {
            let what = if body { "BODY[]" } else { "FLAGS" };
            return violation(format!("FETCH {number} was answered OK without its UID and {what}"));
        }
        if let (Kind::Append, Some(Code::AppendUid { validity, uid })) = (pending.kind, &status.code) {
            if let Some((known, last)) = self.appended
                && known == *validity
                && last >= *uid
            {
                return violation(format!("APPEND got UID {uid} after {last}: UIDs must ascend"));
            }
            self.appended = Some((*validity, *uid));
        }
        turn.tally.done(turn.now - pending.sent);
        Ok(())
    }
}
