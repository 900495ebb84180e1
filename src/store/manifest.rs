//! The manifest of an account: which sealed files it is made of, and up to which change.
//!
//! Invariant: it is replaced whole, after the files that it names are on the medium and before those that it no longer
//! names are removed. What the log has after [`Manifest::seq`] is still to be applied. FORMAT.md, "Manifest".

use super::types::{AccountId, Hash};

/// What is wrong with a manifest that is whole, and that a newer server wrote.
pub(super) const OTHER_VERSION: &str = "written in a format of another version";
const MAGIC: &[u8; 8] = b"RPMANIFE";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 40;

/// What an account is made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Manifest {
    /// The account's last change that is in the files.
    pub seq: u64,
    /// The highest UIDVALIDITY and mailbox id that were ever given out.
    pub uid_validity: u32,
    pub mailbox_id: u32,
    /// Sealed files, oldest first: name and bytes.
    pub files: Vec<(Hash, u64)>,
}

impl Manifest {
    pub(super) fn encode(&self, account: AccountId) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10..12].copy_from_slice(&account.partition().0.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.files.len() as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&account.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.seq.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.uid_validity.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.mailbox_id.to_le_bytes());
        for (name, length) in &self.files {
            bytes.extend_from_slice(&name.0);
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a manifest; what is wrong with it otherwise.
    pub(super) fn decode(bytes: &[u8], account: AccountId) -> Result<Manifest, &'static str> {
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let end = bytes.len().checked_sub(4).filter(|&end| end >= HEADER_BYTES).ok_or("too short")?;
        if bytes[0..8] != *MAGIC || crc32c::crc32c(&bytes[..end]) != short(end) {
            return Err("manifest checksum");
        }
        if bytes[8..10] != FORMAT.to_le_bytes() {
            return Err(OTHER_VERSION);
        }
        if long(16) != account.0 || end - HEADER_BYTES != short(12) as usize * ENTRY_BYTES {
            return Err("another account's manifest, or of another length");
        }
        let files = bytes[HEADER_BYTES..end].chunks_exact(ENTRY_BYTES).map(|entry| {
            let (name, length) = entry.split_at(32);
            let length = u64::from_le_bytes(length.try_into().expect("eight"));
            (Hash(name.try_into().expect("thirty-two")), length)
        });
        Ok(Manifest { seq: long(24), uid_validity: short(32), mailbox_id: short(36), files: files.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_come_back_and_damage_is_found() {
        let files = vec![(Hash::of(b"a"), 10), (Hash::of(b"b"), 20)];
        let manifest = Manifest { seq: 9, uid_validity: 4, mailbox_id: 2, files };
        let bytes = manifest.encode(AccountId(3));
        assert_eq!(Manifest::decode(&bytes, AccountId(3)), Ok(manifest));
        assert!(Manifest::decode(&bytes, AccountId(4)).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&bytes, AccountId(3)).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length], AccountId(3)).is_err(), "length {length}");
        }
    }
}
