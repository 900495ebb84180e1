//! APPEND (RFC 3501 §6.3.11): the message goes from the connection into a spool, never into one buffer.
//!
//! A message that is refused is not asked for where the client waits (a synchronising literal), else it is read and thrown
//! away, so that the dialogue stays in step, up to [`limits::CHUNK_SKIP_BYTES_MAX`]; so is a second one on the same line
//! (MULTIAPPEND, RFC 3502, is not offered). OK is said when it is durable, with its UID (RFC 4315 §3).

use std::io;

use super::tell::refusal;
use super::{AppendAt, Dialogue, Next, Session, copy, flags, select};
use crate::limits;
use crate::net::Fill;
use crate::proto::imap::{Append, Command, Frame, parse_append_head};
use crate::session;
use crate::store::{Date, Mailbox, NewMessage, Spool, Uid};

/// An APPEND whose message may come.
struct Wanted {
    tag: Box<str>,
    mailbox: Mailbox,
    flags: crate::store::Flags,
    keywords: Vec<String>,
    date: Date,
    utf8: bool,
}

/// How the octets of a message came in.
enum Taken {
    Whole,
    Refused(&'static str),
    /// The connection is over.
    Over,
}

impl Session {
    pub(super) async fn append(&mut self, at: AppendAt) -> io::Result<Next> {
        let arena = self.dialogue.context.arenas.take();
        let head = &self.input.octets()[..at.head];
        let mut wanted = match parse_append_head(&arena, head) {
            Ok(tagged) => match tagged.command {
                Command::Append(append) => self.dialogue.may_append(tagged.tag, &append, at.size).await,
                _ => unreachable!("an APPEND's head is an APPEND"),
            },
            Err(error) => {
                self.dialogue.bad(&error);
                None
            }
        };
        self.input.consume(at.head);
        drop(arena);
        if at.synchronising {
            if wanted.is_none() {
                return Ok(Next::Command);
            }
            self.dialogue.put("+ Send the message\r\n");
        } else if wanted.is_none() && self.dialogue.is_too_much(at.size) {
            return Ok(Next::Over);
        }
        let mut spool = wanted.is_some().then(|| self.dialogue.context.store.spool());
        match self.take_message(at.size, &mut spool).await? {
            Taken::Whole => {}
            Taken::Refused(text) => {
                if let Some(wanted) = wanted.take() {
                    self.dialogue.answer(&wanted.tag, text);
                }
            }
            Taken::Over => return Ok(Next::Over),
        }
        let utf8 = wanted.as_ref().is_some_and(|wanted| wanted.utf8);
        let Some(alone) = self.rest_of_line(utf8).await? else { return Ok(Next::Over) };
        let (Some(wanted), Some(spool)) = (wanted, spool) else { return Ok(Next::Command) };
        match alone {
            Ok(()) => self.dialogue.finish_append(wanted, spool).await?,
            Err(text) => self.dialogue.answer(&wanted.tag, text),
        }
        Ok(Next::Command)
    }

    /// Takes `size` octets into the spool, or throws them away where there is none.
    async fn take_message(&mut self, size: u64, spool: &mut Option<Spool>) -> io::Result<Taken> {
        let mut taken = Taken::Whole;
        let mut left = size;
        while left > 0 {
            let octets = self.input.octets();
            if octets.is_empty() {
                if self.wait_for_octets().await? {
                    continue;
                }
                return Ok(Taken::Over);
            }
            let count = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = &octets[..count];
            if memchr::memchr(0, piece).is_some() && spool.take().is_some() {
                // RFC 3501 §9: CHAR8 is any octet but NUL.
                taken = Taken::Refused("NO [CANNOT] A message can't hold NUL octets");
            }
            if let Some(open) = spool
                && let Err(error) = open.write(piece).await
            {
                taken = Taken::Refused(refusal(&error));
                *spool = None;
            }
            self.input.consume(count);
            left -= count as u64;
        }
        Ok(taken)
    }

    /// False: the dialogue is over.
    async fn wait_for_octets(&mut self) -> io::Result<bool> {
        let Dialogue { wire, context, visit, .. } = &mut self.dialogue;
        match visit.wait_for_transfer(context, (&mut self.input, wire)).await? {
            Fill::More => return Ok(true),
            Fill::End => {}
            Fill::Timeout => self.dialogue.say_bye(),
        }
        Ok(false)
    }

    /// What follows the message on its line, which must be nothing, or the end of `UTF8 (…)`. `None`: the connection is over.
    async fn rest_of_line(&mut self, utf8: bool) -> io::Result<Option<Result<(), &'static str>>> {
        const ONE_MESSAGE: &str = "BAD Only one message at a time";
        self.dialogue.framer.resume_after_append();
        let mut alone = Ok(());
        loop {
            let limits = self.dialogue.limits();
            match self.dialogue.framer.next(self.input.octets(), limits) {
                Frame::Command { length } => {
                    let end: &[u8] = if utf8 { b")\r\n" } else { b"\r\n" };
                    let ends = &self.input.octets()[..length] == end;
                    self.input.consume(length);
                    return Ok(Some(if ends { alone } else { alone.and(Err("BAD A message ends its APPEND")) }));
                }
                Frame::Partial => {
                    if !self.wait_for_octets().await? {
                        return Ok(None);
                    }
                }
                Frame::Refused { length, close, kind } => {
                    self.input.consume(length);
                    if close {
                        self.dialogue.put("* BYE What follows can't be told apart from commands\r\n");
                        return Ok(None);
                    }
                    return Ok(Some(Err(kind.text())));
                }
                // A second message. A client that waits to be asked for it takes the tagged BAD for an answer.
                Frame::AppendLiteral { head, synchronising: true, .. } => {
                    self.input.consume(head);
                    return Ok(Some(Err(ONE_MESSAGE)));
                }
                Frame::AppendLiteral { head, size, synchronising: false, .. } => {
                    self.input.consume(head);
                    if self.dialogue.is_too_much(size)
                        || matches!(self.take_message(size, &mut None).await?, Taken::Over)
                    {
                        return Ok(None);
                    }
                    self.dialogue.framer.resume_after_append();
                    alone = Err(ONE_MESSAGE);
                }
                Frame::Continue | Frame::Skipped { .. } => return Ok(Some(Err(ONE_MESSAGE))),
            }
        }
    }
}

impl Dialogue {
    /// Looks at an APPEND before its message comes; `None`: it was answered.
    async fn may_append(&mut self, tag: &str, append: &Append<'_>, size: u64) -> Option<Wanted> {
        let mailbox = match self.mailbox(append.mailbox).await {
            Ok(mailbox) => mailbox,
            Err(text) => {
                self.answer(tag, if text == select::NO_MAILBOX { copy::TRY_CREATE } else { text });
                return None;
            }
        };
        if size > self.context.config.max_message_bytes {
            self.answer(tag, "NO [TOOBIG] The message is larger than this server takes");
            return None;
        }
        if let Err(text) = self.check_quota(mailbox.account(), size) {
            self.answer(tag, text);
            return None;
        }
        let (seconds, offset_minutes) = append.date_time.unwrap_or_else(|| ((self.context.clock)(), 0));
        Some(Wanted {
            tag: tag.into(),
            mailbox,
            flags: flags::to_store(append.flags.system),
            keywords: flags::keywords(&append.flags),
            date: Date { seconds, offset_minutes },
            utf8: append.utf8,
        })
    }

    /// Whether a message that nobody wants is too much to be thrown away, which is said (RFC 7888 §4).
    fn is_too_much(&mut self, size: u64) -> bool {
        let too_much = size > limits::CHUNK_SKIP_BYTES_MAX;
        if too_much {
            self.put("* BYE The message is too large to be read away\r\n");
        }
        too_much
    }

    async fn finish_append(&mut self, wanted: Wanted, spool: Spool) -> io::Result<()> {
        let appended = self.store_message(&wanted, spool).await;
        self.tell(true).await?;
        match appended {
            Ok(uid) => {
                let validity = wanted.mailbox.uid_validity().0;
                // RFC 4315 §3: resp-code-apnd = "APPENDUID" SP nz-number SP append-uid
                self.answer(&wanted.tag, &format!("OK [APPENDUID {validity} {}] APPEND completed", uid.0));
            }
            Err(text) => self.answer(&wanted.tag, text),
        }
        Ok(())
    }

    async fn store_message(&mut self, wanted: &Wanted, spool: Spool) -> Result<Uid, &'static str> {
        let body = spool.finish().await.map_err(|error| refusal(&error))?;
        let Some(structure) = session::structure(&self.context, &body).await else {
            return Err("NO [SERVERBUG] The message could not be taken apart");
        };
        // What came while the message did counts too.
        self.check_quota(wanted.mailbox.account(), body.len() as u64)?;
        let message = NewMessage {
            body,
            structure,
            internal_date: wanted.date,
            saved_at: (self.context.clock)(),
            flags: wanted.flags,
            keywords: wanted.keywords.clone(),
            delivery: None,
        };
        wanted.mailbox.append(message).await.map_err(|error| copy::target_refusal(&error))
    }
}
