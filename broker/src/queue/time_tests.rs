//! Property tests of a queue over simulated time: time to live and length limits, with timers that
//! do what the queue asked for and nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::entry::Entry;
use super::state::{Arrivals, Effects, Got, Logged, QueueState};
use crate::arguments::{Overflow, QueueArguments};
use crate::dead_letter::DeathReason;
use crate::message::{Chunk, FLAG_EXPIRES, Meta};

#[derive(Clone, Debug)]
enum Op {
    /// Messages with these expirations.
    Publish(Vec<Option<u64>>),
    /// So many milliseconds pass.
    Wait(u64),
    Get,
    Ack,
    Requeue,
    Reject,
}

fn op() -> impl Strategy<Value = Op> {
    let expiration = prop_oneof![2 => Just(None), 3 => (0u64..200).prop_map(Some)];
    prop_oneof![
        4 => prop::collection::vec(expiration, 1..5).prop_map(Op::Publish),
        4 => (1u64..120).prop_map(Op::Wait),
        3 => Just(Op::Get),
        1 => Just(Op::Ack),
        2 => Just(Op::Requeue),
        1 => Just(Op::Reject),
    ]
}

fn settings() -> impl Strategy<Value = QueueArguments> {
    let ttl = prop::option::of(1u64..150);
    let length = prop::option::of(0u64..6);
    let overflow = prop_oneof![
        Just(Overflow::DropHead),
        Just(Overflow::RejectPublish),
        Just(Overflow::RejectPublishDlx),
    ];
    (ttl, length, overflow).prop_map(|(message_ttl_ms, max_length, overflow)| QueueArguments {
        message_ttl_ms,
        max_length,
        overflow,
        dead_letter_exchange: Some(String::new()),
        ..QueueArguments::default()
    })
}

/// A queue, the time, and what became of its messages.
struct World {
    state: QueueState,
    settings: QueueArguments,
    fx: Effects,
    now_ms: u64,
    timers: BTreeSet<u64>,
    /// When each message expires, by number from 1 on; `u64::MAX` for never.
    deadlines: Vec<u64>,
    unacked: Vec<Entry>,
    gone: usize,
}

impl World {
    fn new(settings: QueueArguments) -> Self {
        Self {
            state: QueueState::new(settings.clone(), false, 0),
            settings,
            fx: Effects::default(),
            now_ms: 0,
            timers: BTreeSet::new(),
            deadlines: Vec::new(),
            unacked: Vec::new(),
            gone: 0,
        }
    }

    fn deadline(&self, seq: u64) -> u64 {
        self.deadlines[seq as usize - 1]
    }

    fn publish(&mut self, expirations: &[Option<u64>]) {
        let mut chunk = Chunk::default();
        let first_seq = self.deadlines.len() as u64 + 1;
        for expiration in expirations {
            let flags = expiration.map_or(0, |_| FLAG_EXPIRES);
            let meta = Meta {
                flags,
                priority: 0,
                expiration_ms: expiration.unwrap_or(0),
            };
            chunk.push(b"\0\0", b"", b"body", meta);
            let ttl = [*expiration, self.settings.message_ttl_ms];
            let ttl = ttl.into_iter().flatten().min();
            self.deadlines
                .push(ttl.map_or(u64::MAX, |ttl| self.now_ms + ttl));
        }
        let new = Arrivals {
            chunk: &chunk.share(self.now_ms),
            ranges: &[(0, expirations.len() as u32)],
            first_seq,
            logged: Logged::None,
        };
        self.state.enqueue(new, self.now_ms, &mut self.fx);
    }

    /// Time passes; timers fire when they are due, and see the time they were set for.
    fn wait(&mut self, ms: u64) -> Result<(), TestCaseError> {
        let until = self.now_ms + ms;
        while let Some(at) = self.timers.first().copied().filter(|at| *at <= until) {
            self.timers.remove(&at);
            self.now_ms = self.now_ms.max(at);
            self.state.expire(self.now_ms, &mut self.fx);
            self.settle_effects()?;
        }
        self.now_ms = until;
        Ok(())
    }

    fn get(&mut self) -> Result<(), TestCaseError> {
        match self.state.get(false, self.now_ms, &mut self.fx) {
            Got::Message(entry) => {
                prop_assert!(
                    self.deadline(entry.seq) > self.now_ms,
                    "expired, and delivered"
                );
                self.unacked.push(entry);
            }
            Got::Empty => prop_assert_eq!(self.state.depth().ready, 0),
            Got::Away => prop_assert!(false, "nothing is paged here"),
        }
        Ok(())
    }

    /// Takes what the last operation left behind, and checks that it may be so.
    fn settle_effects(&mut self) -> Result<(), TestCaseError> {
        self.timers.extend(self.fx.deadline.take());
        for (entry, reason) in std::mem::take(&mut self.fx.dead) {
            match reason {
                DeathReason::Expired => prop_assert!(
                    self.deadline(entry.seq) <= self.now_ms,
                    "{} died before its time",
                    entry.seq
                ),
                DeathReason::MaxLen => prop_assert!(self.settings.max_length.is_some()),
                DeathReason::Rejected => {}
                DeathReason::DeliveryLimit => prop_assert!(false, "it has no such limit"),
            }
            self.gone += 1;
        }
        let refused = std::mem::take(&mut self.fx.rejected).len();
        match self.settings.overflow {
            Overflow::DropHead => prop_assert_eq!(refused, 0),
            Overflow::RejectPublish => self.gone += refused,
            // Those are among the dead.
            Overflow::RejectPublishDlx => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let depth = self.state.depth();
        let known = depth.ready + self.unacked.len() + self.gone;
        prop_assert_eq!(known, self.deadlines.len(), "lost or doubled");
        if let (Some(limit), Overflow::DropHead) =
            (self.settings.max_length, self.settings.overflow)
        {
            prop_assert!(depth.ready as u64 <= limit);
        }
        // Whoever is to expire next is known to the timers, late at most by this operation.
        let head = self.state.ready().iter().map(|entry| entry.seq).next();
        if let Some(deadline) = head.map(|seq| self.deadline(seq))
            && deadline != u64::MAX
        {
            let first = self.timers.first();
            prop_assert!(
                first.is_some_and(|at| *at <= deadline),
                "no timer for the head"
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Nothing is delivered after its time or dies before it; every death is within the limits
    /// that are set; the head never outlives its time unnoticed; nothing is lost.
    #[test]
    fn q40_q46_q48_time_and_limits(
        settings in settings(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::new(settings);
        for op in ops {
            let now_ms = world.now_ms;
            match op {
                Op::Publish(expirations) => world.publish(&expirations),
                Op::Wait(ms) => world.wait(ms)?,
                Op::Get => world.get()?,
                Op::Ack => if let Some(entry) = world.unacked.pop() {
                    world.gone += 1;
                    world.state.acked(None, &[entry], now_ms, &mut world.fx);
                },
                Op::Requeue => if let Some(entry) = world.unacked.pop() {
                    world.state.requeue(None, vec![entry], now_ms, &mut world.fx);
                },
                Op::Reject => if let Some(entry) = world.unacked.pop() {
                    world.state.rejected(None, vec![entry], now_ms, &mut world.fx);
                },
            }
            world.settle_effects()?;
            world.check()?;
        }
    }
}
