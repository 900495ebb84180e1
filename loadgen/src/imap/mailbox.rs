//! What the server said of the selected mailbox, and the contradictions in it. RFC 9051 §7.4 and §7.5, §2.3.1.
//!
//! Invariants it checks: EXISTS never shrinks (only EXPUNGE does that); message numbers are within EXISTS; a
//! message's UID never changes; UIDs ascend with message numbers; UIDVALIDITY stays; UIDNEXT, HIGHESTMODSEQ and a message's
//! MODSEQ never fall (RFC 7162 §3.1).

use std::collections::HashMap;

use super::parse::Code;
use crate::limits::UIDS_MAX;

/// The client's view of the selected mailbox.
#[derive(Debug, Default)]
pub struct Mailbox {
    exists: Option<u32>,
    flags_seen: bool,
    validity: Option<u32>,
    /// UIDNEXT and HIGHESTMODSEQ as they were last told.
    uid_next: u32,
    highest_modseq: u64,
    /// The MODSEQ of each UID that one was told of.
    modseqs: HashMap<u32, u64>,
    /// The UID of each message number, 0 where it was not told; empty until a UID was told, and in large mailboxes.
    uids: Vec<u32>,
}

impl Mailbox {
    /// Messages in the mailbox as far as told.
    pub fn exists(&self) -> u32 {
        self.exists.unwrap_or(0)
    }

    /// UIDVALIDITY, 0 where it was not told.
    pub fn validity(&self) -> u32 {
        self.validity.unwrap_or(0)
    }

    /// The UID of message `number`, where it was told.
    pub fn uid(&self, number: u32) -> Option<u32> {
        self.uids.get(number as usize - 1).copied().filter(|uid| *uid != 0)
    }

    /// What SELECT must have said before its OK: FLAGS, EXISTS and UIDVALIDITY. RFC 9051 §6.3.2.
    pub fn selected(&self) -> Result<(), String> {
        for (said, what) in
            [(self.exists.is_some(), "EXISTS"), (self.flags_seen, "FLAGS"), (self.validity.is_some(), "[UIDVALIDITY]")]
        {
            if !said {
                return Err(format!("SELECT was answered without {what}"));
            }
        }
        Ok(())
    }

    /// `* FLAGS`
    pub fn flags(&mut self) {
        self.flags_seen = true;
    }

    /// A response code of an untagged OK.
    pub fn code(&mut self, code: &Code<'_>) -> Result<(), String> {
        match code {
            Code::UidNext(next) => return grows("UIDNEXT", &mut self.uid_next, *next),
            Code::HighestModSeq(modseq) => return grows("HIGHESTMODSEQ", &mut self.highest_modseq, *modseq),
            _ => {}
        }
        if let Code::UidValidity(validity) = code {
            if self.validity.is_some_and(|known| known != *validity) {
                return Err(format!(
                    "UIDVALIDITY changed from {} to {validity} while the mailbox is selected",
                    self.validity()
                ));
            }
            self.validity = Some(*validity);
        }
        Ok(())
    }

    /// `* n EXISTS`
    pub fn told_exists(&mut self, count: u32) -> Result<(), String> {
        if self.exists() > count {
            return Err(format!("EXISTS shrank from {} to {count} without EXPUNGE", self.exists()));
        }
        self.exists = Some(count);
        Ok(())
    }

    /// `* n EXPUNGE`
    pub fn told_expunge(&mut self, number: u32) -> Result<(), String> {
        self.within("EXPUNGE", number)?;
        self.exists = Some(self.exists() - 1);
        if (number as usize) <= self.uids.len() {
            self.uids.remove(number as usize - 1);
        }
        Ok(())
    }

    /// `* n FETCH (… UID uid …)`
    pub fn told_fetch(&mut self, number: u32, uid: Option<u32>) -> Result<(), String> {
        self.within("FETCH", number)?;
        let Some(uid) = uid else { return Ok(()) };
        let at = number as usize - 1;
        if self.exists() as usize > UIDS_MAX {
            self.uids = Vec::new();
            return Ok(());
        }
        if self.uids.len() <= at {
            self.uids.resize(at + 1, 0);
        }
        let known = self.uids[at];
        if known != 0 && known != uid {
            return Err(format!("message {number} had UID {known} and now has {uid}"));
        }
        let below = self.uids[..at].last().copied().unwrap_or(0);
        let above = self.uids.get(at + 1).copied().unwrap_or(0);
        if below >= uid || (above != 0 && above <= uid) {
            return Err(format!(
                "message {number} has UID {uid}, but its neighbours have {below} and {above}: UIDs must ascend"
            ));
        }
        self.uids[at] = uid;
        Ok(())
    }

    /// `* n FETCH (… MODSEQ (modseq))`: RFC 7162 §3.1: a change gives a message a greater one than it had.
    pub fn told_modseq(&mut self, number: u32, modseq: u64) -> Result<(), String> {
        let Some(uid) = self.uid(number) else { return Ok(()) };
        if self.modseqs.len() >= UIDS_MAX {
            self.modseqs.clear();
        }
        grows(&format!("MODSEQ of UID {uid}"), self.modseqs.entry(uid).or_default(), modseq)
    }

    /// The mailbox is selected once more: what holds beyond a session is kept.
    pub fn selected_again(self) -> Mailbox {
        let Mailbox { validity, uid_next, highest_modseq, modseqs, .. } = self;
        Mailbox { validity, uid_next, highest_modseq, modseqs, ..Mailbox::default() }
    }

    /// A number among the results of SEARCH, 0 where there is none.
    pub fn told_found(&self, number: u32) -> Result<(), String> {
        if number == 0 { Ok(()) } else { self.within("a SEARCH result", number) }
    }

    fn within(&self, what: &str, number: u32) -> Result<(), String> {
        if number <= self.exists() {
            return Ok(());
        }
        Err(format!("{what} of message {number}, but the mailbox has {}", self.exists()))
    }
}

fn grows<T: PartialOrd + Copy + std::fmt::Display>(what: &str, known: &mut T, told: T) -> Result<(), String> {
    if told < *known {
        return Err(format!("{what} was {known} and now is {told}"));
    }
    *known = told;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> Mailbox {
        let mut mailbox = Mailbox::default();
        mailbox.told_exists(10).expect("the first");
        mailbox
    }

    #[test]
    fn exists_shrinks_only_by_expunge() {
        let mut mailbox = ten();
        assert!(mailbox.told_exists(9).is_err());
        assert!(mailbox.told_expunge(11).is_err());
        assert_eq!(mailbox.told_expunge(10), Ok(()));
        assert_eq!(mailbox.told_exists(9), Ok(()));
        assert!(mailbox.told_fetch(10, None).is_err());
        assert!(mailbox.told_exists(8).is_err());
    }

    #[test]
    fn uids_ascend_and_stay() {
        let mut mailbox = ten();
        assert_eq!(mailbox.told_fetch(5, Some(50)), Ok(()));
        assert_eq!(mailbox.told_fetch(6, Some(60)), Ok(()));
        assert_eq!(mailbox.told_fetch(5, Some(50)), Ok(()));
        assert!(mailbox.told_fetch(5, Some(51)).is_err());
        assert!(mailbox.told_fetch(7, Some(60)).is_err());
        assert!(mailbox.told_fetch(4, Some(50)).is_err());
        assert_eq!(mailbox.told_expunge(5), Ok(()));
        assert_eq!(mailbox.uid(5), Some(60), "message 6 is message 5 now");
        assert!(mailbox.told_fetch(6, Some(60)).is_err());
    }

    #[test]
    fn select_needs_its_data() {
        let mut mailbox = ten();
        assert!(mailbox.selected().unwrap_err().contains("FLAGS"));
        mailbox.flags();
        assert!(mailbox.selected().unwrap_err().contains("UIDVALIDITY"));
        mailbox.code(&Code::UidValidity(3)).expect("the first");
        assert_eq!(mailbox.selected(), Ok(()));
        assert!(mailbox.code(&Code::UidValidity(4)).is_err());
    }
}
