//! The bodies of the records of the message log, and reading them back.
//!
//! ```text
//!   MESSAGE    enqueued_ms u64 | flags u8 | extension length u8 | extension
//!              | targets varint | (queue varint, seq varint)... | payload
//!   SETTLED    queue varint | ranges varint | (gap varint, length - 1 varint)...
//!   DELIVERED  queue varint | up_to varint
//!   COUNT      queue varint | seq varint | count varint
//!   GONE       queue varint
//!   TX         (kind u8, length u32, body)...       none of them a TX
//! ```
//!
//! The extension is where a later version puts due time, group key and the like; this version
//! writes none and skips what it finds. The gap of a range counts from one past the end of the
//! range before it, the first from 0.

use super::{QueueId, Seq};
use crate::framing::varint;

pub(crate) const MESSAGE: u8 = 1;
pub(crate) const SETTLED: u8 = 2;
pub(crate) const DELIVERED: u8 = 3;
pub(crate) const COUNT: u8 = 4;
pub(crate) const GONE: u8 = 5;
pub(crate) const TX: u8 = 6;
/// In checkpoints, not in segments.
pub(crate) const CHECKPOINT: u8 = 7;

/// One thing a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Message(Message<'a>),
    /// `(queue, first, last)`, inclusive.
    Settled(QueueId, Seq, Seq),
    Delivered(QueueId, Seq),
    Count(QueueId, Seq, u32),
    Gone(QueueId),
}

/// A message as it stands in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) enqueued_ms: u64,
    pub(crate) flags: u8,
    pub(crate) extension: &'a [u8],
    targets: u64,
    /// The targets, already checked to be whole.
    target_bytes: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    pub(crate) fn target_count(&self) -> usize {
        usize::try_from(self.targets).unwrap_or(usize::MAX)
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = (QueueId, Seq)> {
        let mut rest = self.target_bytes;
        (0..self.targets).map_while(move |_| target(&mut rest))
    }
}

/// A record whose checksum holds but whose body makes no sense to this version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Calls `entry` for everything the record says; on an error, for nothing of it.
pub(crate) fn read<'a>(
    kind: u8,
    body: &'a [u8],
    entry: &mut dyn FnMut(Entry<'a>),
) -> Result<(), Malformed> {
    if kind != MESSAGE {
        // A message is a single thing, told once it has been understood. Others are tried first.
        walk(kind, body, &mut |_| {}).ok_or(Malformed)?;
    }
    walk(kind, body, entry).ok_or(Malformed)
}

/// The targets of the messages in a record whose body is damaged, as far as the body still makes
/// sense. Nothing of it can be relied on.
pub(crate) fn targets_of_damaged(kind: u8, mut body: &[u8], targets: &mut Vec<(QueueId, Seq)>) {
    match kind {
        MESSAGE => targets.extend(message(&mut body).iter().flat_map(Message::targets)),
        TX => {
            while let Some((kind, rest)) = body.split_first() {
                let Some((len, rest)) = rest.split_first_chunk() else {
                    return;
                };
                let inner = rest.len().min(u32::from_le_bytes(*len) as usize);
                if *kind == MESSAGE {
                    targets_of_damaged(MESSAGE, &rest[..inner], targets);
                }
                body = &rest[inner..];
            }
        }
        _ => {}
    }
}

fn walk<'a>(kind: u8, mut body: &'a [u8], entry: &mut dyn FnMut(Entry<'a>)) -> Option<()> {
    if kind != TX {
        return single(kind, body, entry);
    }
    while let Some((nested, rest)) = body.split_first() {
        let (len, rest) = rest.split_first_chunk()?;
        let (inner, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        single(*nested, inner, entry)?;
        body = rest;
    }
    Some(())
}

fn single<'a>(kind: u8, mut body: &'a [u8], entry: &mut dyn FnMut(Entry<'a>)) -> Option<()> {
    let rest = &mut body;
    match kind {
        MESSAGE => {
            entry(Entry::Message(message(rest)?));
            return Some(());
        }
        SETTLED => settled(rest, entry)?,
        DELIVERED => entry(Entry::Delivered(queue(rest)?, varint::take(rest)?)),
        COUNT => {
            let (queue, seq) = target(rest)?;
            let count = u32::try_from(varint::take(rest)?).ok()?;
            entry(Entry::Count(queue, seq, count));
        }
        GONE => entry(Entry::Gone(queue(rest)?)),
        _ => return None,
    }
    rest.is_empty().then_some(())
}

fn message<'a>(rest: &mut &'a [u8]) -> Option<Message<'a>> {
    let (ms, after) = rest.split_first_chunk()?;
    let (&[flags, extension], after) = after.split_first_chunk()?;
    let (extension, after) = after.split_at_checked(usize::from(extension))?;
    *rest = after;
    let targets = varint::take(rest)?;
    let start = *rest;
    for _ in 0..targets {
        target(rest)?;
    }
    Some(Message {
        enqueued_ms: u64::from_le_bytes(*ms),
        flags,
        extension,
        targets,
        target_bytes: &start[..start.len() - rest.len()],
        payload: rest,
    })
}

fn settled<'a>(rest: &mut &'a [u8], entry: &mut dyn FnMut(Entry<'a>)) -> Option<()> {
    let queue = queue(rest)?;
    let mut next: Option<u64> = Some(0);
    for _ in 0..varint::take(rest)? {
        let first = next?.checked_add(varint::take(rest)?)?;
        let last = first.checked_add(varint::take(rest)?)?;
        entry(Entry::Settled(queue, first, last));
        next = last.checked_add(1);
    }
    Some(())
}

fn queue(rest: &mut &[u8]) -> Option<QueueId> {
    varint::take(rest).map(QueueId)
}

fn target(rest: &mut &[u8]) -> Option<(QueueId, Seq)> {
    Some((queue(rest)?, varint::take(rest)?))
}

/// Appends the body of a SETTLED record; `ranges` are sorted and apart.
pub(crate) fn put_settled(buf: &mut Vec<u8>, queue: QueueId, ranges: &[(Seq, Seq)]) {
    varint::put(buf, queue.0);
    varint::put(buf, ranges.len() as u64);
    let mut next = 0;
    for &(first, last) in ranges {
        varint::put(buf, first.wrapping_sub(next));
        varint::put(buf, last - first);
        next = last.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges_of(body: &[u8]) -> Vec<(Seq, Seq)> {
        let mut ranges = Vec::new();
        read(SETTLED, body, &mut |entry| match entry {
            Entry::Settled(QueueId(7), first, last) => ranges.push((first, last)),
            other => panic!("{other:?}"),
        })
        .unwrap();
        ranges
    }

    #[test]
    fn ranges_come_back() {
        let ranges = [(0, 0), (2, 9), (1000, u64::MAX - 2), (u64::MAX, u64::MAX)];
        let mut body = Vec::new();
        put_settled(&mut body, QueueId(7), &ranges);
        assert_eq!(ranges_of(&body), ranges);
    }

    proptest! {
        /// Whatever the bytes, reading neither panics nor says half of a record.
        #[test]
        fn any_bytes_are_read_or_refused(kind in 0u8..9, body: Vec<u8>) {
            let mut said = 0;
            if read(kind, &body, &mut |_| said += 1).is_err() {
                prop_assert_eq!(said, 0);
            }
        }
    }
}
