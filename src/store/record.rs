//! Record v1: what is known of one message, as it lies in the log and in the sealed files.
//!
//! [`Record`] is what was decided when the message came (UID, dates, flags); [`Details`] is what follows from its content
//! (parts, ENVELOPE, BODYSTRUCTURE, subject, sender). Both are rkyv archives, encoded once at the append and then copied
//! byte by byte from the log into one sealed file after another; the raw message and its folded text lie beside them.
//! FORMAT.md has the fields. RFC 8474 for EMAILID and THREADID, RFC 8514 for SAVEDATE.

use std::sync::Arc;

use rkyv::rancor::Error as RkyvError;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use super::spool::Body;
use super::types::{Flags, Hash};
use crate::mime;

/// A moment with the zone that it was said in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
pub struct Date {
    /// Unix time in seconds.
    pub seconds: i64,
    /// The zone's offset from UTC in minutes, east positive.
    pub offset_minutes: i16,
}

/// The envelope that a message was delivered with (RFC 5321 §2.3.1); appended messages have none.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct DeliveryEnvelope {
    /// The reverse-path without its brackets; empty for a bounce.
    pub return_path: String,
    /// The forward-paths that this account was meant by.
    pub recipients: Vec<String>,
}

/// What was decided about a message when it came.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Record {
    /// UID.
    pub uid: u32,
    /// System flags at arrival.
    pub flags: u16,
    /// Keywords at arrival, as bits of the mailbox's table.
    pub keywords: u64,
    /// MODSEQ of the arrival.
    pub modseq: u64,
    /// EMAILID.
    pub email_id: u64,
    /// THREADID.
    pub thread_id: u64,
    /// INTERNALDATE.
    pub internal_date: Date,
    /// SAVEDATE: Unix time in seconds.
    pub saved_at: i64,
    /// RFC822.SIZE.
    pub size: u64,
    /// SHA-256 of the raw message.
    pub content_hash: [u8; 32],
    /// Its delivery envelope.
    pub delivery: Option<DeliveryEnvelope>,
}

/// What follows from a message's content, but for its folded text.
#[derive(Clone, PartialEq, Debug, Archive, Serialize, Deserialize)]
pub struct Details {
    /// The parts in order, the root first.
    pub parts: Vec<mime::Part>,
    /// ENVELOPE, ready for the wire.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE, ready for the wire.
    pub bodystructure: Vec<u8>,
    /// The subject, decoded and folded.
    pub subject: String,
    /// The senders, decoded and folded.
    pub from: String,
    /// The base subject (RFC 5256 §2.1).
    pub base_subject: String,
    /// The message's own Message-ID.
    pub message_id: Option<String>,
    /// The Message-IDs of its References.
    pub references: Vec<String>,
}

impl Details {
    pub(super) fn of(structure: &mime::Structure) -> Details {
        Details {
            parts: structure.parts.clone(),
            envelope: structure.envelope.clone(),
            bodystructure: structure.bodystructure.clone(),
            subject: structure.subject.clone(),
            from: structure.from.clone(),
            base_subject: structure.base_subject.clone(),
            message_id: structure.message_id.clone(),
            references: structure.references.clone(),
        }
    }

    /// As an archive; `None` where rkyv can't (nothing longer than 2 GiB fits its 32-bit offsets).
    pub(super) fn encode(&self) -> Option<AlignedVec> {
        rkyv::to_bytes::<RkyvError>(self).ok()
    }
}

impl Record {
    /// As an archive; `None` where rkyv can't.
    pub(super) fn encode(&self) -> Option<AlignedVec> {
        rkyv::to_bytes::<RkyvError>(self).ok()
    }
}

/// A message on its way into mailboxes. It may go to several, and to another shard.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The raw message.
    pub body: Body,
    /// What `mime` found in it.
    pub structure: Arc<mime::Structure>,
    /// INTERNALDATE.
    pub internal_date: Date,
    /// SAVEDATE: Unix time in seconds.
    pub saved_at: i64,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<String>,
    /// The envelope it was delivered with.
    pub delivery: Option<DeliveryEnvelope>,
}

impl NewMessage {
    /// EMAILID (RFC 8474 §5.1): the same for the same content.
    pub(super) fn email_id(&self) -> u64 {
        self.body.hash().short()
    }

    /// THREADID (RFC 8474 §5.2): the root of the References, the message's own id where it has none, the content's hash
    /// where it has no id either.
    pub(super) fn thread_id(&self) -> u64 {
        match self.structure.references.first().or(self.structure.message_id.as_ref()) {
            Some(root) => Hash::of(root.as_bytes()).short(),
            None => self.email_id(),
        }
    }
}
