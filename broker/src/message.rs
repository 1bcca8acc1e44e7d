//! Messages as the broker keeps them: the bytes of one read's publishes in one shared chunk.
//!
//! A chunk holds, for each message, exactly what the wire needs again:
//!
//! ```text
//! | exchange shortstr, routing key shortstr | content header payload | body |
//! ```
//!
//! so that a delivery is three copies, a fan-out shares one body, and a batch of small messages
//! costs one allocation instead of one each. Chunks stay small (`CHUNK_TARGET_BYTES`), so a
//! message that lives long pins little; a large body gets a chunk of its own.

use std::borrow::Cow;
use std::sync::Arc;

use warren_amqp::split_address;

use crate::buffers::Buffer;
use crate::dead_letter::strip_bcc;

/// A chunk is closed once it holds this much; a message larger than it stands alone.
pub const CHUNK_TARGET_BYTES: usize = 64 * 1024;

/// `delivery_mode` 2: survives a restart when on a durable queue.
pub const FLAG_PERSISTENT: u8 = 1;
/// The publisher gave an `expiration`.
pub const FLAG_EXPIRES: u8 = 2;
/// The headers hold BCC, which no consumer may see (X-50); dead-lettering still routes by it.
pub const FLAG_BCC: u8 = 4;
/// In the log only: the record is there for want of memory and does not survive a restart.
pub const FLAG_PAGED: u8 = 8;

/// What the broker must know of a message beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `FLAG_*` bits.
    pub flags: u8,
    /// The priority property, 0 when absent.
    pub priority: u8,
    /// The expiration property in milliseconds; meaningful with `FLAG_EXPIRES`.
    pub expiration_ms: u64,
}

impl Meta {
    /// Whether the message is to survive a restart.
    pub fn persistent(&self) -> bool {
        self.flags & FLAG_PERSISTENT != 0
    }

    /// The per-message time to live in milliseconds.
    pub fn expiration(&self) -> Option<u64> {
        (self.flags & FLAG_EXPIRES != 0).then_some(self.expiration_ms)
    }
}

/// Where one message lies inside its chunk.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    address_len: u16,
    header_len: u32,
    body_len: u32,
    /// Milliseconds between the chunk's time and this message's.
    later_ms: u32,
    meta: Meta,
}

/// The bytes of some messages, immutable once shared.
#[derive(Debug, Default)]
pub struct Chunk {
    data: Buffer,
    places: Vec<Place>,
    enqueued_ms: u64,
}

/// One message: a reference into a chunk, or what is left when the commit log alone has its bytes.
#[derive(Clone, Debug)]
pub struct Message {
    chunk: Option<Arc<Chunk>>,
    /// Index in the chunk; without one, the length of the body.
    index: u32,
}

impl Message {
    /// A reference to the message at `index` of `chunk`.
    pub fn new(chunk: &Arc<Chunk>, index: u32) -> Self {
        Self {
            chunk: Some(Arc::clone(chunk)),
            index,
        }
    }

    /// What is left of a message with a body of so many bytes once it was
    /// [released](Self::release).
    pub fn released(body_len: u32) -> Self {
        Self {
            chunk: None,
            index: body_len,
        }
    }

    /// Lets go of the bytes. Of the message only the length of its body is known afterwards; what
    /// else is asked for is empty.
    pub fn release(&mut self) {
        if self.chunk.is_some() {
            self.index = self.body_len() as u32;
            self.chunk = None;
        }
    }

    /// Whether its bytes are in memory.
    pub fn is_present(&self) -> bool {
        self.chunk.is_some()
    }

    fn place(&self) -> Option<(&Chunk, &Place)> {
        let chunk = self.chunk.as_deref()?;
        Some((chunk, &chunk.places[self.index as usize]))
    }

    /// Exchange and routing key shortstrs as they stand on the wire.
    pub fn address(&self) -> &[u8] {
        self.place()
            .map_or(&[], |(chunk, place)| chunk.address(place))
    }

    /// The content header frame's payload (class, weight, body size, properties).
    pub fn header(&self) -> &[u8] {
        self.place()
            .map_or(&[], |(chunk, place)| chunk.header(place))
    }

    /// The content header payload as consumers get it: without BCC.
    pub fn delivered_header(&self) -> Cow<'_, [u8]> {
        if self.meta().flags & FLAG_BCC == 0 {
            return Cow::Borrowed(self.header());
        }
        strip_bcc(self.header()).map_or(Cow::Borrowed(self.header()), Cow::Owned)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.place().map_or(&[], |(chunk, place)| chunk.body(place))
    }

    /// Length of the body in bytes.
    pub fn body_len(&self) -> usize {
        let len = self.place().map_or(self.index, |(_, place)| place.body_len);
        len as usize
    }

    /// Bytes of address, header and body together; 0 without the bytes.
    pub fn total_len(&self) -> usize {
        self.place().map_or(0, |(_, place)| place.total_len())
    }

    /// Priority, persistence and expiration.
    pub fn meta(&self) -> Meta {
        self.place()
            .map_or(Meta::default(), |(_, place)| place.meta)
    }

    /// When the broker took the message, Unix milliseconds.
    pub fn enqueued_ms(&self) -> u64 {
        self.place().map_or(0, |(chunk, place)| {
            chunk.enqueued_ms + u64::from(place.later_ms)
        })
    }

    /// The exchange it was published to.
    pub fn exchange(&self) -> &str {
        std::str::from_utf8(split_address(self.address()).0).unwrap_or("")
    }

    /// The routing key it was published with.
    pub fn routing_key(&self) -> &str {
        std::str::from_utf8(split_address(self.address()).1).unwrap_or("")
    }
}

impl Place {
    fn total_len(&self) -> usize {
        usize::from(self.address_len) + self.header_len as usize + self.body_len as usize
    }
}

impl Chunk {
    /// A chunk with room for about `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            data: Buffer::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// An empty chunk that expects to become about as large as `last` was (its bytes and messages):
    /// what one read brings is much like what the one before brought.
    pub fn like(last: (usize, u32)) -> Self {
        Self {
            data: Buffer::with_capacity(last.0),
            places: Vec::with_capacity(last.1 as usize),
            enqueued_ms: 0,
        }
    }

    /// An empty chunk in the memory of this one.
    pub fn emptied(mut self) -> Self {
        self.data.clear();
        self.places.clear();
        self
    }

    /// An empty chunk for one message of so many bytes.
    pub fn for_message(bytes: usize) -> Self {
        Self {
            data: Buffer::for_message(bytes),
            ..Self::default()
        }
    }

    /// A chunk of a single message.
    pub fn single(
        address: &[u8],
        header: &[u8],
        body: &[u8],
        meta: Meta,
        now_ms: u64,
    ) -> Arc<Self> {
        let mut chunk = Self::for_message(address.len() + header.len() + body.len());
        chunk.push(address, header, body, meta);
        chunk.share(now_ms)
    }

    /// A chunk of one message whose address, header and body already stand in `data` in that
    /// order: how a large body is kept without another copy.
    pub fn assembled(data: Buffer, address_len: usize, header_len: usize, meta: Meta) -> Self {
        let body_len = (data.len() - address_len - header_len) as u32;
        let place = Place {
            start: 0,
            address_len: address_len as u16,
            header_len: header_len as u32,
            body_len,
            later_ms: 0,
            meta,
        };
        Self {
            data,
            places: vec![place],
            enqueued_ms: 0,
        }
    }

    /// Adds a message and returns its index.
    pub fn push(&mut self, address: &[u8], header: &[u8], body: &[u8], meta: Meta) -> u32 {
        let index = self.places.len() as u32;
        self.places.push(Place {
            start: self.data.len(),
            address_len: address.len() as u16,
            header_len: header.len() as u32,
            body_len: body.len() as u32,
            later_ms: 0,
            meta,
        });
        self.data.extend_from_slice(address);
        self.data.extend_from_slice(header);
        self.data.extend_from_slice(body);
        index
    }

    /// Messages held.
    pub fn len(&self) -> u32 {
        self.places.len() as u32
    }

    /// Whether no message is held.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Closes the chunk and stamps the time its messages were taken. Room it does not need goes back:
    /// its messages may stay for long.
    pub fn share(mut self, now_ms: u64) -> Arc<Self> {
        self.enqueued_ms = now_ms;
        if self.data.capacity() / 2 > self.data.len() {
            self.data.shrink_to_fit();
            self.places.shrink_to_fit();
        }
        Arc::new(self)
    }

    /// Adds a message that was taken at `enqueued_ms`; the first one gives the chunk its time.
    /// `None` when it was taken before that or long after: it needs another chunk.
    pub fn push_taken_at(
        &mut self,
        enqueued_ms: u64,
        [address, header, body]: [&[u8]; 3],
        meta: Meta,
    ) -> Option<u32> {
        if self.places.is_empty() {
            self.enqueued_ms = enqueued_ms;
        }
        let later = enqueued_ms.checked_sub(self.enqueued_ms)?;
        let later_ms = u32::try_from(later).ok()?;
        let index = self.push(address, header, body, meta);
        self.places[index as usize].later_ms = later_ms;
        Some(index)
    }

    /// When the first message was taken, Unix milliseconds.
    pub fn enqueued_ms(&self) -> u64 {
        self.enqueued_ms
    }

    /// The wire bytes of message `index`: address, header and body in that order.
    pub fn parts(&self, index: u32) -> [&[u8]; 3] {
        let place = &self.places[index as usize];
        [self.address(place), self.header(place), self.body(place)]
    }

    fn address(&self, place: &Place) -> &[u8] {
        &self.data[place.start..place.start + usize::from(place.address_len)]
    }

    fn header(&self, place: &Place) -> &[u8] {
        let at = place.start + usize::from(place.address_len);
        &self.data[at..at + place.header_len as usize]
    }

    fn body(&self, place: &Place) -> &[u8] {
        let end = place.start + place.total_len();
        &self.data[end - place.body_len as usize..end]
    }

    /// Length of the body of message `index`.
    pub fn body_len(&self, index: u32) -> usize {
        self.places[index as usize].body_len as usize
    }

    /// Properties of message `index` that steer the broker.
    pub fn meta(&self, index: u32) -> Meta {
        self.places[index as usize].meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_as_pushed() {
        let mut chunk = Chunk::default();
        let mut address = Vec::new();
        warren_amqp::make_address(&mut address, "ex", "key");
        chunk.push(&address, b"header", b"", Meta::default());
        let meta = Meta {
            flags: FLAG_PERSISTENT,
            priority: 3,
            expiration_ms: 0,
        };
        let index = chunk.push(&address, b"h", b"body", meta);
        let message = Message::new(&chunk.share(7), index);
        assert_eq!(message.exchange(), "ex");
        assert_eq!(message.routing_key(), "key");
        assert_eq!(
            (message.header(), message.body()),
            (&b"h"[..], &b"body"[..])
        );
        assert_eq!((message.meta(), message.enqueued_ms()), (meta, 7));
        assert!(message.meta().persistent());
    }

    #[test]
    fn a_released_message_keeps_the_length_of_its_body() {
        let chunk = Chunk::single(b"\0\0", b"header", b"body", Meta::default(), 7);
        let mut message = Message::new(&chunk, 0);
        message.release();
        message.release();
        assert!(!message.is_present());
        assert_eq!((message.body_len(), message.total_len()), (4, 0));
        assert_eq!((message.body(), message.exchange()), (&b""[..], ""));
    }

    #[test]
    fn messages_of_one_chunk_may_have_been_taken_at_different_times() {
        let mut chunk = Chunk::default();
        let parts: [&[u8]; 3] = [b"\0\0", b"", b"x"];
        let push = |chunk: &mut Chunk, ms| chunk.push_taken_at(ms, parts, Meta::default());
        assert_eq!(push(&mut chunk, 1000), Some(0));
        assert_eq!(push(&mut chunk, 1700), Some(1));
        assert_eq!(push(&mut chunk, 999), None);
        assert_eq!(push(&mut chunk, 1 << 40), None);
        let at = chunk.enqueued_ms();
        let chunk = chunk.share(at);
        let times = [0, 1].map(|index| Message::new(&chunk, index).enqueued_ms());
        assert_eq!(times, [1000, 1700]);
        assert_eq!(size_of::<Place>(), 40);
    }
}
