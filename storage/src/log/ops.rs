//! What a batch does to the index, gathered beside its bytes.
//!
//! Operations travel with the bytes they describe and are applied by the log's thread, in the
//! order of the log, once those bytes are durable.

use super::{QueueId, Seq};

/// One change of the index. Small and flat: they are copied under the lock of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// What follows stands in this segment; offsets count from `base`.
    At { segment: u32, base: u32 },
    /// A message, live from here on. `at` is where its record starts.
    Message {
        queue: QueueId,
        seq: Seq,
        at: u32,
        weight: u32,
        sharers: u8,
    },
    /// Numbers that are settled, both inclusive.
    Settled {
        queue: QueueId,
        first: Seq,
        last: Seq,
    },
    /// The queue and all it held.
    Gone { queue: QueueId },
    /// Handed out up to here.
    Delivered { queue: QueueId, up_to: Seq },
    /// How often one message was delivered.
    Count {
        queue: QueueId,
        seq: Seq,
        count: u32,
    },
    /// What follows are copies of records of this segment.
    CopiesOf { segment: u32 },
    /// A copy: moves the message if it still stands at `old`.
    Copy {
        queue: QueueId,
        seq: Seq,
        at: u32,
        old: u32,
        weight: u32,
        sharers: u8,
    },
    /// Settlements of messages in this segment stand here.
    DependsOn { segment: u32 },
    /// All settlements of this segment stand here as well.
    Inherit { segment: u32 },
}

/// How many targets share one record, as a power of two rounded up: 0 for one, at most 7.
pub(crate) fn sharers(targets: usize) -> u8 {
    targets.next_power_of_two().trailing_zeros().min(7) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_stays_small() {
        assert!(size_of::<Op>() <= 32, "{}", size_of::<Op>());
    }

    #[test]
    fn sharers_are_rounded_up() {
        let of = [
            (1, 0),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (128, 7),
            (100_000, 7),
        ];
        of.iter().for_each(|(n, log)| assert_eq!(sharers(*n), *log));
    }
}
