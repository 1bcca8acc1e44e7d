//! A message as the log keeps it: its meta data, then its wire bytes.

use warren_storage::{Batch, QueueId, Seq};

use crate::message::{FLAG_PAGED, FLAG_PERSISTENT, Message, Meta};

/// What is written of a message that is to survive a restart, also if only its queue says so.
pub(crate) fn lasting(meta: Meta) -> Meta {
    Meta {
        flags: meta.flags | FLAG_PERSISTENT,
        ..meta
    }
}

/// What is written of a message that is in the log for want of memory only.
pub(crate) fn paged_only(meta: Meta) -> Meta {
    Meta {
        flags: meta.flags | FLAG_PAGED,
        ..meta
    }
}

/// The log record of a message that is to be paged out of this queue.
pub(crate) fn record_paged(log: &mut Batch, target: (QueueId, Seq), message: &Message) {
    let parts = [message.address(), message.header(), message.body()];
    let meta = paged_only(message.meta());
    record(log, &[target], meta, parts, message.enqueued_ms());
}

/// The log record of one message: what [`Broker`](crate::Broker) needs to rebuild it, then its wire bytes.
pub(crate) fn record(
    log: &mut Batch,
    targets: &[(QueueId, Seq)],
    meta: Meta,
    [address, header, body]: [&[u8]; 3],
    taken_ms: u64,
) {
    let mut prefix = [0u8; RECORD_PREFIX];
    prefix[0] = meta.priority;
    prefix[1..9].copy_from_slice(&meta.expiration_ms.to_le_bytes());
    prefix[9..11].copy_from_slice(&(address.len() as u16).to_le_bytes());
    prefix[11..15].copy_from_slice(&(header.len() as u32).to_le_bytes());
    log.message(
        taken_ms,
        meta.flags,
        body.len() as u32,
        targets,
        &[&prefix, address, header, body],
    );
}

/// Priority (1), expiration in ms (8), address length (2), header length (4); little endian.
const RECORD_PREFIX: usize = 15;

/// Takes a log record's payload apart again: meta data and the three parts. `None` when it is
/// not one of ours.
pub(crate) fn read_record(flags: u8, payload: &[u8]) -> Option<(Meta, [&[u8]; 3])> {
    let (prefix, rest) = payload.split_first_chunk::<RECORD_PREFIX>()?;
    let expiration_ms = u64::from_le_bytes(prefix[1..9].try_into().ok()?);
    let address_len = u16::from_le_bytes(prefix[9..11].try_into().ok()?);
    let header_len = u32::from_le_bytes(prefix[11..15].try_into().ok()?);
    let (address, rest) = rest.split_at_checked(usize::from(address_len))?;
    let (header, body) = rest.split_at_checked(header_len as usize)?;
    Some((
        Meta {
            flags,
            priority: prefix[0],
            expiration_ms,
        },
        [address, header, body],
    ))
}
