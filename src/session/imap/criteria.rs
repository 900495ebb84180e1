//! What a SEARCH looks for, ready to be matched many times (RFC 3501 §6.4.4).
//!
//! Invariant: [`Test::matches`] takes no message. Where the answer hangs on what a message holds, it says which content it has
//! to know first, and is asked again when that was looked at: so the caller decides when to look, and may rest in between. Keys
//! are tried in the client's order, and none that can't change the outcome.

use std::ops::Range;

use memchr::memmem::Finder;

use crate::mime::{self, header};
use crate::proto::calendar::Date;
use crate::proto::imap;
use crate::store::{Entry, Error, Flags, Message, Reading};

/// A tree of tests, and the contents that it names by index.
pub(super) struct Criteria<'a> {
    pub test: Test<'a>,
    pub contents: Vec<Content<'a>>,
    /// Tests in the tree, 1 or more.
    pub keys: usize,
}

pub(super) enum Test<'a> {
    All,
    Nothing,
    Flag(Flags, bool),
    Recent(bool),
    Keyword(u64, bool),
    /// INTERNALDATE, in seconds of its own zone.
    Internal(Days),
    /// From the first size to below the second.
    Size(u64, u64),
    /// Sorted ranges of UIDs or of message numbers.
    Uids(&'a [imap::Range]),
    Numbers(&'a [imap::Range]),
    /// What is in the message.
    Content(usize),
    Not(Box<Test<'a>>),
    Any(Vec<Test<'a>>),
    Every(Vec<Test<'a>>),
}

/// From one moment or day, up to before another.
#[derive(Clone, Copy)]
pub(super) struct Days {
    pub from: i64,
    pub before: i64,
}

impl Days {
    fn contain(self, day: i64) -> bool {
        (self.from..self.before).contains(&day)
    }
}

/// What only the message itself can tell.
pub(super) enum Content<'a> {
    Text(Place<'a>, Box<Finder<'static>>),
    /// Field present, whatever its value.
    Field(&'a [u8]),
    /// The day in the Date field, whatever time and zone. A message without one matches nothing.
    Sent(Days),
}

/// Where a string may be.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Subject,
    From,
    Everything,
    Body,
    Field(&'a [u8]),
}

impl Test<'_> {
    /// Whether a message matches, as far as `known` says what is in it; `Err`: look at this content first.
    pub(super) fn matches(&self, seq: u32, entry: &Entry, known: &[Option<bool>]) -> Result<bool, usize> {
        let within = |ranges: &[imap::Range], number: u32| {
            let after = ranges.partition_point(|range| range.first <= number);
            after > 0 && number <= ranges[after - 1].last
        };
        Ok(match self {
            Test::All => true,
            Test::Nothing => false,
            Test::Flag(flag, set) => entry.flags.contains(*flag) == *set,
            Test::Recent(set) => entry.recent == *set,
            Test::Keyword(bit, set) => (entry.keywords & bit != 0) == *set,
            // The date in its own zone, the time of day disregarded.
            Test::Internal(days) => {
                let date = entry.internal_date;
                days.contain(date.seconds + i64::from(date.offset_minutes) * 60)
            }
            Test::Size(least, below) => (*least..*below).contains(&u64::from(entry.size)),
            Test::Uids(ranges) => within(ranges, entry.uid.0),
            Test::Numbers(ranges) => within(ranges, seq),
            Test::Content(content) => known[*content].ok_or(*content)?,
            Test::Not(test) => !test.matches(seq, entry, known)?,
            Test::Any(tests) => {
                for test in tests {
                    if test.matches(seq, entry, known)? {
                        return Ok(true);
                    }
                }
                false
            }
            Test::Every(tests) => {
                for test in tests {
                    if !test.matches(seq, entry, known)? {
                        return Ok(false);
                    }
                }
                true
            }
        })
    }
}

impl Content<'_> {
    /// What of a message it looks at.
    pub(super) fn reading(&self, message: &Message) -> Reading {
        match self {
            Content::Text(Place::Subject | Place::From, _) | Content::Sent(_) => Reading::Details,
            Content::Text(Place::Everything | Place::Body, _) => Reading::Text,
            Content::Text(Place::Field(_), _) | Content::Field(_) => Reading::Octets(header_range(message)),
        }
    }

    /// Whether the message has it.
    pub(super) fn matches(&self, message: &Message) -> Result<bool, Error> {
        Ok(match self {
            Content::Text(place, finder) => contains(message, *place, finder)?,
            Content::Field(name) => header::field(own_header(message)?, name).is_some(),
            Content::Sent(days) => mime::sent_date(message.envelope())
                .and_then(|sent| Date { year: sent.year, month: sent.month, day: sent.day }.days())
                .is_some_and(|day| days.contain(day.into())),
        })
    }
}

fn contains(message: &Message, place: Place<'_>, finder: &Finder<'_>) -> Result<bool, Error> {
    let is_in = |text: &str| finder.find(text.as_bytes()).is_some();
    Ok(match place {
        Place::Subject => is_in(message.subject()),
        Place::From => is_in(message.from()),
        Place::Everything => is_in(message.text()?),
        Place::Body => is_in(mime::body_text(message.text()?)),
        Place::Field(name) => header::fields(own_header(message)?)
            .filter(|field| field.is(name))
            .any(|field| is_in(&mime::fold_field(field.value))),
    })
}

fn own_header(message: &Message) -> Result<&[u8], Error> {
    message.octets(header_range(message))
}

fn header_range(message: &Message) -> Range<usize> {
    message.part(0).map_or(0..0, |root| root.header_start as usize..root.body_start as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ModSeq, Uid};

    #[test]
    fn contents_are_asked_for_in_order_and_only_where_they_decide() {
        let entry = Entry {
            uid: Uid(7),
            modseq: ModSeq(1),
            flags: Flags::SEEN,
            keywords: 2,
            recent: false,
            size: 100,
            internal_date: Default::default(),
        };
        let seen = |set| Test::Flag(Flags::SEEN, set);
        let matches = |test: &Test<'_>, known: &[Option<bool>]| test.matches(3, &entry, known);
        let every = Test::Every(vec![seen(false), Test::Content(0)]);
        assert_eq!(matches(&every, &[None]), Ok(false));
        let every = Test::Every(vec![seen(true), Test::Content(0), Test::Not(Box::new(Test::Content(1)))]);
        assert_eq!(matches(&every, &[None, None]), Err(0));
        assert_eq!(matches(&every, &[Some(false), None]), Ok(false));
        assert_eq!(matches(&every, &[Some(true), None]), Err(1));
        assert_eq!(matches(&every, &[Some(true), Some(false)]), Ok(true));
        let any = Test::Any(vec![Test::Content(0), seen(true), Test::Content(1)]);
        assert_eq!(matches(&any, &[None, None]), Err(0));
        assert_eq!(matches(&any, &[Some(false), None]), Ok(true));
        for (test, expected) in [
            (Test::Size(101, u64::MAX), false),
            (Test::Size(0, 100), false),
            (Test::Size(0, 101), true),
            (Test::Uids(&[imap::Range { first: 1, last: 6 }, imap::Range { first: 8, last: 9 }]), false),
            (Test::Numbers(&[imap::Range { first: 1, last: 3 }]), true),
            (Test::Keyword(2, true), true),
            (Test::Recent(false), true),
            (Test::Internal(Days { from: 0, before: 86_400 }), true),
        ] {
            assert_eq!(matches(&test, &[]), Ok(expected));
        }
    }
}
