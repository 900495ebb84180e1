//! LIST and LSUB (RFC 3501 §6.3.8, §6.3.9) with LIST-EXTENDED (RFC 5258), CHILDREN (RFC 3348), SPECIAL-USE (RFC 6154)
//! and LIST-STATUS (RFC 5819).
//!
//! LSUB is LIST of the subscribed names, with `\Noselect` where LIST has CHILDINFO. A plain LIST tells of children and
//! special uses too; an extended one of what was asked for. Others run meanwhile, but while the names are sorted and their
//! children found: a step or two for each.

use std::io;

use super::names::{self, Gaps, Name};
use super::{Dialogue, special_use, status};
use crate::limits::{BREATH_NAMES, LIST_PATTERN_BYTES_MAX, MAILBOX_NAME_BYTES_MAX};
use crate::net::Arena;
use crate::proto::imap::{List, ListReturn, ListSelect, Pattern, Tagged, respond};
use crate::store::{Mailbox, SpecialUse};

/// What is asked, and how it is told.
struct Query<'a> {
    patterns: &'a [Pattern<'a>],
    select: ListSelect,
    returns: ListReturn<'a>,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    List,
    Extended,
    Lsub,
}

impl Dialogue {
    pub(super) async fn list(&mut self, tagged: &Tagged<'_>, list: List<'_>, arena: &Arena) -> io::Result<()> {
        // One that is longer than names with wildcards between their characters has tables no larger.
        let length = |pattern: &&str| (pattern.len() + list.reference.len()).min(2 * MAILBOX_NAME_BYTES_MAX);
        let octets: usize = list.patterns.iter().map(length).sum();
        if octets > LIST_PATTERN_BYTES_MAX {
            self.answer(tagged.tag, "NO [LIMIT] The patterns are too long together");
            return Ok(());
        }
        if !list.extended && list.patterns == [""] {
            // RFC 3501 §6.3.8: an empty pattern asks for the separator and the root of the reference.
            self.put("* LIST (\\Noselect) \"/\" \"\"\r\n");
            return self.conclude(tagged, Ok(())).await;
        }
        // RFC 5258 §3: in an extended LIST an empty pattern is passed over.
        let wanted = list.patterns.iter().filter(|pattern| !pattern.is_empty());
        let patterns = wanted.map(|pattern| Pattern::new(arena, list.reference, pattern));
        let mut query = Query {
            patterns: arena.alloc_slice_fill_iter(patterns.collect::<Vec<_>>()),
            select: list.select,
            returns: list.returns,
            style: if list.extended { Style::Extended } else { Style::List },
        };
        if !list.extended {
            // RFC 3348 §3, RFC 6154 §2: a plain LIST may tell of both.
            (query.returns.children, query.returns.special_use) = (true, true);
        }
        self.tell_names(tagged, &query).await
    }

    /// `what`: the reference and the pattern.
    pub(super) async fn lsub(&mut self, tagged: &Tagged<'_>, what: (&str, &str), arena: &Arena) -> io::Result<()> {
        let (reference, pattern) = what;
        let patterns = arena.alloc([Pattern::new(arena, reference, pattern)]);
        // RFC 3501 §6.3.9: `%` shows what lies above subscribed names, flagged \Noselect.
        let recursive_match = pattern.contains('%') || reference.contains('%');
        let select = ListSelect { subscribed: true, recursive_match, special_use: false };
        let query = Query { patterns, select, returns: ListReturn::default(), style: Style::Lsub };
        self.tell_names(tagged, &query).await
    }

    async fn tell_names(&mut self, tagged: &Tagged<'_>, query: &Query<'_>) -> io::Result<()> {
        let mut names = match self.account().await {
            Ok(account) => names::all(&account),
            Err(text) => {
                return self.conclude(tagged, Err(text)).await;
            }
        };
        for some in names.chunks_mut((BREATH_NAMES / query.patterns.len().max(1)).max(1)) {
            for name in some {
                name.matched = query.patterns.iter().any(|pattern| pattern.matches(&name.name));
            }
            self.wire.breathe().await?;
        }
        names::survey(&mut names, |name| (name.matched, query.selects(name)));
        let mut gaps = Gaps::default();
        for (at, name) in names.iter().map(Some).chain([None]).enumerate() {
            // Names above others that are none themselves: only a subscription can have them.
            while let Some((below, end, hides)) = gaps.next(name.map(|name| &*name.name)) {
                query.write_gap(self.wire.output(), &below[..end], hides);
                self.wire.breathe().await?;
            }
            let Some(name) = name else { break };
            gaps.enter(name);
            let told = query.write(self.wire.output(), name);
            if told || at % BREATH_NAMES == 0 {
                self.wire.breathe().await?;
            }
        }
        self.conclude(tagged, Ok(())).await
    }
}

impl Query<'_> {
    /// RFC 5258 §3: a name must meet every criterion; one without a mailbox is listed as a subscription alone.
    fn selects(&self, name: &Name) -> bool {
        (if self.select.subscribed { name.subscribed } else { name.mailbox.is_some() })
            && (!self.select.special_use || special_use_of(name) != SpecialUse::None)
    }

    /// Writes what there is to tell of a name; false: nothing.
    fn write(&self, out: &mut Vec<u8>, name: &Name) -> bool {
        // RFC 5258 §3.5: a name for the sake of those below it alone, if they are not all told themselves.
        let for_children = self.select.recursive_match && name.hidden_below;
        if !(name.matched && (name.selected || for_children)) {
            return false;
        }
        if self.style == Style::Lsub {
            out.extend_from_slice(if name.selected { b"* LSUB () \"/\" " } else { b"* LSUB (\\Noselect) \"/\" " });
            respond::mailbox(out, &name.name);
            out.extend_from_slice(b"\r\n");
            return true;
        }
        self.write_list(out, name);
        if let Some(mailbox) = selectable(name)
            && name.selected
            && !self.returns.status.is_empty()
        {
            status::write(out, mailbox, self.returns.status);
        }
        true
    }

    fn write_list(&self, out: &mut Vec<u8>, name: &Name) {
        out.extend_from_slice(b"* LIST (");
        let start = out.len();
        let mut flag = |flag: &str| {
            out.extend_from_slice(flag.as_bytes());
            out.push(b' ');
        };
        if selectable(name).is_none() {
            // RFC 5258 §3: \NonExistent implies \Noselect, which older clients know.
            if self.style == Style::Extended {
                flag("\\NonExistent");
            }
            flag("\\Noselect");
        }
        if self.returns.subscribed && name.subscribed {
            flag("\\Subscribed");
        }
        if self.returns.children {
            flag(if name.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
        }
        if self.returns.special_use
            && let Some(attribute) = special_use::attribute(special_use_of(name))
        {
            flag(attribute);
        }
        if out.len() > start {
            out.pop();
        }
        out.extend_from_slice(b") \"/\" ");
        respond::mailbox(out, &name.name);
        if self.select.recursive_match && name.selected_below {
            out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a name that is above subscribed ones and is none itself.
    fn write_gap(&self, out: &mut Vec<u8>, name: &str, hides: bool) {
        if !self.select.recursive_match || !hides || !self.patterns.iter().any(|pattern| pattern.matches(name)) {
            return;
        }
        let (head, tail): (&[u8], &[u8]) = match (self.style, self.returns.children) {
            (Style::Lsub, _) => (b"* LSUB (\\Noselect) \"/\" ", b""),
            (_, false) => (b"* LIST (\\NonExistent \\Noselect) \"/\" ", b" (\"CHILDINFO\" (\"SUBSCRIBED\"))"),
            // RFC 5258 §5, example 10: what is subscribed there need not be a mailbox.
            (_, true) => {
                (b"* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" ", b" (\"CHILDINFO\" (\"SUBSCRIBED\"))")
            }
        };
        out.extend_from_slice(head);
        respond::mailbox(out, name);
        out.extend_from_slice(tail);
        out.extend_from_slice(b"\r\n");
    }
}

/// The mailbox of a name, if it can be selected.
fn selectable(name: &Name) -> Option<&Mailbox> {
    name.mailbox.as_ref().filter(|mailbox| !mailbox.is_noselect())
}

fn special_use_of(name: &Name) -> SpecialUse {
    selectable(name).map(Mailbox::special_use).unwrap_or_default()
}
