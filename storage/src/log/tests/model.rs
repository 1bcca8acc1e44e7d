//! The log against a model: whatever is done and whenever the power fails, what was durable is
//! there, what was settled durably is gone, transactions are whole.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::testing::Op;

type Target = (QueueId, Seq);

#[derive(Clone, Debug)]
enum Step {
    Publish {
        queues: u8,
        count: u8,
        bytes: u16,
        urgent: bool,
    },
    /// Settles some of what is live, by position.
    Settle {
        picks: Vec<u8>,
        urgent: bool,
    },
    /// Settles all of a queue up to one of its live messages.
    SettleRange {
        pick: u8,
        urgent: bool,
    },
    Tx {
        queues: u8,
        count: u8,
        picks: Vec<u8>,
        urgent: bool,
    },
    Delivered {
        queue: u8,
        back: u8,
    },
    Count {
        pick: u8,
        count: u8,
    },
    QueueGone {
        queue: u8,
    },
    Sync,
    /// What the keeper does, if there is none.
    Tidy,
    /// The power will fail in the middle of something.
    PowerOff {
        after: u8,
    },
    Crash {
        dice: u64,
    },
    /// The process dies, the system does not.
    Kill,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let picks = || prop::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        8 => (1u8..8, 1u8..4, 0u16..150, any::<bool>())
            .prop_map(|(queues, count, bytes, urgent)| Step::Publish { queues, count, bytes, urgent }),
        8 => (picks(), any::<bool>()).prop_map(|(picks, urgent)| Step::Settle { picks, urgent }),
        2 => (any::<u8>(), any::<bool>())
            .prop_map(|(pick, urgent)| Step::SettleRange { pick, urgent }),
        3 => (1u8..8, 0u8..3, picks(), any::<bool>())
            .prop_map(|(queues, count, picks, urgent)| Step::Tx { queues, count, picks, urgent }),
        1 => (0u8..3, 0u8..4).prop_map(|(queue, back)| Step::Delivered { queue, back }),
        1 => (any::<u8>(), 1u8..9).prop_map(|(pick, count)| Step::Count { pick, count }),
        1 => (0u8..3).prop_map(|queue| Step::QueueGone { queue }),
        4 => Just(Step::Sync),
        2 => Just(Step::Tidy),
        1 => (0u8..12).prop_map(|after| Step::PowerOff { after }),
        2 => any::<u64>().prop_map(|dice| Step::Crash { dice }),
        1 => Just(Step::Kill),
        1 => Just(Step::Reopen),
    ]
}

/// What is known of one target of a message.
#[derive(Clone, Debug)]
struct Known {
    payload: Vec<u8>,
    appended: Position,
    /// Where its settlement ends, if it has one.
    settled: Option<Position>,
    counts: Vec<(Position, u32)>,
}

/// A transaction that may not be durable: what it published and settled, and nothing else
/// touched since.
#[derive(Clone, Debug, Default)]
struct Tx {
    end: Position,
    published: Vec<Target>,
    settled: Vec<Target>,
}

struct World {
    disk: MemDisk,
    log: Option<MessageLog>,
    queues: [QueueId; 3],
    next_queue: u64,
    next_seq: BTreeMap<QueueId, Seq>,
    known: BTreeMap<Target, Known>,
    delivered: Vec<(Position, QueueId, Seq)>,
    gone: BTreeMap<QueueId, Position>,
    txs: Vec<Tx>,
    segment_bytes: u32,
    /// The log has a keeper.
    kept: bool,
    /// As of the last restart.
    damaged: Vec<Damage>,
}

/// The log has failed: time for the crash.
struct Failed;

impl World {
    fn new(segment_bytes: u32, kept: bool) -> Self {
        let disk = MemDisk::new();
        let (log, ..) = try_open_with(&disk, segment_bytes, kept).unwrap();
        Self {
            disk,
            log: Some(log),
            queues: [QueueId(1), QueueId(2), QueueId(3)],
            next_queue: 4,
            next_seq: BTreeMap::new(),
            known: BTreeMap::new(),
            delivered: Vec::new(),
            gone: BTreeMap::new(),
            txs: Vec::new(),
            segment_bytes,
            kept,
            damaged: Vec::new(),
        }
    }

    fn take_seq(&mut self, queue: QueueId) -> Seq {
        let next = self.next_seq.entry(queue).or_insert(1);
        *next += 1;
        *next - 1
    }

    fn live(&self) -> Vec<Target> {
        let live = self.known.iter().filter(|(target, known)| {
            known.settled.is_none() && !self.gone.contains_key(&target.0)
        });
        live.map(|(target, _)| *target).collect()
    }

    fn append(&self, batch: &mut Batch, urgent: bool) -> Result<Appended, Failed> {
        self.log
            .as_ref()
            .unwrap()
            .append(batch, urgent)
            .map_err(|_| Failed)
    }

    /// Adds messages to the batch; they become known with [`World::published`].
    fn publish(
        &mut self,
        batch: &mut Batch,
        queues: u8,
        count: u8,
        bytes: u16,
    ) -> Vec<(Target, Vec<u8>)> {
        let mut published = Vec::new();
        for _ in 0..count {
            let queues = (0..3)
                .filter(|n| queues & (1 << n) != 0)
                .map(|n| self.queues[n]);
            let targets: Vec<Target> = queues
                .collect::<Vec<_>>()
                .into_iter()
                .map(|queue| (queue, self.take_seq(queue)))
                .collect();
            let payload = vec![targets[0].1 as u8; usize::from(bytes)];
            let weight = u32::from(bytes) + 3;
            batch.message(9, 1, weight, &targets, &[&payload, b"end"]);
            let payload = [payload, b"end".to_vec()].concat();
            published.extend(targets.into_iter().map(|target| (target, payload.clone())));
        }
        published
    }

    fn published(&mut self, published: &[(Target, Vec<u8>)], at: Appended) {
        for (target, payload) in published {
            self.known.insert(
                *target,
                Known {
                    payload: payload.clone(),
                    appended: at.end,
                    settled: None,
                    counts: Vec::new(),
                },
            );
        }
    }

    /// Settles what is picked among the live.
    fn settle(&mut self, batch: &mut Batch, picks: &[u8]) -> Vec<Target> {
        let mut live = self.live();
        let mut settled = Vec::new();
        for pick in picks {
            if !live.is_empty() {
                let target = live.remove(usize::from(*pick) % live.len());
                batch.settle(target.0, target.1);
                settled.push(target);
            }
        }
        settled
    }

    fn settled(&mut self, settled: &[Target], end: Position) {
        for target in settled {
            self.known.get_mut(target).unwrap().settled = Some(end);
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), Failed> {
        let mut batch = Batch::new();
        match step {
            Step::Publish {
                queues,
                count,
                bytes,
                urgent,
            } => {
                let published = self.publish(&mut batch, *queues, *count, *bytes);
                let at = self.append(&mut batch, *urgent)?;
                self.published(&published, at);
            }
            Step::Settle { picks, urgent } => {
                let settled = self.settle(&mut batch, picks);
                let end = self.append(&mut batch, *urgent)?.end;
                self.settled(&settled, end);
            }
            Step::SettleRange { pick, urgent } => {
                let live = self.live();
                if let Some(last) = live.get(usize::from(*pick) % live.len().max(1)) {
                    batch.settle_range(last.0, 0, last.1);
                    let settled: Vec<Target> = live
                        .iter()
                        .filter(|target| target.0 == last.0 && target.1 <= last.1)
                        .copied()
                        .collect();
                    let end = self.append(&mut batch, *urgent)?.end;
                    self.settled(&settled, end);
                    // The range settles once more what a transaction has settled already.
                    let within = |target: &Target| target.0 == last.0 && target.1 <= last.1;
                    for tx in &mut self.txs {
                        tx.settled.retain(|target| !within(target));
                    }
                }
            }
            Step::Tx {
                queues,
                count,
                picks,
                urgent,
            } => {
                batch.begin_tx();
                let published = self.publish(&mut batch, *queues, *count, 10);
                let settled = self.settle(&mut batch, picks);
                batch.end_tx();
                let at = self.append(&mut batch, *urgent)?;
                self.published(&published, at);
                self.settled(&settled, at.end);
                let published = published.iter().map(|(target, _)| *target).collect();
                self.txs.push(Tx {
                    end: at.end,
                    published,
                    settled,
                });
            }
            Step::Delivered { queue, back } => {
                let queue = self.queues[usize::from(*queue)];
                let next = self.next_seq.get(&queue).copied().unwrap_or(1);
                let up_to = next.saturating_sub(1 + u64::from(*back));
                batch.delivered(queue, up_to);
                let end = self.append(&mut batch, false)?.end;
                self.delivered.push((end, queue, up_to));
            }
            Step::Count { pick, count } => {
                let live = self.live();
                if let Some(target) = live.get(usize::from(*pick) % live.len().max(1)) {
                    batch.delivery_count(target.0, target.1, (*count).into());
                    let end = self.append(&mut batch, false)?.end;
                    self.known
                        .get_mut(target)
                        .unwrap()
                        .counts
                        .push((end, (*count).into()));
                }
            }
            Step::QueueGone { queue } => self.queue_gone(usize::from(*queue))?,
            Step::Sync => {
                let log = self.log.as_ref().unwrap();
                log.wait_durable(log.end()).map_err(|_| Failed)?;
            }
            Step::Tidy if !self.kept => {
                let log = self.log.as_ref().unwrap();
                log.tidy();
                log.failure().map_or(Ok(()), |_| Err(Failed))?;
            }
            Step::PowerOff { after } => self.disk.power_off_after(usize::from(*after)),
            Step::Tidy | Step::Crash { .. } | Step::Kill | Step::Reopen => {}
        }
        Ok(())
    }

    fn queue_gone(&mut self, slot: usize) -> Result<(), Failed> {
        let queue = self.queues[slot];
        let mut batch = Batch::new();
        batch.queue_gone(queue);
        let end = self.append(&mut batch, true)?.end;
        self.gone.insert(queue, end);
        self.queues[slot] = QueueId(self.next_queue);
        self.next_queue += 1;
        Ok(())
    }

    /// The log goes down in some way and comes back; what it then says is checked and becomes
    /// what is known.
    fn restart(&mut self, how: &Step) {
        let log = self.log.take().unwrap();
        match how {
            Step::Reopen => {
                // The power may go while closing.
                if log.close().is_ok() {
                    assert_eq!(log.durable_up_to(), log.end());
                    assert_eq!(log.segments().live, self.live().len() as u64);
                } else {
                    self.disk.crash(&mut |_| 0);
                }
            }
            Step::Kill => {
                self.disk.power_off_after(0);
                let _ = log.close();
                self.disk.kill();
            }
            Step::Crash { dice } => {
                self.disk.power_off_after(0);
                let _ = log.close();
                let mut state = *dice | 1;
                self.disk.crash(&mut |n| {
                    state = crate::framing::record::mix(state);
                    (state % n as u64) as usize
                });
            }
            other => panic!("{other:?}"),
        }
        let durable = log.durable_up_to();
        drop(log);
        self.disk.power_off_after(usize::MAX / 2);
        let (log, report, seen) = try_open_with(&self.disk, self.segment_bytes, self.kept).unwrap();
        // A write torn in several places leaves what looks like damage; nothing else does.
        let is_known = |damage: &Damage| self.damaged.contains(damage);
        let is_torn = matches!(how, Step::Crash { .. });
        assert!(
            is_torn || report.damaged.iter().all(is_known),
            "{:?}",
            report.damaged
        );
        self.damaged.clone_from(&report.damaged);
        self.check(durable, &report, &seen);
        self.log = Some(log);
        self.adopt(&report, &seen);
    }

    fn check(&self, durable: Position, report: &RecoveryReport, seen: &[Seen]) {
        let here: BTreeSet<Target> = seen.iter().map(|message| message.target).collect();
        for (target, known) in &self.known {
            let gone = self.gone.get(&target.0);
            let surely_gone = [known.settled.as_ref(), gone]
                .into_iter()
                .flatten()
                .any(|settled| *settled <= durable);
            let touched = known.settled.is_some() || gone.is_some();
            if known.appended <= durable && !touched {
                assert!(
                    here.contains(target),
                    "{target:?} was durable and is lost: {known:?}"
                );
            }
            if surely_gone {
                assert!(!here.contains(target), "{target:?} is back: {known:?}");
            }
        }
        seen.iter()
            .for_each(|message| self.check_message(durable, message));
        self.txs
            .iter()
            .for_each(|tx| self.check_tx(tx, durable, &here));
        for target in &here {
            let queue = report.queues.iter().find(|it| it.queue == target.0);
            assert!(queue.unwrap().highest >= target.1);
        }
    }

    fn check_message(&self, durable: Position, message: &Seen) {
        let target = message.target;
        let known = self.known.get(&target).expect("never published");
        assert_eq!(message.payload, known.payload);
        let marks = self.delivered.iter();
        let marks = marks.filter(|(_, q, up_to)| *q == target.0 && target.1 <= *up_to);
        let (may, must) = marks.fold((false, false), |(_, must), (at, ..)| {
            (true, must || *at <= durable)
        });
        assert!(
            if message.redelivered { may } else { !must },
            "{target:?} {known:?}"
        );
        let counts = || known.counts.iter();
        let must = counts()
            .filter(|(at, _)| *at <= durable)
            .map(|(_, n)| *n)
            .max()
            .unwrap_or(0);
        let may = counts().map(|(_, n)| *n).max().unwrap_or(0);
        assert!(
            (must..=may).contains(&message.delivery_count),
            "{target:?} {known:?}"
        );
    }

    /// All or nothing, as far as nothing else says why.
    fn check_tx(&self, tx: &Tx, durable: Position, here: &BTreeSet<Target>) {
        let untouched = |target: &&Target| !self.gone.contains_key(&target.0);
        let published = tx.published.iter().filter(untouched);
        let published = published.filter(|target| self.known[*target].settled.is_none());
        let settled = tx.settled.iter().filter(untouched);
        let settled = settled.filter(|target| self.known[*target].appended <= durable);
        let outcomes: BTreeSet<bool> = published
            .map(|target| here.contains(target))
            .chain(settled.map(|target| !here.contains(target)))
            .collect();
        assert!(outcomes.len() < 2, "half of {tx:?}");
        assert!(
            tx.end > durable || !outcomes.contains(&false),
            "lost {tx:?}"
        );
    }

    /// From here on, what was recovered is all there is.
    fn adopt(&mut self, report: &RecoveryReport, seen: &[Seen]) {
        let here: BTreeSet<Target> = seen.iter().map(|message| message.target).collect();
        self.known.retain(|target, _| here.contains(target));
        for message in seen {
            let known = self.known.get_mut(&message.target).unwrap();
            known.appended = 0;
            known.settled = None;
            known.counts = vec![(0, message.delivery_count)];
        }
        // Flags that came back stay; whether those that did not stay away is not asked, since a
        // mark covers messages to come as well.
        let flagged = seen.iter().filter(|message| message.redelivered);
        let mut up_to: BTreeMap<QueueId, Seq> = BTreeMap::new();
        flagged.for_each(|message| {
            let known = up_to.entry(message.target.0).or_default();
            *known = (*known).max(message.target.1);
        });
        self.delivered = up_to
            .into_iter()
            .map(|(queue, seq)| (0, queue, seq))
            .collect();
        self.next_seq = report
            .queues
            .iter()
            .map(|queue| (queue.queue, queue.highest + 1))
            .collect();
        // A queue whose end was not durable is still there if anything of it came back.
        self.gone
            .retain(|queue, _| !here.iter().any(|target| target.0 == *queue));
        self.txs.clear();
    }
}

/// What the disk was doing, and what the caller, when the power failed.
type Points = BTreeMap<(&'static str, &'static str), usize>;

fn run(steps: &[Step], mut world: World, dice: u64, points: &RefCell<Points>) {
    let mut last = "append";
    let crash = |world: &mut World, doing: &'static str, dice: u64| {
        let call = match world.disk.ops().last() {
            None | Some(Op::Write) => "write",
            Some(Op::Sync) => "sync",
            Some(Op::Name) => "name",
            Some(Op::SyncDir) => "sync of names",
        };
        *points.borrow_mut().entry((call, doing)).or_default() += 1;
        world.restart(&Step::Crash { dice });
    };
    for step in steps {
        match step {
            Step::Kill | Step::Reopen => world.restart(step),
            Step::Crash { dice } => crash(&mut world, last, *dice),
            step => {
                last = match step {
                    Step::Settle { .. } | Step::SettleRange { .. } => "settle",
                    Step::Tx { .. } => "transaction",
                    Step::QueueGone { .. } => "queue gone",
                    Step::Tidy => "removal and compaction",
                    _ => "append",
                };
                if world.run(step).is_err() {
                    crash(&mut world, last, dice);
                }
            }
        }
    }
    crash(&mut world, last, dice);
}

/// Segments of a few messages, so that segments are begun and removed all the time, and every
/// block of the index that can be in the scratch file is.
#[test]
fn the_log_keeps_its_promise() {
    let config = ProptestConfig {
        cases: 3000,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let strategy = (
        prop::collection::vec(step(), 1..80),
        prop_oneof![Just(300u32), Just(1000), Just(1 << 20)],
        any::<bool>(),
        any::<u64>(),
    );
    let points = RefCell::new(Points::new());
    let outcome = TestRunner::new(config).run(&strategy, |(steps, segment_bytes, kept, dice)| {
        run(&steps, World::new(segment_bytes, kept), dice, &points);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let points = points.into_inner();
    let crashes: usize = points.values().sum();
    println!("{crashes} crashes: {points:#?}");
    assert!(crashes >= 10_000, "{crashes}");
}
