//! The stamp in each body, and the proof that each message came once and in order.
//!
//! A consumer gets each producer's messages in rising order. Those it misses are with the queue's
//! other consumers, so over all of them count, sum and sum of squares of the sequence numbers must
//! be those of 0, 1, 2 ... A loss cannot hide behind a duplicate.

/// Who sent a message (2 bytes), its place among theirs from 0 (6), the run's clock in ns (8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) producer: u16,
    pub(crate) sequence: u64,
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// Writes the stamp over the start of a body of at least 16 bytes.
    pub(crate) fn put(self, body: &mut [u8]) {
        let id = u64::from(self.producer) << 48 | self.sequence;
        body[..8].copy_from_slice(&id.to_be_bytes());
        body[8..16].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads it; `None` from too short a body.
    pub(crate) fn read(body: &[u8]) -> Option<Stamp> {
        let (id, rest) = body.split_first_chunk()?;
        let id = u64::from_be_bytes(*id);
        let sent_ns = u64::from_be_bytes(*rest.first_chunk()?);
        Some(Stamp {
            producer: (id >> 48) as u16,
            sequence: id & ((1 << 48) - 1),
            sent_ns,
        })
    }
}

/// What one consumer got, or all consumers of a queue.
#[derive(Clone)]
pub(crate) struct Tally {
    /// By producer: the lowest number that would be in order; count, sum, sum of squares.
    seen: Vec<(u64, [u64; 3])>,
    /// Messages that came after a later one of the same producer, or again.
    disordered: u64,
    /// Messages that nobody here has sent.
    foreign: u64,
}

impl Tally {
    pub(crate) fn new(producers: u16) -> Tally {
        Tally {
            seen: vec![(0, [0; 3]); usize::from(producers)],
            disordered: 0,
            foreign: 0,
        }
    }

    /// Takes a delivery.
    pub(crate) fn add(&mut self, stamp: Option<Stamp>) {
        let Some(Stamp {
            producer, sequence, ..
        }) = stamp
        else {
            self.foreign += 1;
            return;
        };
        match self.seen.get_mut(usize::from(producer)) {
            Some((next, sums)) => {
                self.disordered += u64::from(sequence < *next);
                *next = sequence + 1;
                add_to(sums, [1, sequence, sequence.wrapping_mul(sequence)]);
            }
            None => self.foreign += 1,
        }
    }

    /// Adds what another consumer of the same queue got.
    pub(crate) fn merge(&mut self, other: &Tally) {
        for (mine, theirs) in self.seen.iter_mut().zip(&other.seen) {
            add_to(&mut mine.1, theirs.1);
        }
        self.disordered += other.disordered;
        self.foreign += other.foreign;
    }

    /// How many of a queue's messages are lost, duplicated, out of order (at least), if each
    /// producer sent so many.
    pub(crate) fn judge(&self, sent: &[u64]) -> [u64; 3] {
        let mut wrong = [0, self.foreign, self.disordered];
        for ((_, sums), &sent) in self.seen.iter().zip(sent) {
            let n = u128::from(sent);
            let sum = n * n.saturating_sub(1) / 2;
            let squares = sum * (2 * n).saturating_sub(1) / 3;
            let mixed = sums[0] == sent && sums[1..] != [sum as u64, squares as u64];
            wrong[0] += sent.saturating_sub(sums[0]) + u64::from(mixed);
            wrong[1] += sums[0].saturating_sub(sent) + u64::from(mixed);
        }
        wrong
    }
}

fn add_to(sums: &mut [u64; 3], more: [u64; 3]) {
    sums.iter_mut()
        .zip(more)
        .for_each(|(sum, more)| *sum = sum.wrapping_add(more));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(got: &[(u16, u64)]) -> Tally {
        let mut tally = Tally::new(2);
        for &(producer, sequence) in got {
            let (stamp, mut body) = (
                Stamp {
                    producer,
                    sequence,
                    sent_ns: 7,
                },
                [0; 20],
            );
            stamp.put(&mut body);
            assert_eq!(Stamp::read(&body), Some(stamp));
            tally.add(Some(stamp));
        }
        tally
    }

    #[test]
    fn consumers_of_one_queue_complete_each_other() {
        let mut all = tally(&[(0, 0), (1, 0), (0, 2)]);
        all.merge(&tally(&[(0, 1), (0, 3)]));
        assert_eq!(all.judge(&[4, 1]), [0, 0, 0]);
        assert_eq!(all.judge(&[5, 1]), [1, 0, 0], "one lost");
        assert_eq!(all.judge(&[4, 0]), [0, 1, 0], "one too many");
        let mut mixed = tally(&[(0, 0), (0, 1)]);
        mixed.merge(&tally(&[(0, 1)]));
        assert_eq!(
            mixed.judge(&[3, 0]),
            [1, 1, 0],
            "one twice instead of another"
        );
    }

    #[test]
    fn disorder_and_strangers_are_seen() {
        assert_eq!(tally(&[(0, 1), (0, 0)]).judge(&[2, 0]), [0, 0, 1]);
        assert_eq!(tally(&[(9, 0)]).judge(&[0, 0]), [0, 1, 0]);
        assert_eq!(Stamp::read(&[0; 15]), None);
    }
}
