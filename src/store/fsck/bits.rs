//! Single wrong bits: where one is, from what a checksum says.
//!
//! CRC32C tells apart all single wrong bits of up to 2^31 bits, and never takes two or three for one (Koopman, 32-Bit Cyclic
//! Redundancy Codes for Internet Applications, 2002): so a bit that fits is the one, or four and more are wrong, which fits
//! for one block of 64 KiB in 8,000. Whoever believes it needs more proof: a file's name is the SHA-256 of its bytes.

/// Castagnoli's polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Which bit is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flip {
    /// That one of the byte there.
    Data { at: usize, mask: u8 },
    /// One of the checksum: the data is right.
    Checksum,
}

/// The one bit of `bytes` octets that makes their checksum `found` instead of `stored`; `None`: there is none, or no need.
pub(super) fn flip(bytes: usize, found: u32, stored: u32) -> Option<Flip> {
    let difference = found ^ stored;
    if difference == 0 {
        return None;
    }
    if difference.is_power_of_two() {
        return Some(Flip::Checksum);
    }
    // What a wrong bit of the last octet makes of the checksum, then of the octet before it, and so on.
    let mut bits: [u32; 8] = std::array::from_fn(|bit| TABLE[1 << bit]);
    for at in (0..bytes).rev() {
        if let Some(bit) = bits.iter().position(|&made| made == difference) {
            return Some(Flip::Data { at, mask: 1 << bit });
        }
        bits = bits.map(|crc| TABLE[(crc & 0xff) as usize] ^ crc >> 8);
    }
    None
}

/// Puts the one wrong bit of `bytes` right; false: it is not one.
pub(super) fn correct(bytes: &mut [u8], stored: u32) -> bool {
    match flip(bytes.len(), crc32c::crc32c(bytes), stored) {
        Some(Flip::Data { at, mask }) => {
            bytes[at] ^= mask;
            true
        }
        Some(Flip::Checksum) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_is_found() {
        let bytes: Vec<u8> = (0..600u32).map(|index| (index * 7) as u8).collect();
        let crc = crc32c::crc32c(&bytes);
        assert_eq!(flip(bytes.len(), crc, crc), None);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(correct(&mut wrong, crc), "bit {bit}");
            assert_eq!(wrong, bytes);
        }
        for bit in 0..32 {
            assert_eq!(flip(bytes.len(), crc, crc ^ 1 << bit), Some(Flip::Checksum));
        }
        let mut wrong = bytes.clone();
        (wrong[3], wrong[500]) = (!wrong[3], 0);
        assert!(!correct(&mut wrong, crc));
    }
}
