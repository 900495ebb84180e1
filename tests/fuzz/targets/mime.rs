//! Any octets are a message: its parts lie within each other and within it, every part can be addressed, and ENVELOPE
//! and BODYSTRUCTURE are what RFC 3501 says, by the reader that the tests have, not the server's own.
#![no_main]

#[path = "../../support/structure.rs"]
#[allow(dead_code)]
mod structure;

use libfuzzer_sys::fuzz_target;
use ringpost::mime::{self, Content, Kind};

fuzz_target!(|raw: &[u8]| {
    let found = mime::structure(raw);
    let parts = found.parts.as_slice();
    assert!(!parts.is_empty() && parts[0].parent == 0 && parts[0].header_start == 0);
    for (index, part) in parts.iter().enumerate() {
        assert!(part.header_start <= part.body_start && part.body_start <= part.end && part.end as usize <= raw.len());
        if index > 0 {
            let parent = &parts[part.parent as usize];
            assert!((part.parent as usize) < index && parent.kind != Kind::Leaf, "a part in a leaf");
            assert!(parent.body_start <= part.header_start && part.end <= parent.end, "a part outside of its parent");
        }
    }
    let valid = |octets: &[u8]| structure::parse(octets).unwrap_or_else(|error| panic!("{error}: {}", octets.escape_ascii()));
    structure::check_envelope(&valid(&found.envelope)).expect("ENVELOPE");
    let told = structure::check_bodystructure(&valid(&found.bodystructure)).expect("BODYSTRUCTURE");
    for part in &told {
        let path: Vec<u32> = part.section.split('.').map(|number| number.parse().expect("a number")).collect();
        let range = mime::range(parts, &path, Content::Body).expect("a part that BODYSTRUCTURE tells of");
        assert!(range.start <= range.end && range.end <= raw.len());
        assert!(part.octets.is_none_or(|octets| octets == range.len() as u64), "{} octets at {range:?}", part.section);
        assert!(mime::range(parts, &path, Content::Mime).is_some());
    }
    let _ = valid(&mime::body(raw, &found));
    assert!(mime::range(parts, &[], Content::Header).is_some() && mime::range(parts, &[], Content::Text).is_some());
});
