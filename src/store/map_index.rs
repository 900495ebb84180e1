//! The index of a sealed file, read in place: columns of a million rows are neither copied nor gone through to open it.
//!
//! Invariants: every list was found to lie inside of the index, and every name to be UTF-8, when it was looked at; a page that is
//! lost later reads as zeros, and leads nowhere. So nothing outside is read and nothing panics, whatever the octets are; whether
//! they were the file's, [`super::map::Sealed::still_whole`] tells behind what was read.

use rkyv::primitive::{ArchivedI16, ArchivedI64, ArchivedU16, ArchivedU32, ArchivedU64};
use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;

use super::map_archive::{Kept, Zeroed};
use super::sealed::{
    ArchivedChanged, ArchivedGroup, ArchivedIndex, ArchivedMailboxMeta, ArchivedPlace, ArchivedVanished, MailboxMeta,
};

const _: () = assert!(size_of::<ArchivedIndex>() <= 256 && align_of::<ArchivedIndex>() <= 16);
// SAFETY: vectors without elements.
unsafe impl Zeroed for ArchivedIndex {}

/// Everything that a sealed file says but for the messages.
#[derive(Debug)]
pub(super) struct IndexOf<'a> {
    pub mailboxes: Vec<MailboxMeta>,
    pub groups: Vec<GroupOf<'a>>,
    pub places: &'a [ArchivedPlace],
}

/// One mailbox's part of a sealed file, columns of one length.
#[derive(Debug)]
pub(super) struct GroupOf<'a> {
    pub mailbox: u32,
    pub first: u32,
    pub uid: &'a [ArchivedU32],
    pub modseq: &'a [ArchivedU64],
    pub flags: &'a [ArchivedU16],
    pub keywords: &'a [ArchivedU64],
    pub size: &'a [ArchivedU32],
    pub date_seconds: &'a [ArchivedI64],
    pub date_offset: &'a [ArchivedI16],
    pub changed: &'a [ArchivedChanged],
    pub vanished: &'a [ArchivedVanished],
}

impl<'a> IndexOf<'a> {
    /// The index in `octets`; what is wrong with it otherwise.
    pub(super) fn of(octets: &'a [u8]) -> Result<IndexOf<'a>, &'static str> {
        const WRONG: &str = "the index is no archive";
        if octets.len() < size_of::<ArchivedIndex>() {
            return Err(WRONG);
        }
        // SAFETY: the root holds numbers alone, and what they lead to is looked at here before it is followed.
        let kept: Kept<'a, ArchivedIndex> = unsafe { Kept::of(octets) };
        let root = kept.root();
        let groups = list(&kept, &root.groups).ok_or(WRONG)?;
        let groups: Option<Vec<GroupOf<'a>>> = groups.iter().map(|group| GroupOf::of(&kept, group)).collect();
        let mailboxes = list(&kept, &root.mailboxes).ok_or(WRONG)?;
        let mailboxes: Option<Vec<MailboxMeta>> = mailboxes.iter().map(|meta| meta_of(&kept, meta)).collect();
        let index = IndexOf {
            mailboxes: mailboxes.ok_or(WRONG)?,
            groups: groups.ok_or(WRONG)?,
            places: list(&kept, &root.places).ok_or(WRONG)?,
        };
        let mut next = 0;
        for group in &index.groups {
            let count = group.uid.len();
            let columns = [group.modseq.len(), group.flags.len(), group.keywords.len(), group.size.len()];
            let dates = [group.date_seconds.len(), group.date_offset.len()];
            if columns.iter().chain(&dates).any(|&column| column != count) || group.first as usize != next {
                return Err("columns of different lengths");
            }
            next += count;
        }
        Ok(index)
    }

    /// Messages of all groups.
    pub(super) fn rows(&self) -> usize {
        self.groups.iter().map(|group| group.uid.len()).sum()
    }
}

impl<'a> GroupOf<'a> {
    fn of(kept: &Kept<'a, ArchivedIndex>, group: &'a ArchivedGroup) -> Option<GroupOf<'a>> {
        Some(GroupOf {
            mailbox: group.mailbox.to_native(),
            first: group.first.to_native(),
            uid: list(kept, &group.uid)?,
            modseq: list(kept, &group.modseq)?,
            flags: list(kept, &group.flags)?,
            keywords: list(kept, &group.keywords)?,
            size: list(kept, &group.size)?,
            date_seconds: list(kept, &group.date_seconds)?,
            date_offset: list(kept, &group.date_offset)?,
            changed: list(kept, &group.changed)?,
            vanished: list(kept, &group.vanished)?,
        })
    }
}

/// The elements of a list; `None` where they are not inside of the archive.
fn list<'a, E>(kept: &Kept<'a, ArchivedIndex>, vector: &'a ArchivedVec<E>) -> Option<&'a [E]> {
    let elements = kept.slice(vector);
    (elements.len() == vector.len()).then_some(elements)
}

fn meta_of<'a>(kept: &Kept<'a, ArchivedIndex>, meta: &'a ArchivedMailboxMeta) -> Option<MailboxMeta> {
    let text = |string: &'a ArchivedString| {
        let text = kept.text(string);
        let whole = text.len() == string.len();
        String::from_utf8(text.as_bytes().to_vec()).ok().filter(|_| whole)
    };
    // SAFETY: an octet of the archive, whatever it is: it may be another one than a `bool` is made of.
    let is_set = |flag: *const bool| unsafe { flag.cast::<u8>().read() } != 0;
    Some(MailboxMeta {
        id: meta.id.to_native(),
        name: text(&meta.name)?,
        uid_validity: meta.uid_validity.to_native(),
        uid_next: meta.uid_next.to_native(),
        special_use: meta.special_use,
        subscribed: is_set(&raw const meta.subscribed),
        deleted: is_set(&raw const meta.deleted),
        keywords: list(kept, &meta.keywords)?.iter().map(text).collect::<Option<_>>()?,
        highest_modseq: meta.highest_modseq.to_native(),
        recent_from: meta.recent_from.to_native(),
    })
}

#[cfg(test)]
mod tests {
    use rkyv::rancor::Error as RkyvError;
    use rkyv::util::AlignedVec;

    use super::super::sealed::{Changed, Group, Index, Place, Vanished};
    use super::*;

    fn archive() -> AlignedVec {
        let meta = |id, name: &str| MailboxMeta {
            id,
            name: name.to_owned(),
            uid_validity: 7,
            uid_next: 9,
            special_use: 1,
            subscribed: true,
            deleted: false,
            keywords: vec!["$Work".to_owned(), "a keyword that lies apart".to_owned()],
            highest_modseq: 11,
            recent_from: 2,
        };
        let group = |mailbox, first, rows: u32| Group {
            mailbox,
            first,
            uid: (1..=rows).collect(),
            modseq: vec![3; rows as usize],
            flags: vec![1; rows as usize],
            keywords: vec![2; rows as usize],
            size: vec![300; rows as usize],
            date_seconds: vec![-5; rows as usize],
            date_offset: vec![-60; rows as usize],
            changed: vec![Changed { uid: 1, flags: 2, keywords: 3, modseq: 4 }],
            vanished: vec![Vanished { uid: 5, modseq: 6 }; 3],
        };
        let index = Index {
            mailboxes: vec![meta(1, "INBOX"), meta(2, "a name that lies apart")],
            groups: vec![group(1, 0, 3), group(2, 3, 2)],
            places: vec![Place::default(); 5],
        };
        rkyv::to_bytes::<RkyvError>(&index).unwrap()
    }

    /// All that an index says.
    fn read(octets: &[u8]) -> Result<String, &'static str> {
        IndexOf::of(octets).map(|index| format!("{index:?}"))
    }

    #[test]
    fn an_index_is_read_where_it_lies() {
        let whole = archive();
        let index = IndexOf::of(&whole).unwrap();
        assert_eq!((index.rows(), index.places.len(), index.groups.len()), (5, 5, 2));
        assert_eq!(index.mailboxes[1].name, "a name that lies apart");
        assert_eq!(index.mailboxes[0].keywords, ["$Work", "a keyword that lies apart"]);
        assert!(index.mailboxes[0].subscribed && !index.mailboxes[0].deleted);
        let group = &index.groups[1];
        assert_eq!((group.mailbox, group.first, group.uid[1].to_native()), (2, 3, 2));
        assert_eq!((group.date_seconds[0].to_native(), group.date_offset[0].to_native()), (-5, -60));
        assert_eq!((group.changed[0].modseq.to_native(), group.vanished[2].uid.to_native()), (4, 5));
    }

    /// Whatever becomes of the octets: nothing outside is read, and nothing panics.
    #[test]
    fn damage_leads_nowhere() {
        let whole = archive();
        let before = read(&whole).unwrap();
        let (mut refused, mut same) = (0, 0);
        for bit in 0..whole.len() * 8 {
            let mut bent = whole.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            match read(&bent) {
                Err(_) => refused += 1,
                Ok(after) => same += usize::from(after == before),
            }
        }
        assert!(refused > 500 && same > 0, "{refused} refused, {same} the same");
        for start in (0..whole.len()).step_by(4) {
            let mut torn = whole.clone();
            torn[start..].fill(0);
            let _ = read(&torn);
            let mut cut = AlignedVec::<16>::new();
            cut.extend_from_slice(&whole[start..]);
            let _ = read(&cut);
        }
    }
}
