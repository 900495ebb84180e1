//! SEARCH and UID SEARCH (RFC 3501 §6.4.4) over flags, sizes, dates, numbers, header fields and the search text.
//!
//! Strings match where their folded form is contained in the folded text (substring, ignoring case, decoded). The shard's
//! other sessions run between messages, and a message that nobody looked at is read in on a service thread.

use std::cell::Cell;
use std::io;

use memchr::memmem::Finder;

use super::tell::refusal;
use super::{Dialogue, State, command, flags};
use crate::limits;
use crate::mime::{self, header};
use crate::net::Arena;
use crate::proto::imap::{Search, SearchKey, SequenceSet, Tagged, respond};
use crate::store::{Entry, Error, Message, View};

/// A key, ready to be matched many times.
enum Test<'a> {
    All,
    Nothing,
    Flag(crate::store::Flags, bool),
    Recent(bool),
    Keyword(u64, bool),
    Text(Place<'a>, Box<Finder<'static>>),
    /// Field present, whatever its value.
    Field(&'a [u8]),
    /// Days since 1970, from the first to before the second.
    Days(i64, i64),
    Size(u64, u64),
    /// Sorted ranges of UIDs or of message numbers.
    Uids(&'a [crate::proto::imap::Range]),
    Numbers(&'a [crate::proto::imap::Range]),
    Not(Box<Test<'a>>),
    Any(Vec<Test<'a>>),
    Every(Vec<Test<'a>>),
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Subject,
    From,
    Everything,
    Field(&'a [u8]),
}

const DAY: i64 = 86_400;

struct Compiler<'v, 'a> {
    view: &'v View,
    arena: &'a Arena,
    /// Keys that look into texts, so far.
    texts: Cell<usize>,
}

impl<'a> Compiler<'_, 'a> {
    fn every(&self, keys: &'a [SearchKey<'a>]) -> Result<Test<'a>, &'static str> {
        keys.iter().map(|key| self.compile(key)).collect::<Result<_, _>>().map(Test::Every)
    }

    fn compile(&self, key: &'a SearchKey<'a>) -> Result<Test<'a>, &'static str> {
        let day = |days: i32| i64::from(days) * DAY;
        Ok(match *key {
            SearchKey::All => Test::All,
            SearchKey::Flag { flag, set } if flag == crate::proto::imap::Flags::RECENT => Test::Recent(set),
            SearchKey::Flag { flag, set } => Test::Flag(flags::to_store(flag), set),
            SearchKey::New => Test::Every(vec![Test::Recent(true), Test::Flag(crate::store::Flags::SEEN, false)]),
            SearchKey::Keyword { keyword, set } => self.keyword(keyword, set),
            SearchKey::Subject(text) => self.text(Place::Subject, text)?,
            SearchKey::From(text) => self.text(Place::From, text)?,
            SearchKey::Text(text) => self.text(Place::Everything, text)?,
            SearchKey::To(text) => self.text(Place::Field(b"To"), text)?,
            SearchKey::Cc(text) => self.text(Place::Field(b"Cc"), text)?,
            SearchKey::Bcc(text) => self.text(Place::Field(b"Bcc"), text)?,
            SearchKey::Header { field, value: b"" } => Test::Field(field),
            SearchKey::Header { field, value } => self.text(Place::Field(field), value)?,
            SearchKey::Before(days) => Test::Days(i64::MIN, day(days)),
            SearchKey::On(days) => Test::Days(day(days), day(days) + DAY),
            SearchKey::Since(days) => Test::Days(day(days), i64::MAX),
            SearchKey::Larger(size) => Test::Size(size.saturating_add(1), u64::MAX),
            SearchKey::Smaller(size) => Test::Size(0, size),
            SearchKey::Uid(set) => Test::Uids(self.resolve(set, true)),
            SearchKey::Sequence(set) => Test::Numbers(self.resolve(set, false)),
            SearchKey::Not(key) => Test::Not(Box::new(self.compile(key)?)),
            SearchKey::Or(one, other) => Test::Any(vec![self.compile(one)?, self.compile(other)?]),
            SearchKey::And(keys) => self.every(keys)?,
            SearchKey::Body(_) | SearchKey::SentBefore(_) | SearchKey::SentOn(_) | SearchKey::SentSince(_) => {
                return Err("NO [CANNOT] SEARCH by BODY and SENT dates is not there yet");
            }
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

    fn text(&self, place: Place<'a>, text: &[u8]) -> Result<Test<'a>, &'static str> {
        self.texts.set(self.texts.get() + 1);
        if self.texts.get() > limits::SEARCH_TEXT_KEYS_MAX {
            return Err("NO [LIMIT] Too many strings in one SEARCH");
        }
        let text = std::str::from_utf8(text).map_err(|_| "NO [CANNOT] The search string is not UTF-8")?;
        let folded = mime::fold(text);
        Ok(if folded.is_empty() {
            Test::All
        } else {
            Test::Text(place, Box::new(Finder::new(folded.as_bytes()).into_owned()))
        })
    }

    fn resolve(&self, set: SequenceSet<'_>, uid: bool) -> &'a [crate::proto::imap::Range] {
        let exists = self.view.exists();
        set.resolve(self.arena, if uid { self.view.uid_of(exists).unwrap_or(0) } else { exists })
    }
}

impl Test<'_> {
    /// Whether the mail file is looked at.
    fn needs_message(&self) -> bool {
        match self {
            Test::Text(..) | Test::Field(_) => true,
            Test::Not(test) => test.needs_message(),
            Test::Any(tests) | Test::Every(tests) => tests.iter().any(Test::needs_message),
            _ => false,
        }
    }
}

/// One message as it is matched; the mail file is looked at only by keys that need it.
struct Candidate<'v> {
    view: &'v View,
    seq: u32,
    entry: Entry,
    message: Option<Message>,
}

impl Candidate<'_> {
    fn message(&mut self) -> Result<Option<&Message>, Error> {
        if self.message.is_none() {
            self.message = self.view.message(self.seq)?;
        }
        Ok(self.message.as_ref())
    }

    fn matches(&mut self, test: &Test<'_>) -> Result<bool, Error> {
        let within = |ranges: &[crate::proto::imap::Range], number: u32| {
            let after = ranges.partition_point(|range| range.first <= number);
            after > 0 && number <= ranges[after - 1].last
        };
        Ok(match test {
            Test::All => true,
            Test::Nothing => false,
            Test::Flag(flag, set) => self.entry.flags.contains(*flag) == *set,
            Test::Recent(set) => self.entry.recent == *set,
            Test::Keyword(bit, set) => (self.entry.keywords & bit != 0) == *set,
            Test::Days(from, before) => {
                // RFC 3501 §6.4.4: the date in its own zone, the time of day disregarded.
                let date = self.entry.internal_date;
                let local = date.seconds + i64::from(date.offset_minutes) * 60;
                (*from..*before).contains(&local)
            }
            Test::Size(least, below) => (*least..*below).contains(&u64::from(self.entry.size)),
            Test::Uids(ranges) => within(ranges, self.entry.uid.0),
            Test::Numbers(ranges) => within(ranges, self.seq),
            Test::Not(test) => !self.matches(test)?,
            Test::Any(tests) => {
                for test in tests {
                    if self.matches(test)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::Every(tests) => {
                for test in tests {
                    if !self.matches(test)? {
                        return Ok(false);
                    }
                }
                true
            }
            Test::Text(place, finder) => self.contains(*place, finder)?,
            Test::Field(name) => match self.message()? {
                Some(message) => header::field(own_header(message)?, name).is_some(),
                None => false,
            },
        })
    }

    fn contains(&mut self, place: Place<'_>, finder: &Finder<'_>) -> Result<bool, Error> {
        let Some(message) = self.message()? else { return Ok(false) };
        Ok(match place {
            Place::Subject => finder.find(message.subject().as_bytes()).is_some(),
            Place::From => finder.find(message.from().as_bytes()).is_some(),
            Place::Everything => finder.find(message.text()?.as_bytes()).is_some(),
            Place::Field(name) => header::fields(own_header(message)?)
                .filter(|field| field.is(name))
                .any(|field| finder.find(mime::fold_field(field.value).as_bytes()).is_some()),
        })
    }
}

fn own_header(message: &Message) -> Result<&[u8], Error> {
    let raw = message.raw()?;
    Ok(message.part(0).map_or(&[][..], |root| root.header(raw)))
}

impl Dialogue {
    pub(super) async fn search(&mut self, tagged: &Tagged<'_>, search: Search<'_>, arena: &Arena) -> io::Result<()> {
        if search
            .charset
            .is_some_and(|charset| !["UTF-8", "US-ASCII"].iter().any(|known| charset.eq_ignore_ascii_case(known)))
        {
            self.answer(tagged.tag, "NO [BADCHARSET (US-ASCII UTF-8)] That charset is not known here");
            return Ok(());
        }
        let State::Selected(_, view) = &self.state else { return Ok(()) };
        let compiler = Compiler { view, arena, texts: Cell::new(0) };
        let found = match compiler.every(search.keys) {
            Ok(test) => self.find(&test, tagged.uid).await.map_err(|error| refusal(&error)),
            Err(text) => Err(text),
        };
        match found {
            Ok(numbers) => {
                self.wire.output().extend_from_slice(b"* SEARCH");
                for number in numbers {
                    self.wire.output().push(b' ');
                    respond::number(self.wire.output(), u64::from(number));
                    self.wire.breathe().await?;
                }
                self.wire.output().extend_from_slice(b"\r\n");
                self.tell(command::tells_expunge(tagged));
                self.answer(tagged.tag, "OK SEARCH completed");
            }
            Err(text) => self.answer(tagged.tag, text),
        }
        Ok(())
    }

    async fn find(&self, test: &Test<'_>, uid: bool) -> Result<Vec<u32>, Error> {
        let State::Selected(_, view) = &self.state else { return Ok(Vec::new()) };
        let needs_message = test.needs_message();
        let mut found = Vec::new();
        for seq in 1..=view.exists() {
            let Some(entry) = view.entry(seq) else { break };
            while needs_message && let Some(cold) = view.cold(seq) {
                // A block of the map that nobody looked at: read and checked where it may block.
                let answer = self.context.pool.ask(&self.context.post, move || cold.verify());
                view.warmed(seq, &answer.await.unwrap_or(Err(Error::Busy))?);
            }
            let mut candidate = Candidate { view, seq, entry, message: None };
            if candidate.matches(test)? {
                found.push(if uid { entry.uid.0 } else { seq });
            }
            self.context.ring.breathe().await;
        }
        Ok(found)
    }
}
