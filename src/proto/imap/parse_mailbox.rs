//! Reads the commands about mailboxes that have a grammar of their own: LIST, LSUB, STATUS, CREATE; and ID and ENABLE.
//!
//! An option that we don't know is BAD (RFC 5258 §3), and one that comes twice counts once; one of several patterns
//! that is no modified UTF-7 matches nothing. Lists are bounded (limits.rs).
//! RFC 3501 §9, RFC 5258 §6, RFC 5819 §4, RFC 6154 §6, RFC 2971 §4, RFC 5161 §4.

use std::str::from_utf8;

use bumpalo::collections::Vec as ArenaVec;

use super::command::{Command, List, ListReturn, ListSelect, StatusItem};
use super::parse::{ErrorKind, argument};
use super::token::{ATOM, Cursor, Parsed};
use crate::limits::{
    ENABLE_NAMES_MAX, ID_FIELDS_MAX, ID_NAME_BYTES_MAX, ID_VALUE_BYTES_MAX, LIST_PATTERNS_MAX, USE_ATTRIBUTES_MAX,
};

/// ```text
/// list        = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
/// mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
/// ```
pub(super) fn list<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    let mut list = List::default();
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        list.select = select_options(cursor)?;
        cursor.space()?;
    }
    list.reference = cursor.list_mailbox()?;
    cursor.space()?;
    let mut patterns = ArenaVec::new_in(cursor.arena);
    if cursor.peek() == Some(b'(') {
        list.extended = true;
        parenthesised(cursor, false, |cursor| {
            if patterns.len() == LIST_PATTERNS_MAX {
                return cursor.fail(ErrorKind::TooMany);
            }
            match cursor.list_mailbox() {
                Err(error) if error.kind != ErrorKind::Mailbox => return Err(error),
                // RFC 5258 §3: a pattern that is not taken is passed over, for the sake of the others.
                pattern => patterns.push(pattern.unwrap_or_default()),
            }
            Ok(())
        })?;
    } else {
        patterns.push(cursor.list_mailbox()?);
    }
    list.patterns = patterns.into_bump_slice();
    if !cursor.at_end() {
        cursor.space()?;
        list.extended = true;
        list.returns = return_options(cursor)?;
    }
    // RFC 5258 §3.1, RFC 6154 §2: a selection option implies the return option of its name.
    list.returns.subscribed |= list.select.subscribed;
    list.returns.special_use |= list.select.special_use;
    Ok(Command::List(list))
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox`
pub(super) fn lsub<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let reference = cursor.list_mailbox()?;
    cursor.space()?;
    Ok(Command::Lsub { reference, pattern: cursor.list_mailbox()? })
}

/// ```text
/// list-select-opts = "(" [(*(list-select-opt SP) "SUBSCRIBED" *(SP list-select-opt)) /
///                         (("REMOTE" / "SPECIAL-USE") *(SP ("REMOTE" / "SPECIAL-USE")))] ")"
/// list-select-opt  = "SUBSCRIBED" / "REMOTE" / "SPECIAL-USE" / "RECURSIVEMATCH"
/// ```
fn select_options<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, ListSelect> {
    let mut select = ListSelect::default();
    parenthesised(cursor, true, |cursor| {
        if cursor.eat_word("SUBSCRIBED") {
            select.subscribed = true;
        } else if cursor.eat_word("RECURSIVEMATCH") {
            select.recursive_match = true;
        } else if cursor.eat_word("SPECIAL-USE") {
            select.special_use = true;
        } else if !cursor.eat_word("REMOTE") {
            return cursor.fail(ErrorKind::ListOption);
        }
        Ok(())
    })?;
    if select.recursive_match && !select.subscribed {
        return cursor.fail(ErrorKind::ListRecursive);
    }
    Ok(select)
}

/// ```text
/// list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"
/// return-option    = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" / "STATUS" SP status-items
/// ```
fn return_options<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, ListReturn<'a>> {
    if !cursor.eat_word("RETURN") {
        return cursor.fail(ErrorKind::ListOption);
    }
    cursor.space()?;
    let mut returns = ListReturn::default();
    parenthesised(cursor, true, |cursor| {
        if cursor.eat_word("SUBSCRIBED") {
            returns.subscribed = true;
        } else if cursor.eat_word("CHILDREN") {
            returns.children = true;
        } else if cursor.eat_word("SPECIAL-USE") {
            returns.special_use = true;
        } else if cursor.eat_word("STATUS") {
            cursor.space()?;
            returns.status = status_items(cursor)?;
        } else {
            return cursor.fail(ErrorKind::ListOption);
        }
        Ok(())
    })?;
    Ok(returns)
}

/// `status = "STATUS" SP mailbox SP status-items`
pub(super) fn status<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    let mailbox = argument(cursor)?;
    cursor.space()?;
    Ok(Command::Status { mailbox, items: status_items(cursor)? })
}

/// `status-items = "(" status-att *(SP status-att) ")"`; an item that comes again is dropped.
fn status_items<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, &'a [StatusItem]> {
    let mut items = ArenaVec::with_capacity_in(StatusItem::NAMED.len(), cursor.arena);
    parenthesised(cursor, false, |cursor| {
        let Some((item, _)) = StatusItem::NAMED.iter().find(|(_, name)| cursor.eat_word(name)) else {
            return cursor.fail(ErrorKind::StatusItem);
        };
        if !items.contains(item) {
            items.push(*item);
        }
        Ok(())
    })?;
    Ok(items.into_bump_slice())
}

/// ```text
/// create       = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]
/// create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"
/// use-attr     = "\" atom
/// ```
pub(super) fn create<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    let mailbox = argument(cursor)?;
    let mut uses = ArenaVec::new_in(cursor.arena);
    if !cursor.at_end() {
        cursor.space()?;
        parenthesised(cursor, false, |cursor| {
            if !cursor.eat_word("USE") {
                return cursor.fail(ErrorKind::CreateParameter);
            }
            cursor.space()?;
            parenthesised(cursor, true, |cursor| {
                if uses.len() == USE_ATTRIBUTES_MAX {
                    return cursor.fail(ErrorKind::TooMany);
                }
                uses.push(use_attribute(cursor)?);
                Ok(())
            })
        })?;
    }
    Ok(Command::Create { mailbox, uses: uses.into_bump_slice() })
}

/// `use-attr = "\" atom`, with its backslash.
fn use_attribute<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, &'a str> {
    let start = cursor.at;
    cursor.expect(b'\\', ErrorKind::CreateParameter)?;
    if cursor.run(ATOM).is_empty() {
        return cursor.fail(ErrorKind::CreateParameter);
    }
    from_utf8(&cursor.input[start..cursor.at]).or_else(|_| cursor.fail(ErrorKind::CreateParameter))
}

/// `id = "ID" SP ("(" *(string SP nstring) ")" / nil)`
pub(super) fn id<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    cursor.space()?;
    let mut fields = ArenaVec::new_in(cursor.arena);
    if cursor.eat_word("NIL") {
        return Ok(Command::Id(&[]));
    }
    parenthesised(cursor, true, |cursor| {
        if fields.len() == ID_FIELDS_MAX {
            return cursor.fail(ErrorKind::TooMany);
        }
        let name = cursor.string()?;
        cursor.space()?;
        let value = if cursor.eat_word("NIL") { None } else { Some(cursor.string()?) };
        if name.len() > ID_NAME_BYTES_MAX || value.is_some_and(|value| value.len() > ID_VALUE_BYTES_MAX) {
            return cursor.fail(ErrorKind::Id);
        }
        fields.push((name, value));
        Ok(())
    })?;
    Ok(Command::Id(fields.into_bump_slice()))
}

/// `enable = "ENABLE" 1*(SP capability)`
pub(super) fn enable<'a>(cursor: &mut Cursor<'a>) -> Parsed<'a, Command<'a>> {
    let mut names = ArenaVec::new_in(cursor.arena);
    while names.is_empty() || !cursor.at_end() {
        cursor.space()?;
        if names.len() == ENABLE_NAMES_MAX {
            return cursor.fail(ErrorKind::TooMany);
        }
        names.push(cursor.atom()?);
    }
    Ok(Command::Enable(names.into_bump_slice()))
}

/// `"(" [item *(SP item)] ")"`; spaces beside the parentheses are forgiven.
fn parenthesised<'a>(
    cursor: &mut Cursor<'a>,
    may_be_empty: bool,
    mut item: impl FnMut(&mut Cursor<'a>) -> Parsed<'a, ()>,
) -> Parsed<'a, ()> {
    cursor.expect(b'(', ErrorKind::Parenthesis)?;
    while cursor.eat(b' ') {}
    if may_be_empty && cursor.eat(b')') {
        return Ok(());
    }
    loop {
        item(cursor)?;
        if cursor.eat(b')') {
            return Ok(());
        }
        cursor.space()?;
        while cursor.eat(b' ') {}
        if cursor.eat(b')') {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "parse_mailbox_tests.rs"]
mod tests;
