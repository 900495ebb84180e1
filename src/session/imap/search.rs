//! SEARCH and UID SEARCH (RFC 3501 §6.4.4): keys compiled once, then matched against every message of the view.
//!
//! Strings are read in the charset that the client names and match where their folded form is contained in the folded text
//! (substring, ignoring case, decoded). The shard's other sessions run now and then, and between any two looks into a message,
//! which is taken only where flags, dates and numbers don't decide; what nobody read of one yet is read in on a service thread,
//! and no more of it than the key needs. A message that can't be read is left out, and the tagged NO says so behind what was
//! found.

use std::io;

use memchr::memmem::Finder;

use super::criteria::{Content, Criteria, Days, Place, Test};
use super::tell::refusal;
use super::{Dialogue, State, flags};
use crate::limits;
use crate::mime::{self, CharsetError};
use crate::net::Arena;
use crate::proto::imap::{Flags, Search, SearchKey, SequenceSet, Tagged, respond};
use crate::store::{self, ColdBlocks, Entry, Error, Reading, View};

const DAY: i64 = 86_400;

/// Makes criteria of keys.
struct Compiler<'v, 'a> {
    view: &'v View,
    arena: &'a Arena,
    charset: Option<&'a str>,
    contents: Vec<Content<'a>>,
    keys: usize,
}

impl<'a> Compiler<'_, 'a> {
    fn every(&mut self, keys: &'a [SearchKey<'a>]) -> Result<Test<'a>, &'static str> {
        if let [key] = keys {
            return self.compile(key);
        }
        keys.iter().map(|key| self.compile(key)).collect::<Result<_, _>>().map(Test::Every)
    }

    fn compile(&mut self, key: &'a SearchKey<'a>) -> Result<Test<'a>, &'static str> {
        self.keys += 1;
        let day = |days: i32| i64::from(days) * DAY;
        Ok(match *key {
            SearchKey::All => Test::All,
            SearchKey::Flag { flag: Flags::RECENT, set } => Test::Recent(set),
            SearchKey::Flag { flag, set } => Test::Flag(flags::to_store(flag), set),
            SearchKey::New => Test::Every(vec![Test::Recent(true), Test::Flag(store::Flags::SEEN, false)]),
            SearchKey::Keyword { keyword, set } => self.keyword(keyword, set),
            SearchKey::Subject(text) => self.text(Place::Subject, text)?,
            SearchKey::From(text) => self.text(Place::From, text)?,
            SearchKey::Text(text) => self.text(Place::Everything, text)?,
            SearchKey::Body(text) => self.text(Place::Body, text)?,
            SearchKey::To(text) => self.text(Place::Field(b"To"), text)?,
            SearchKey::Cc(text) => self.text(Place::Field(b"Cc"), text)?,
            SearchKey::Bcc(text) => self.text(Place::Field(b"Bcc"), text)?,
            SearchKey::Header { field, value: b"" } => self.content(Content::Field(field))?,
            SearchKey::Header { field, value } => self.text(Place::Field(field), value)?,
            SearchKey::Before(days) => Test::Internal(Days { from: i64::MIN, before: day(days) }),
            SearchKey::On(days) => Test::Internal(Days { from: day(days), before: day(days) + DAY }),
            SearchKey::Since(days) => Test::Internal(Days { from: day(days), before: i64::MAX }),
            SearchKey::SentBefore(days) => self.sent(i64::MIN, days.into())?,
            SearchKey::SentOn(days) => self.sent(days.into(), i64::from(days) + 1)?,
            SearchKey::SentSince(days) => self.sent(days.into(), i64::MAX)?,
            SearchKey::Larger(size) => Test::Size(size.saturating_add(1), u64::MAX),
            SearchKey::Smaller(size) => Test::Size(0, size),
            SearchKey::Uid(set) => Test::Uids(self.resolve(set, true)),
            SearchKey::Sequence(set) => Test::Numbers(self.resolve(set, false)),
            SearchKey::Not(key) => Test::Not(Box::new(self.compile(key)?)),
            SearchKey::Or(one, other) => Test::Any(vec![self.compile(one)?, self.compile(other)?]),
            SearchKey::And(keys) => self.every(keys)?,
        })
    }

    fn keyword(&self, keyword: &str, set: bool) -> Test<'a> {
        let keywords = self.view.mailbox().keywords();
        match keywords.iter().position(|known| known.eq_ignore_ascii_case(keyword)) {
            Some(index) => Test::Keyword(1 << index, set),
            None if set => Test::Nothing,
            None => Test::All,
        }
    }

    fn text(&mut self, place: Place<'a>, text: &'a [u8]) -> Result<Test<'a>, &'static str> {
        let text = mime::decode_charset(self.charset, text);
        let folded = mime::fold(&text.map_err(|_| "NO [CANNOT] The search string is not of its charset")?);
        if folded.is_empty() {
            return Ok(Test::All);
        }
        self.content(Content::Text(place, Box::new(Finder::new(folded.as_bytes()).into_owned())))
    }

    fn sent(&mut self, from: i64, before: i64) -> Result<Test<'a>, &'static str> {
        self.content(Content::Sent(Days { from, before }))
    }

    fn content(&mut self, content: Content<'a>) -> Result<Test<'a>, &'static str> {
        if self.contents.len() == limits::SEARCH_CONTENT_KEYS_MAX {
            return Err("NO [LIMIT] Too many keys that look into messages in one SEARCH");
        }
        self.contents.push(content);
        Ok(Test::Content(self.contents.len() - 1))
    }

    fn resolve(&self, set: SequenceSet<'_>, uid: bool) -> &'a [crate::proto::imap::Range] {
        let exists = self.view.exists();
        set.resolve(self.arena, if uid { self.view.uid_of(exists).unwrap_or(0) } else { exists })
    }
}

impl Dialogue {
    pub(super) async fn search(&mut self, tagged: &Tagged<'_>, search: Search<'_>, arena: &Arena) -> io::Result<()> {
        if mime::decode_charset(search.charset, b"") == Err(CharsetError::Unknown) {
            let text = format!("NO [BADCHARSET ({})] That charset is not known here", mime::CHARSETS);
            self.answer(tagged.tag, &text);
            return Ok(());
        }
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        let mut compiler = Compiler { view, arena, charset: search.charset, contents: Vec::new(), keys: 1 };
        let test = match compiler.every(search.keys) {
            Ok(test) => test,
            Err(text) => return self.conclude(tagged, Err(text)).await,
        };
        let criteria = Criteria { test, contents: compiler.contents, keys: compiler.keys };
        let Hunt { found, failed, .. } = self.find(&criteria, tagged.uid).await;
        if let Some(error) = &failed {
            Box::pin(self.context.store.put_aside(error)).await;
        }
        self.wire.output().extend_from_slice(b"* SEARCH");
        for numbers in found.chunks(limits::BREATH_ROWS) {
            for number in numbers {
                self.wire.output().push(b' ');
                respond::number(self.wire.output(), u64::from(*number));
            }
            self.wire.breathe().await?;
        }
        self.wire.output().extend_from_slice(b"\r\n");
        self.conclude(tagged, failed.map_or(Ok(()), |error| Err(refusal(&error)))).await
    }

    async fn find(&self, criteria: &Criteria<'_>, uid: bool) -> Hunt {
        let known = vec![None; criteria.contents.len()];
        let mut hunt = Hunt { seq: 1, known, found: Vec::new(), failed: None };
        let State::Selected(_, view) = &self.state else { return hunt };
        loop {
            match self.sweep(view, (criteria, uid), &mut hunt) {
                Stop::Done => return hunt,
                Stop::Rest => self.context.ring.breathe().await,
                Stop::Cold(cold) => match self.context.verify(*cold).await {
                    Ok(warm) => view.warmed(hunt.seq, &warm),
                    Err(error) => hunt.next(Err(error)),
                },
            }
        }
    }

    /// Goes over the messages from where the hunt is.
    fn sweep(&self, view: &View, (criteria, uid): (&Criteria<'_>, bool), hunt: &mut Hunt) -> Stop {
        let rows = (limits::BREATH_ROWS / criteria.keys).max(1);
        let mut left = rows;
        view.entries(hunt.seq, |entries| {
            for (seq, entry) in entries {
                let matches = match criteria.test.matches(seq, &entry, &hunt.known) {
                    Ok(matches) => Ok(matches),
                    // Which content has to be looked at shows when the rest doesn't decide without it.
                    Err(content) => self.look((view, seq, &entry), (criteria, content), &mut hunt.known),
                };
                match matches {
                    Ok(matches) => hunt.next(Ok(matches.then_some(if uid { entry.uid.0 } else { seq }))),
                    Err(Unmatched::Failed(error)) => hunt.next(Err(error)),
                    Err(Unmatched::Stop(stop)) => return stop,
                }
                left -= 1;
                if left == 0 {
                    left = rows;
                    if self.context.ring.is_slice_over() {
                        return Stop::Rest;
                    }
                }
            }
            Stop::Done
        })
    }

    /// Looks into a message, at `content` first, until it is known whether it matches. `known` is what was found in it.
    fn look(
        &self,
        (view, seq, entry): (&View, u32, &Entry),
        (criteria, mut content): (&Criteria<'_>, usize),
        known: &mut [Option<bool>],
    ) -> Result<bool, Unmatched> {
        let mut message = None;
        loop {
            let look = &criteria.contents[content];
            if message.is_none() {
                warm(view, seq, &Reading::Details)?;
                message = view.message(seq).map_err(Unmatched::Failed)?;
            }
            known[content] = Some(match &message {
                Some(message) => {
                    let reading = look.reading(message);
                    if reading != Reading::Details {
                        warm(view, seq, &reading)?;
                    }
                    let matches = look.matches(message).map_err(Unmatched::Failed)?;
                    message.still_whole().map_err(Unmatched::Failed)?;
                    matches
                }
                None => false,
            });
            if self.context.ring.is_slice_over() {
                return Err(Unmatched::Stop(Stop::Rest));
            }
            match criteria.test.matches(seq, entry, known) {
                Ok(matches) => return Ok(matches),
                Err(next) => content = next,
            }
        }
    }
}

/// How far a SEARCH has come.
struct Hunt {
    /// The message that is next.
    seq: u32,
    /// What is known of what is in it.
    known: Vec<Option<bool>>,
    /// What matched, as it is told.
    found: Vec<u32>,
    /// The first reason why messages were left out.
    failed: Option<Error>,
}

impl Hunt {
    /// What came of a message, and on to the next.
    fn next(&mut self, outcome: Result<Option<u32>, Error>) {
        match outcome {
            Ok(found) => self.found.extend(found),
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
        self.seq += 1;
        self.known.fill(None);
    }
}

/// Why [`Dialogue::sweep`] stopped.
enum Stop {
    Done,
    /// Enough time for now.
    Rest,
    /// The message that is next has blocks that must be read in first.
    Cold(Box<ColdBlocks>),
}

/// Why it isn't known whether a message matches.
enum Unmatched {
    Failed(Error),
    Stop(Stop),
}

/// That nothing of a message has to come from the disk for this.
fn warm(view: &View, seq: u32, reading: &Reading) -> Result<(), Unmatched> {
    view.cold(seq, reading).map_or(Ok(()), |cold| Err(Unmatched::Stop(Stop::Cold(Box::new(cold)))))
}
