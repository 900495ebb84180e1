//! Archives in mapped files, read in place although a page of them may have become zeros since they were validated.
//!
//! Invariant: octets of such an archive are those that were validated, or zeros. Numbers, flags and kinds are fine as either;
//! what leads somewhere is asked where it leads now, and leads nowhere if that is not inside of the archive. So nothing outside
//! is read, and nothing panics; whether it was the truth, the map's mark tells behind it. Text may be cut within a character
//! then: it is searched and copied by octets, never walked through by characters.

use std::mem::{align_of, size_of};
use std::ops::Deref;

use rkyv::string::ArchivedString;
use rkyv::vec::ArchivedVec;
use rkyv::{Archive, Portable};

use super::map::Encoded;
use super::record::{ArchivedDetails, ArchivedRecord};

/// What a lost archive reads as.
#[repr(align(16))]
struct Zeros([u8; ZERO_BYTES]);

const ZERO_BYTES: usize = 256;
static ZEROS: Zeros = Zeros([0; ZERO_BYTES]);

/// An archive of which all zeros are a value: nothing in it must be anything but zero.
///
/// # Safety
/// The implementer has such a type, of at most [`ZERO_BYTES`], aligned to at most 16.
pub(super) unsafe trait Zeroed: Portable + Sized + 'static {
    /// One of zeros.
    fn zeros() -> &'static Self {
        // SAFETY: the implementer's word.
        unsafe { &*ZEROS.0.as_ptr().cast::<Self>() }
    }
}

const _: () = assert!(size_of::<ArchivedRecord>() <= ZERO_BYTES && align_of::<ArchivedRecord>() <= 16);
const _: () = assert!(size_of::<ArchivedDetails>() <= ZERO_BYTES && align_of::<ArchivedDetails>() <= 16);

// SAFETY: numbers, and an option whose zero is `None`.
unsafe impl Zeroed for ArchivedRecord {}
// SAFETY: vectors without elements, strings of eight NULs, and an option whose zero is `None`.
unsafe impl Zeroed for ArchivedDetails {}

/// A validated archive where it lies.
#[derive(Debug)]
pub(super) struct Kept<'a, T> {
    octets: &'a [u8],
    root: &'a T,
}

impl<'a, T: Zeroed> Kept<'a, T> {
    /// The archive in `octets`.
    ///
    /// # Safety
    /// These octets were validated as an archive of `T`; some may be zeros since, or all of them be missing.
    pub(super) unsafe fn of(octets: &'a [u8]) -> Kept<'a, T> {
        let root = octets.len().checked_sub(size_of::<T>()).map(|start| octets[start..].as_ptr().cast::<T>());
        match root.filter(|root| root.is_aligned()) {
            // SAFETY: it is inside of the octets and aligned, and what it holds is valid: the caller's word, and `Zeroed`.
            Some(root) => Kept { octets, root: unsafe { &*root } },
            None => Kept::lost(),
        }
    }

    /// One that can't be read.
    pub(super) fn lost() -> Kept<'a, T> {
        Kept { octets: &[], root: T::zeros() }
    }
}

impl<'a, T> Kept<'a, T> {
    /// One in memory.
    pub(super) fn whole<A: Archive<Archived = T>>(archive: &'a Encoded<A>) -> Kept<'a, T>
    where
        T: Portable,
    {
        Kept { octets: archive.bytes(), root: archive }
    }

    /// The archive's root, which holds numbers and what leads to more.
    pub(super) fn root(&self) -> &'a T {
        self.root
    }

    /// The elements of one of its vectors.
    pub(super) fn slice<E>(&self, vector: &'a ArchivedVec<E>) -> &'a [E] {
        let (first, count) = (vector.as_ptr(), vector.len());
        // What leads to itself has lost the page that said where.
        let is_lost = first.addr() == std::ptr::from_ref(vector).addr();
        if count == 0
            || is_lost
            || !first.is_aligned()
            || !self.holds(first.cast(), count.saturating_mul(size_of::<E>()))
        {
            return &[];
        }
        // SAFETY: the elements are inside of the archive, which lives as long, and aligned; each is what was validated or
        // has zeros in it, which all that archives hold may have.
        unsafe { std::slice::from_raw_parts(first, count) }
    }

    /// One of its strings.
    pub(super) fn text(&self, string: &'a ArchivedString) -> &'a str {
        let text = string.as_str();
        if self.holds(text.as_ptr(), text.len()) { text } else { "" }
    }

    fn holds(&self, start: *const u8, bytes: usize) -> bool {
        let from = start.addr().wrapping_sub(self.octets.as_ptr().addr());
        from.checked_add(bytes).is_some_and(|end| end <= self.octets.len())
    }
}

impl<T> Deref for Kept<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.root
    }
}

#[cfg(test)]
mod tests {
    use rkyv::util::AlignedVec;

    use super::*;
    use crate::mime;
    use crate::store::record::Details;

    fn details() -> AlignedVec {
        let raw = b"Subject: a subject that lies apart\r\nFrom: somebody@example.org\r\nReferences: <one@example.org> \
            <two@example.org>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
        Details::of(&mime::structure(raw)).encode().unwrap()
    }

    /// All that a message tells of its details, by octets.
    fn read(kept: &Kept<'_, ArchivedDetails>) -> Vec<Vec<u8>> {
        let root = kept.root();
        let mut read: Vec<Vec<u8>> = [&root.subject, &root.from, &root.base_subject]
            .into_iter()
            .chain(root.message_id.as_ref())
            .chain(kept.slice(&root.references))
            .map(|text| kept.text(text).as_bytes().to_vec())
            .collect();
        read.extend([&root.envelope, &root.bodystructure].map(|ready| kept.slice(ready).to_vec()));
        read.extend(kept.slice(&root.parts).iter().map(|part| format!("{:?}", mime::Part::from(part)).into_bytes()));
        read
    }

    /// Any stretch of zeros that begins and ends where a page may, at numbers of four octets: nothing outside is read.
    #[test]
    fn zeros_lead_nowhere() {
        let whole = details();
        // SAFETY: just encoded.
        let before = read(&unsafe { Kept::of(&whole) });
        assert!(before.len() >= 9, "{}", before.len());
        let mut same = 0;
        for start in (0..whole.len()).step_by(4) {
            for end in (start..whole.len() + 4).step_by(4) {
                let mut torn = whole.clone();
                let end = end.min(whole.len());
                torn[start..end].fill(0);
                // SAFETY: encoded, but for zeros.
                let after = read(&unsafe { Kept::of(&torn) });
                same += usize::from(after == before);
                let (longest, octets) = (after.iter().map(Vec::len).max().unwrap_or(0), torn.len());
                assert!(longest <= octets, "{start}..{end}: {longest} of {octets}");
            }
        }
        assert!(same > 0, "no zeros are none");
    }

    #[test]
    fn what_is_missing_is_empty() {
        // SAFETY: nothing is there.
        let missing: Kept<'_, ArchivedDetails> = unsafe { Kept::of(&[]) };
        assert!(read(&missing).iter().all(Vec::is_empty));
        let record: Kept<'_, ArchivedRecord> = Kept::lost();
        assert_eq!((record.size.to_native(), record.delivery.is_none()), (0, true));
    }
}
