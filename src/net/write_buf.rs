//! Bytes on their way to a socket, with large bodies spliced in by reference.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use warren_broker::message::Message;

/// Slices handed to one vectored write at most.
const SLICES_MAX: usize = 64;

/// Part of a message body that stands before byte `at` of the buffer.
struct Splice {
    at: usize,
    message: Message,
    range: Range<usize>,
}

/// A write buffer. Frames are appended to `bytes`; [`WriteBuf::splice`] marks where a body goes.
#[derive(Default)]
pub(crate) struct WriteBuf {
    /// Encoded frames.
    pub(crate) bytes: Vec<u8>,
    splices: VecDeque<Splice>,
    spliced: usize,
    /// How much of `bytes`, and of the first splice, is written.
    written: usize,
    written_of_splice: usize,
}

impl WriteBuf {
    /// Bytes still to be written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.spliced
    }

    /// Whether all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts part of a body after the bytes appended so far.
    pub(crate) fn splice(&mut self, message: Message, range: Range<usize>) {
        self.spliced += range.len();
        self.splices.push_back(Splice {
            at: self.bytes.len(),
            message,
            range,
        });
    }

    /// The next slices to write, in order.
    pub(crate) fn slices(&self) -> ([IoSlice<'_>; SLICES_MAX], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut n = 0;
        let mut at = self.written;
        let mut skip = self.written_of_splice;
        for splice in &self.splices {
            if n + 2 >= SLICES_MAX {
                return (slices, n);
            }
            if splice.at > at {
                slices[n] = IoSlice::new(&self.bytes[at..splice.at]);
                n += 1;
                at = splice.at;
            }
            let range = splice.range.start + skip..splice.range.end;
            slices[n] = IoSlice::new(&splice.message.body()[range]);
            n += 1;
            skip = 0;
        }
        if at < self.bytes.len() {
            slices[n] = IoSlice::new(&self.bytes[at..]);
            n += 1;
        }
        (slices, n)
    }

    /// `n` bytes of the slices were written.
    pub(crate) fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let plain = match self.splices.front() {
                Some(splice) => splice.at - self.written,
                None => self.bytes.len() - self.written,
            };
            let step = plain.min(n);
            self.written += step;
            n -= step;
            let Some(splice) = self.splices.front() else {
                break;
            };
            let step = (splice.range.len() - self.written_of_splice).min(n);
            n -= step;
            self.spliced -= step;
            self.written_of_splice += step;
            if self.written == splice.at && self.written_of_splice == splice.range.len() {
                self.splices.pop_front();
                self.written_of_splice = 0;
            }
        }
        if self.is_empty() {
            self.bytes.clear();
            self.splices.clear();
            self.written = 0;
        }
    }

    /// Bytes of memory held for frames.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_broker::message::{Chunk, Meta};

    use super::*;

    proptest! {
        /// However the socket takes the bytes, they arrive in order and complete.
        #[test]
        fn writes_everything_in_order(
            parts in prop::collection::vec((0usize..5, 0usize..9), 1..150),
            steps in prop::collection::vec(1usize..40, 1..50),
        ) {
            let body: Vec<u8> = (0..=255).collect();
            let chunk = Chunk::single(b"\0\0", b"", &body, Meta::default(), 0);
            let message = Message::new(&chunk, 0);
            let (mut buf, mut expected) = (WriteBuf::default(), Vec::<u8>::new());
            for (plain, spliced) in parts {
                buf.bytes.extend(vec![7; plain]);
                expected.extend(vec![7; plain]);
                if spliced > 0 {
                    buf.splice(message.clone(), 10..10 + spliced);
                    expected.extend(&body[10..10 + spliced]);
                }
            }
            prop_assert_eq!(buf.len(), expected.len());
            let mut got = Vec::<u8>::new();
            for step in steps.iter().cycle() {
                if buf.is_empty() {
                    break;
                }
                let (slices, n) = buf.slices();
                let all: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).collect();
                prop_assert!(!all.is_empty());
                let step = all.len().min(*step);
                got.extend(&all[..step]);
                buf.advance(step);
            }
            prop_assert_eq!(got, expected);
        }
    }
}
