//! Reading messages back from the commit log.

use warren_storage::{MessageLog, QueueId, ReadEnd, ReadError, ReadLimit, Seq, Stored};

use crate::message::{CHUNK_TARGET_BYTES, Chunk, FLAG_PAGED, Message};
use crate::pager::chunks::Chunks;
use crate::publish::read_record;
use crate::queue::{Load, Queue};

/// Numbers not wanted between two that are: beyond this they are skipped, not read along.
const GAP: u64 = 256;

/// What was read.
#[derive(Default)]
pub(crate) struct Read {
    /// Messages by ascending number.
    pub(crate) messages: Vec<(Seq, Message)>,
    /// Numbers the log cannot give back, ascending.
    pub(crate) lost: Vec<Seq>,
}

/// Builds chunks of what it reads, in memory it keeps for that.
#[derive(Default)]
pub(crate) struct Reader {
    chunk: Chunk,
    /// Number and index in the open chunk.
    open: Vec<(Seq, u32)>,
    read: Read,
    chunks: Chunks,
}

impl Reader {
    /// Whether it keeps no memory.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.read.messages.capacity() == 0
    }

    /// Reads what `load` wants, up to its bytes; what was not reached is neither read nor lost.
    ///
    /// What the log does not know as durable may have been appended a moment ago: only for that it
    /// waits, so that a backlog is read while others publish without a sync for each page.
    pub(crate) fn read(
        &mut self,
        log: &MessageLog,
        queue: &Queue,
        load: &Load,
    ) -> Result<&mut Read, ReadError> {
        let mut missing = Vec::new();
        self.read.messages.clear();
        self.read.lost.clear();
        let outcome = self.pass(
            |from, to, limit, see| log.read_durable(queue.id(), from, to, limit, see),
            queue,
            (&load.seqs, load.bytes),
            &mut missing,
        );
        self.end_pass(outcome)?;
        if missing.is_empty() {
            return Ok(&mut self.read);
        }
        let wanted = std::mem::take(&mut missing);
        let outcome = self.pass(
            |from, to, limit, see| log.read(queue.id(), from, to, limit, see),
            queue,
            (&wanted, load.bytes),
            &mut missing,
        );
        let outcome = self.end_pass(outcome);
        let read = &mut self.read;
        match outcome {
            // The log is stalled; what could be read is worth having.
            Err(ReadError::NotWritten(_)) if !read.messages.is_empty() => {}
            outcome => {
                outcome?;
                read.lost.append(&mut missing);
            }
        }
        read.messages.sort_unstable_by_key(|(seq, _)| *seq);
        read.lost.sort_unstable();
        Ok(read)
    }

    /// Keeps what was read, unless that ended half way: then it comes again.
    fn end_pass(&mut self, outcome: Result<(), ReadError>) -> Result<(), ReadError> {
        match &outcome {
            Ok(()) => self.close(),
            Err(_) => (self.chunk, self.open) = (Chunk::default(), Vec::new()),
        }
        outcome
    }

    /// Reads `seqs` up to so many bytes with `from`; what is not there is `missing`.
    fn pass(
        &mut self,
        from: impl Fn(Seq, Seq, ReadLimit, &mut dyn FnMut(Stored<'_>)) -> Result<ReadEnd, ReadError>,
        queue: &Queue,
        (mut seqs, most_bytes): (&[Seq], usize),
        missing: &mut Vec<Seq>,
    ) -> Result<(), ReadError> {
        let mut bytes = 0;
        while let Some(&first) = seqs.first()
            && bytes < most_bytes
        {
            let span = span(seqs);
            let limit = ReadLimit {
                messages: usize::MAX,
                bytes: most_bytes - bytes,
            };
            let (mut wanted, rest) = seqs.split_at(span);
            let last = wanted[span - 1];
            let end = from(first, last, limit, &mut |stored| {
                let seq = seq_of(&stored);
                bytes += payload_of(&stored).len();
                if wanted.first() != Some(&seq) {
                    let skipped = wanted.partition_point(|wanted| *wanted < seq);
                    missing.extend_from_slice(&wanted[..skipped]);
                    wanted = &wanted[skipped..];
                }
                if wanted.first() == Some(&seq) {
                    wanted = &wanted[1..];
                    self.take(queue, stored);
                }
            })?;
            match end {
                ReadEnd::All => {
                    missing.extend_from_slice(wanted);
                    seqs = rest;
                }
                ReadEnd::Next(next) => {
                    let skipped = wanted.partition_point(|wanted| *wanted < next);
                    missing.extend_from_slice(&wanted[..skipped]);
                    let left = wanted.len() - skipped;
                    seqs = &seqs[span - left..];
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, queue: &Queue, stored: Stored<'_>) {
        let (seq, enqueued_ms, flags, payload) = match stored {
            Stored::Message {
                seq,
                enqueued_ms,
                flags,
                payload,
            } => (seq, enqueued_ms, flags, payload),
            Stored::Lost {
                seq,
                segment,
                offset,
            } => {
                tracing::error!(
                    queue = queue.name(),
                    vhost = %queue.definition().vhost,
                    seq,
                    segment,
                    offset,
                    "a message is damaged on disk and lost"
                );
                return self.read.lost.push(seq);
            }
        };
        let Some((meta, parts)) = read_record(flags & !FLAG_PAGED, payload) else {
            return self.read.lost.push(seq);
        };
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.chunk.bytes() + len > CHUNK_TARGET_BYTES {
            self.close();
        }
        let index = match self.chunk.push_taken_at(enqueued_ms, parts, meta) {
            Some(index) => index,
            None => {
                self.close();
                // The first of a chunk is never refused.
                match self.chunk.push_taken_at(enqueued_ms, parts, meta) {
                    Some(index) => index,
                    None => return self.read.lost.push(seq),
                }
            }
        };
        self.open.push((seq, index));
    }

    /// Hands the open chunk out and opens another one.
    fn close(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        let next = self.chunks.take(self.chunk.len());
        let taken_at = self.chunk.enqueued_ms();
        let chunk = std::mem::replace(&mut self.chunk, next).share(taken_at);
        self.chunks.remember(&chunk);
        let messages = self.open.drain(..);
        self.read
            .messages
            .extend(messages.map(|(seq, index)| (seq, Message::new(&chunk, index))));
    }
}

/// Messages looked at between two visits to a queue.
const LEVELS_AT_ONCE: usize = 1 << 16;

/// Calls `see` with all messages of a recovered queue and their levels, of which `max_priority` is
/// the highest told apart.
pub(crate) fn levels(
    log: &MessageLog,
    queue: QueueId,
    last: Seq,
    max_priority: u8,
    mut see: impl FnMut(&[(u8, Seq)]),
) -> Result<(), ReadError> {
    let limit = ReadLimit {
        messages: usize::MAX,
        bytes: usize::MAX,
    };
    let mut levels = Vec::with_capacity(LEVELS_AT_ONCE);
    log.read(queue, 0, last, limit, &mut |stored| {
        let priority = match stored {
            Stored::Message { flags, payload, .. } => {
                read_record(flags, payload).map_or(0, |(meta, _)| meta.priority)
            }
            // Reported when its turn comes.
            Stored::Lost { .. } => 0,
        };
        levels.push((priority.min(max_priority), seq_of(&stored)));
        if levels.len() == LEVELS_AT_ONCE {
            see(&levels);
            levels.clear();
        }
    })?;
    see(&levels);
    Ok(())
}

fn seq_of(stored: &Stored<'_>) -> Seq {
    match stored {
        Stored::Message { seq, .. } | Stored::Lost { seq, .. } => *seq,
    }
}

fn payload_of<'a>(stored: &Stored<'a>) -> &'a [u8] {
    match stored {
        Stored::Message { payload, .. } => payload,
        Stored::Lost { .. } => &[],
    }
}

/// How many of `seqs` to read in one go.
fn span(seqs: &[Seq]) -> usize {
    let gap = seqs.windows(2).position(|pair| pair[1] - pair[0] > GAP);
    gap.map_or(seqs.len(), |at| at + 1)
}
