//! The base subject, by which messages are sorted and threaded. RFC 5256 §2.1.
//!
//! Takes a decoded, unfolded and folded (lower case) subject. Works inwards from both ends, each octet looked at a bounded
//! number of times: a run of blobs is read once, whatever follows it.

/// The base subject of `subject`; it may be empty.
pub(super) fn base(subject: &str) -> String {
    // (1): all continuations and tabs are spaces, and runs of them one.
    let spaced = subject.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut rest = spaced.as_str();
    loop {
        rest = without_trailers(rest);
        rest = without_leaders(rest);
        // (6) subj-fwd = subj-fwd-hdr subject subj-fwd-trl
        match rest.strip_prefix("[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => rest = inner,
            None => return rest.to_owned(),
        }
    }
}

/// (2) `subj-trailer = "(fwd)" / WSP`
fn without_trailers(mut text: &str) -> &str {
    loop {
        text = text.trim_end_matches(' ');
        match text.strip_suffix("(fwd)") {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

/// (3) to (5): `subj-leader = (*subj-blob subj-refwd) / WSP`, and blobs before a base that isn't empty.
fn without_leaders(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(' ');
        let (mut after, mut last) = (text, text);
        while let Some(rest) = without_blob(after) {
            last = after;
            after = rest;
        }
        if let Some(rest) = without_refwd(after) {
            text = rest;
        } else {
            // (4) takes the blobs one by one, as long as something stays.
            return if after.is_empty() { last } else { after };
        }
    }
}

/// ```text
/// subj-blob = "[" *BLOBCHAR "]" *WSP
/// BLOBCHAR  = %x01-5a / %x5c / %x5e-ff      ; any CHAR8 except '[' and ']'
/// ```
fn without_blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    inside[end..].strip_prefix(']').map(|rest| rest.trim_start_matches(' '))
}

/// ```text
/// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
/// ```
fn without_refwd(text: &str) -> Option<&str> {
    let word = ["re", "fwd", "fw"].iter().find_map(|word| text.strip_prefix(word))?;
    let word = word.trim_start_matches(' ');
    without_blob(word).unwrap_or(word).strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn bases() {
        let known = [
            ("hello", "hello"),
            ("re: hello", "hello"),
            ("re: fwd: re : hello (fwd) (fwd) ", "hello"),
            ("fw: fw[2]: hello", "hello"),
            ("re[3]: hello", "hello"),
            ("[list] re: [list] hello", "hello"),
            ("[a] [b]re: [c][d] hello", "hello"),
            ("[fwd: re: hello]", "hello"),
            ("[fwd: [fwd: [x] hello (fwd)] ]", "hello"),
            ("[only]", "[only]"),
            ("[a] [b]", "[b]"),
            ("re:", ""),
            ("re: [a]", "[a]"),
            ("reply: x", "reply: x"),
            ("a \t\r\n  b", "a b"),
            ("[unclosed x", "[unclosed x"),
            ("[a[b] x", "[a[b] x"),
            ("", ""),
        ];
        for (subject, expected) in known {
            assert_eq!(base(subject), expected, "{subject}");
        }
    }
}
