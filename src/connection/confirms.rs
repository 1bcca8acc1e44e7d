//! Publisher confirms of one channel: which publishes may be answered, and how few frames say so.
//!
//! Confirms are sent in publish order: one cumulative ack for everything that has become safe,
//! split only around nacks (H-41 to H-47). A pure state machine; positions are the commit log's.

use std::collections::VecDeque;

use warren_amqp::{put_ack, put_nack};
use warren_storage::Position;

/// Publishes up to `last` with one fate.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    last: u64,
    position: Position,
    nack: bool,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    published: u64,
    answered: u64,
    /// Of the answers not counted yet: publishes acked.
    acked: u64,
    runs: VecDeque<Run>,
}

impl Confirms {
    /// Counts a publish and returns its sequence number, from 1.
    pub(crate) fn next(&mut self) -> u64 {
        self.published += 1;
        self.published
    }

    /// Publishes not answered yet.
    pub(crate) fn unanswered(&self) -> u64 {
        self.published - self.answered
    }

    /// Publishes acked since the last call.
    pub(crate) fn take_acked(&mut self) -> u64 {
        std::mem::take(&mut self.acked)
    }

    /// Publishes up to `last` were handled: answer once the log is durable up to `position`.
    pub(crate) fn handled(&mut self, last: u64, position: Position, nack: bool) {
        match self.runs.back_mut() {
            Some(run) if run.nack == nack && run.position >= position && !nack => run.last = last,
            _ => self.runs.push_back(Run {
                last,
                position,
                nack,
            }),
        }
    }

    /// The log failed: what it has not made durable never will be, and is answered with nack.
    pub(crate) fn refuse_undurable(&mut self, durable: Position) {
        for run in self.runs.iter_mut().filter(|run| run.position > durable) {
            run.nack = true;
            run.position = 0;
        }
    }

    /// Writes the answers that are due and returns the position the next one waits for.
    pub(crate) fn answer(
        &mut self,
        durable: Position,
        out: &mut Vec<u8>,
        channel: u16,
    ) -> Option<Position> {
        let mut ack_up_to = 0;
        while let Some(run) = self.runs.front() {
            if run.position > durable {
                break;
            }
            let Some(run) = self.runs.pop_front() else {
                break;
            };
            if run.nack {
                self.ack(&mut ack_up_to, out, channel);
                put_nack(out, channel, run.last, run.last - self.answered > 1);
                self.answered = run.last;
            } else {
                ack_up_to = run.last;
            }
        }
        self.ack(&mut ack_up_to, out, channel);
        self.runs.front().map(|run| run.position)
    }

    fn ack(&mut self, up_to: &mut u64, out: &mut Vec<u8>, channel: u16) {
        if *up_to > self.answered {
            put_ack(out, channel, *up_to, *up_to - self.answered > 1);
            self.acked += *up_to - self.answered;
            self.answered = *up_to;
        }
        *up_to = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_amqp::frame;
    use warren_amqp::method::{method_ids, parse_ack, parse_nack};

    use super::*;

    /// (tag, multiple, nack) of each answer.
    fn answers(out: &[u8]) -> Vec<(u64, bool, bool)> {
        let mut at = 0;
        let mut found = Vec::new();
        while let Some((frame, used)) = frame::split(&out[at..], 0).unwrap() {
            at += used;
            let args = &frame.payload[4..];
            match method_ids(frame.payload).unwrap() {
                (60, 80) => {
                    let ack = parse_ack(args).unwrap();
                    found.push((ack.delivery_tag, ack.multiple, false));
                }
                (60, 120) => {
                    let nack = parse_nack(args).unwrap();
                    found.push((nack.delivery_tag, nack.multiple, true));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        found
    }

    #[test]
    fn one_cumulative_ack_for_all_that_is_due() {
        let mut confirms = Confirms::default();
        (0..5).for_each(|_| assert_ne!(confirms.next(), 0));
        confirms.handled(3, 10, false);
        confirms.handled(5, 20, false);
        let mut out = Vec::new();
        assert_eq!(confirms.answer(9, &mut out, 1), Some(10));
        assert!(out.is_empty());
        assert_eq!(confirms.answer(10, &mut out, 1), Some(20));
        assert_eq!(confirms.answer(20, &mut out, 1), None);
        assert_eq!(answers(&out), [(3, true, false), (5, true, false)]);
    }

    #[test]
    fn a_nack_is_never_covered_by_an_ack() {
        let mut confirms = Confirms::default();
        (0..4).for_each(|_| assert_ne!(confirms.next(), 0));
        confirms.handled(2, 0, false);
        confirms.handled(3, 0, true);
        confirms.handled(4, 0, false);
        let mut out = Vec::new();
        assert_eq!(confirms.answer(0, &mut out, 1), None);
        assert_eq!(
            answers(&out),
            [(2, true, false), (3, false, true), (4, false, false)]
        );
    }

    proptest! {
        /// Every publish is answered exactly once, with its own fate, never before its position.
        #[test]
        fn each_publish_is_answered_once(
            runs in prop::collection::vec((1u64..5, 0u64..3, any::<bool>()), 1..30),
        ) {
            let mut confirms = Confirms::default();
            let (mut fates, mut position) = (Vec::new(), 0);
            for (n, ahead, nack) in runs {
                position += ahead;
                for _ in 0..n {
                    let tag = confirms.next();
                    confirms.handled(tag, position, nack);
                    fates.push((position, nack));
                }
            }
            let mut answered = 0;
            for durable in 0..=position {
                let mut out = Vec::new();
                confirms.answer(durable, &mut out, 1);
                for (tag, multiple, nack) in answers(&out) {
                    prop_assert!(multiple || tag == answered + 1);
                    for covered in answered..tag {
                        let (position, fate) = fates[covered as usize];
                        prop_assert!(position <= durable && fate == nack);
                    }
                    answered = tag;
                }
            }
            prop_assert_eq!(answered, fates.len() as u64);
            prop_assert_eq!(confirms.unanswered(), 0);
        }
    }
}
