//! The last messages of a recent-history exchange, kept in memory for whoever is bound later.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use warren_amqp::{TableRef, ValueRef};

use crate::message::{Chunk, Message};

/// Has a message not be remembered.
const NO_STORE: &[u8] = b"x-recent-history-no-store";

/// What one exchange remembers.
pub(crate) struct History {
    length: usize,
    messages: Mutex<VecDeque<Message>>,
}

impl History {
    /// An empty one that keeps up to `length` messages.
    pub(crate) fn new(length: usize) -> Self {
        Self {
            length,
            messages: Mutex::new(VecDeque::new()),
        }
    }

    /// Remembers messages `first .. first + n` of `chunk`; the oldest are forgotten for them.
    pub(crate) fn remember(&self, chunk: &Arc<Chunk>, first: u32, n: u32) {
        // Of many only the last can stay.
        let skipped = n.saturating_sub(u32::try_from(self.length).unwrap_or(u32::MAX));
        let mut messages = self.messages.lock();
        for index in first + skipped..first + n {
            if messages.len() >= self.length {
                messages.pop_front();
            }
            // A copy of its own: a remembered message must not hold its whole batch.
            let [address, header, body] = chunk.parts(index);
            let copy = Chunk::single(address, header, body, chunk.meta(index), 0);
            messages.push_back(Message::new(&copy, 0));
        }
    }

    /// The messages, oldest first.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.lock().iter().cloned().collect()
    }
}

/// Whether a message asks not to be remembered.
pub(crate) fn not_to_be_stored(headers: Option<TableRef<'_>>) -> bool {
    let wish = headers.and_then(|headers| headers.get(NO_STORE));
    matches!(wish, Some(ValueRef::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Meta;

    #[test]
    fn s32_recent_history_keeps_the_last_ones() {
        let history = History::new(3);
        let mut chunk = Chunk::default();
        for body in ["1", "2", "3", "4", "5"] {
            chunk.push(b"\x01e\x01k", b"", body.as_bytes(), Meta::default());
        }
        let chunk = chunk.share(0);
        let bodies = || {
            let messages = history.messages();
            let bodies = messages.iter().map(|m| m.body().to_vec());
            bodies.collect::<Vec<_>>().concat()
        };
        history.remember(&chunk, 0, 2);
        assert_eq!(bodies(), b"12");
        history.remember(&chunk, 2, 2);
        assert_eq!(bodies(), b"234");
        history.remember(&chunk, 0, 5);
        assert_eq!(bodies(), b"345");
    }
}
