//! The chunks a reader fills, again and again.
//!
//! A long backlog goes through memory at hundreds of megabytes a second. New memory for all of it
//! would be mapped, cleared and unmapped page by page, which costs more than reading the messages
//! does. So chunks that were given out are remembered, and one whose messages are all gone is
//! filled again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::{CHUNK_TARGET_BYTES, Chunk};

/// Chunks remembered: about what a queue keeps in memory of its backlog.
const REMEMBERED: usize = 128;

/// See the module documentation.
#[derive(Default)]
pub(super) struct Chunks {
    /// Oldest first: those are free first when messages are taken in the order they were read.
    given: VecDeque<Arc<Chunk>>,
}

impl Chunks {
    /// An empty chunk, for about `messages` if it must be a new one.
    pub(super) fn take(&mut self, messages: u32) -> Chunk {
        match self.given.pop_front().map(Arc::try_unwrap) {
            Some(Ok(chunk)) => return chunk.emptied(),
            Some(Err(in_use)) => self.given.push_front(in_use),
            None => {}
        }
        Chunk::like((CHUNK_TARGET_BYTES, messages))
    }

    /// Remembers a chunk that is given out, unless it is of unusual size; rather than the oldest,
    /// when there are too many: somebody keeps that for long.
    pub(super) fn remember(&mut self, chunk: &Arc<Chunk>) {
        if (CHUNK_TARGET_BYTES / 2..=CHUNK_TARGET_BYTES).contains(&chunk.bytes()) {
            if self.given.len() == REMEMBERED {
                self.given.pop_front();
            }
            self.given.push_back(Arc::clone(chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Meta};

    /// Fills a chunk and gives it out; also where its bytes stand.
    fn give(chunks: &mut Chunks, body: &[u8]) -> (Message, *const u8) {
        let mut chunk = chunks.take(1);
        assert!(chunk.is_empty() && chunk.bytes() == 0);
        let index = chunk.push(b"", b"", body, Meta::default());
        let chunk = chunk.share(7);
        chunks.remember(&chunk);
        let message = Message::new(&chunk, index);
        let at = message.body().as_ptr();
        (message, at)
    }

    #[test]
    fn a_chunk_is_filled_again_once_its_messages_are_gone() {
        let mut chunks = Chunks::default();
        let (first, place) = give(&mut chunks, &[1; 60_000]);
        let (second, _) = give(&mut chunks, &[2; 50_000]);
        assert_eq!(first.body(), [1; 60_000]);
        drop(first);
        let (third, again) = give(&mut chunks, &[3; 40_000]);
        assert_eq!(place, again);
        assert_eq!(second.body(), [2; 50_000]);
        assert_eq!(third.body(), [3; 40_000]);
    }

    #[test]
    fn a_message_kept_for_long_does_not_keep_others_from_being_reused() {
        let mut chunks = Chunks::default();
        let _kept = give(&mut chunks, &[0; 40_000]);
        for _ in 0..REMEMBERED {
            give(&mut chunks, &[0; 40_000]);
        }
        assert_eq!(chunks.given.len(), REMEMBERED);
        give(&mut chunks, &[0; 40_000]);
        assert_eq!(chunks.given.len(), REMEMBERED);
        assert!(
            chunks
                .given
                .iter()
                .all(|chunk| Arc::strong_count(chunk) == 1)
        );
    }

    #[test]
    fn what_is_small_or_large_is_not_remembered() {
        let mut chunks = Chunks::default();
        give(&mut chunks, b"small");
        give(&mut chunks, &[0; CHUNK_TARGET_BYTES + 1]);
        assert!(chunks.given.is_empty());
    }
}
