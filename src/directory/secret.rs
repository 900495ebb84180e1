//! A password on its way through the server.
//!
//! Invariant: its octets are overwritten when it is dropped, and no `Debug` or `Display` shows them. It is never cloned.
//! It doesn't lock its page into memory: swap and core dumps are the administrator's (the unit file turns both off).

use std::fmt;

/// Octets that are wiped when they are dropped.
#[derive(PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes `octets` over; nothing is copied.
    pub fn new(octets: Vec<u8>) -> Secret {
        Secret(octets)
    }

    /// The octets themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The octets as text, where they are UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text.into_bytes())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(…)")
    }
}

/// Overwrites all of `octets`, spare capacity included, and leaves it empty.
pub fn wipe(octets: &mut Vec<u8>) {
    // Up to the capacity: an earlier, longer value may still stand behind the end. It never reallocates.
    octets.resize(octets.capacity(), 0);
    octets.fill(0);
    // Whoever may look at the octets now keeps the compiler from leaving the writes out.
    std::hint::black_box(octets.as_mut_slice());
    octets.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiping_overwrites_what_stands_behind_the_end() {
        let mut octets = b"correct horse".to_vec();
        octets.truncate(3);
        wipe(&mut octets);
        assert!(octets.is_empty());
        octets.resize(octets.capacity(), 1);
        assert!(!octets.windows(5).any(|window| window == b"horse"));
    }

    #[test]
    fn debug_hides_the_octets() {
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_string())), "Secret(…)");
    }
}
