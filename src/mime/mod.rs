//! (room)

use rkyv::{Archive, Deserialize, Serialize};

/// What a part is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Kind {
    /// A single body.
    Leaf,
    /// Parts between boundaries.
    Multipart,
    /// A message within.
    Message,
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Part {
    /// Index of the part around it; 0 for the root itself.
    pub parent: u32,
    /// What it is made of.
    pub kind: Kind,
    /// Where its header starts in the raw message.
    pub header_start: u32,
    /// Where its body starts.
    pub body_start: u32,
    /// Where it ends.
    pub end: u32,
}

/// The structure of a message, computed once.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Structure {
    /// Parts in the order of the message; the root first.
    pub parts: Vec<Part>,
    /// ENVELOPE, ready for the wire.
    pub envelope: Vec<u8>,
    /// BODYSTRUCTURE, ready for the wire.
    pub bodystructure: Vec<u8>,
    /// Decoded, folded header and body text.
    pub text: String,
    /// Decoded, folded subject.
    pub subject: String,
    /// Decoded, folded senders.
    pub from: String,
    /// Message-ID.
    pub message_id: Option<String>,
    /// References.
    pub references: Vec<String>,
    /// Base subject (RFC 5256 §2.1).
    pub base_subject: String,
}
