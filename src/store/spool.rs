//! The spool: a message while it arrives, and the body that it becomes.
//!
//! Invariants: memory is bounded, past [`INLINE_BODY_BYTES_MAX`], or past [`SPOOL_WRITE_BYTES_MIN`] where the spools of a
//! shard hold [`SPOOL_MEMORY_BYTES_MAX`] together, the message goes to a [`Scratch`], whose room is free again when the last
//! handle or map of it is gone, whatever ends the message. The hash is made on the way. Nothing here is durable: that is the
//! log's word.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::map::Map;
use super::seams::{Scratch, SegmentStore};
use super::types::{Error, Hash};
use crate::limits::{
    BREATH_BYTES, INLINE_BODY_BYTES_MAX, SPOOL_MEMORY_BYTES_MAX, SPOOL_WRITE_BYTES_MIN, STORE_WRITE_BYTES,
};

/// A raw message, in memory or mapped. Cheap to clone, and may go to other shards.
#[derive(Clone)]
pub struct Body {
    bytes: Bytes,
    hash: Hash,
}

#[derive(Clone)]
enum Bytes {
    Memory(Arc<Vec<u8>>),
    Mapped(Map),
}

impl Body {
    /// A body out of memory, for messages that the server makes itself.
    pub fn from_vec(bytes: Vec<u8>) -> Body {
        let hash = Hash::of(&bytes);
        Body { bytes: Bytes::Memory(Arc::new(bytes)), hash }
    }

    pub(super) fn of_map(map: Map, hash: Hash) -> Body {
        Body { bytes: Bytes::Mapped(map), hash }
    }

    /// The same in memory, where nothing can become of it any more. An error where the disk can't give it back.
    pub(super) fn in_memory(&self) -> Result<Body, Error> {
        let Bytes::Mapped(map) = &self.bytes else { return Ok(self.clone()) };
        let copy = Arc::new(map.to_vec());
        self.still_whole()?;
        Ok(Body { bytes: Bytes::Memory(copy), hash: self.hash })
    }

    /// Whether all that was read of it so far was the message; an error where the disk could not give some of it back. The
    /// client has it still.
    pub(super) fn still_whole(&self) -> Result<(), Error> {
        match &self.bytes {
            Bytes::Mapped(map) if map.is_lost() => {
                Err(Error::io("spool", &io::Error::other("the disk can't give back what arrived")))
            }
            _ => Ok(()),
        }
    }

    /// SHA-256 of the message.
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(map) => map,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "body of {} bytes", self.len())
    }
}

/// A message that is arriving.
pub struct Spool {
    segments: Rc<dyn SegmentStore>,
    name: String,
    digest: digest::Context,
    /// What is not in the scratch yet.
    memory: Vec<u8>,
    scratch: Option<Box<dyn Scratch>>,
    written: u64,
    held: Held,
}

/// How much all spools of a shard hold in memory, and how much of that is one's own.
pub(super) struct Held {
    all: Rc<Cell<usize>>,
    own: usize,
}

impl Held {
    fn set(&mut self, own: usize) {
        self.all.set(self.all.get() - self.own + own);
        self.own = own;
    }

    fn is_too_much(&self) -> bool {
        self.all.get() > SPOOL_MEMORY_BYTES_MAX
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Spool {
    /// `all`: what the shard's spools hold in memory.
    pub(super) fn new(segments: Rc<dyn SegmentStore>, name: String, all: Rc<Cell<usize>>) -> Spool {
        let (digest, held) = (digest::Context::new(&digest::SHA256), Held { all, own: 0 });
        Spool { segments, name, digest, memory: Vec::new(), scratch: None, written: 0, held }
    }

    /// Appends what came in.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for piece in bytes.chunks(BREATH_BYTES) {
            self.digest.update(piece);
            self.memory.extend_from_slice(piece);
            self.held.set(self.memory.capacity());
            let limit = if self.scratch.is_some() { STORE_WRITE_BYTES } else { INLINE_BODY_BYTES_MAX };
            let worthwhile = self.memory.len() >= SPOOL_WRITE_BYTES_MIN;
            if self.memory.len() > limit || worthwhile && self.held.is_too_much() {
                self.empty_memory().await?;
            }
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.written + self.memory.len() as u64
    }

    /// Whether nothing came in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message is whole.
    pub async fn finish(mut self) -> Result<Body, Error> {
        let hash = Hash::from_digest(&self.digest.clone().finish());
        if self.scratch.is_some() && !self.memory.is_empty() {
            self.empty_memory().await?;
        }
        let Some(scratch) = &self.scratch else {
            return Ok(Body { bytes: Bytes::Memory(Arc::new(std::mem::take(&mut self.memory))), hash });
        };
        Ok(Body::of_map(scratch.map().await?, hash))
    }

    async fn empty_memory(&mut self) -> Result<(), Error> {
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(self.segments.scratch(self.name.clone()).await?),
        };
        let (written, mut buffer) = scratch.write(std::mem::take(&mut self.memory)).await;
        written?;
        self.written += buffer.len() as u64;
        buffer.clear();
        if !self.held.is_too_much() {
            self.memory = buffer;
        }
        self.held.set(self.memory.capacity());
        Ok(())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spool of {} bytes", self.len())
    }
}
