//! The order of ready messages, whatever is taken, put back, paged and loaded.

use proptest::prelude::*;

use super::*;
use crate::message::{Chunk, Message, Meta};

pub(crate) fn entry(seq: Seq, level: u8) -> Entry {
    let chunk = Chunk::single(b"\0\0", b"", b"x", Meta::default(), 0);
    Entry {
        seq,
        message: Message::new(&chunk, 0),
        logged: true,
        deliveries: 0,
        redelivered: false,
        release: false,
        level,
        deadline_ms: u64::MAX,
    }
}

#[test]
fn an_entry_stays_small() {
    assert!(size_of::<Entry>() <= 40, "{}", size_of::<Entry>());
}

/// Two publishers into one backlog: the later batch is first, and the other one was inserted
/// message by message into the middle, which took minutes.
#[test]
fn late_batches_take_their_places_quickly() {
    let mut ready = Ready::new(0);
    let batch = 4096;
    for pair in 0..50 {
        let first = pair * 2 * batch;
        (first + batch..first + 2 * batch).for_each(|seq| ready.push(entry(seq, 0)));
        ready.settle_late();
        (first..first + batch).for_each(|seq| ready.push(entry(seq, 0)));
        ready.settle_late();
    }
    let order = ready.order();
    assert!(order.is_sorted() && order.len() as u64 == 100 * batch);
}

#[derive(Clone, Debug)]
enum Op {
    Push(Vec<u8>),
    Late(Vec<u8>),
    Pop(usize),
    Requeue { release: bool },
    Load { page: usize },
    LoadRacing { page: usize, pops: usize },
    Lose,
    DropAway(usize),
    PageOut,
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let levels = || prop::collection::vec(0u8..3, 1..12);
    prop_oneof![
        4 => levels().prop_map(Op::Push),
        2 => levels().prop_map(Op::Late),
        6 => (0usize..12).prop_map(Op::Pop),
        3 => any::<bool>().prop_map(|release| Op::Requeue { release }),
        6 => (1usize..9).prop_map(|page| Op::Load { page }),
        2 => (1usize..9, 0usize..9).prop_map(|(page, pops)| Op::LoadRacing { page, pops }),
        1 => Just(Op::Lose),
        1 => (1usize..9).prop_map(Op::DropAway),
        2 => Just(Op::PageOut),
        1 => Just(Op::Drain),
    ]
}

struct Model {
    ready: Ready,
    /// What must be ready, in delivery order.
    order: Vec<(u8, Seq)>,
    out: Vec<Entry>,
    next: Seq,
}

impl Model {
    fn expect(&mut self, level: u8, seq: Seq) {
        self.order.push((level, seq));
        self.order
            .sort_by_key(|(level, seq)| (u8::MAX - level, *seq));
    }

    fn arrive(&mut self, level: u8, seq: Seq) {
        if self.ready.pages(level) && !seq.is_multiple_of(5) {
            self.ready.push_paged(level, seq, 1);
        } else {
            let logged = !seq.is_multiple_of(5);
            self.ready.push(Entry {
                logged,
                ..entry(seq, level)
            });
        }
        self.expect(level, seq);
    }

    fn pop(&mut self, n: usize) {
        for _ in 0..n {
            let Some(entry) = self.ready.pop() else {
                assert_eq!(self.ready.head_away(), !self.ready.is_empty());
                return;
            };
            assert!(entry.message.is_present());
            assert_eq!((entry.level, entry.seq), self.order.remove(0));
            self.out.push(entry);
        }
    }

    fn load(&mut self, page: usize, pops: usize) {
        let limits = ResidentLimits {
            messages: page,
            bytes: 1 << 20,
        };
        let lacking = self.ready.lacking(self.ready.limits(), limits, true);
        let Some((level, seqs, _)) = lacking else {
            assert!(!self.ready.head_away());
            return;
        };
        assert!(!seqs.is_empty() && seqs.is_sorted());
        self.pop(pops);
        for seq in seqs {
            self.ready.load(entry(seq, level));
        }
        self.ready.end_load();
    }

    fn check(&self) {
        assert_eq!(self.ready.order(), self.order);
        assert_eq!(self.ready.body_bytes() as usize, self.order.len());
    }
}

proptest! {
    /// Whatever arrives, is taken, put back, paged and loaded: the order stays.
    #[test]
    fn the_order_survives_paging(ops in prop::collection::vec(op(), 1..60)) {
        let mut ready = Ready::new(2);
        ready.set_limits(ResidentLimits { messages: 24, bytes: 1 << 20 });
        let mut model = Model { ready, order: Vec::new(), out: Vec::new(), next: 1 };
        for op in ops {
            match op {
                Op::Push(levels) => {
                    for level in levels {
                        model.arrive(level, model.next);
                        model.next += 1;
                    }
                    model.ready.settle_late();
                }
                Op::Late(levels) => {
                    let n = levels.len() as u64;
                    let (first, second) = (model.next, model.next + n);
                    model.next += 2 * n;
                    for start in [second, first] {
                        for (seq, level) in (start..).zip(&levels) {
                            model.arrive(*level, seq);
                        }
                        model.ready.settle_late();
                    }
                }
                Op::Pop(n) => model.pop(n),
                Op::Requeue { release } => {
                    let mut back = std::mem::take(&mut model.out);
                    for entry in &mut back {
                        (entry.redelivered, entry.release) = (true, release);
                        model.expect(entry.level, entry.seq);
                    }
                    model.ready.requeue(back.into_iter().map(Entry::sent).collect());
                }
                Op::Load { page } => model.load(page, 0),
                Op::LoadRacing { page, pops } => model.load(page, pops),
                Op::Lose => {
                    let limits = ResidentLimits { messages: 3, bytes: 1 };
                    if let Some((level, gone, _)) = model.ready.lacking(limits, limits, true) {
                        model.ready.lost(level, &gone, |seq| {
                            model.order.retain(|(_, other)| *other != seq);
                        });
                        prop_assert!(model.order.iter().all(|(_, seq)| !gone.contains(seq)));
                    }
                }
                Op::DropAway(most) => match model.ready.drop_away(most) {
                    Some(DroppedAway::Range(first, last)) => {
                        prop_assert!(last - first < most as u64);
                        for seq in first..=last {
                            prop_assert_eq!(model.order.remove(0).1, seq);
                        }
                    }
                    Some(DroppedAway::Stub(entry)) => {
                        prop_assert_eq!(model.order.remove(0).1, entry.seq);
                    }
                    None => prop_assert!(!model.ready.head_away()),
                },
                Op::PageOut => {
                    let limits = model.ready.limits();
                    model.ready.set_limits(ResidentLimits { messages: 8, bytes: 1 << 20 });
                    let mut unlogged = Vec::new();
                    model.ready.page_out(4, &mut unlogged);
                    for entry in &unlogged {
                        prop_assert!(model.ready.now_logged(entry.level, entry.seq));
                    }
                    model.ready.page_out(0, &mut Vec::new());
                    model.ready.limits = limits;
                }
                Op::Drain => {
                    let mut gone = Vec::new();
                    let mut ranges = Vec::new();
                    model.ready.drain(|entry| gone.push(entry.seq), |a, b| ranges.extend(a..=b));
                    gone.extend(ranges);
                    gone.sort_unstable();
                    let mut all: Vec<Seq> = model.order.drain(..).map(|(_, seq)| seq).collect();
                    all.sort_unstable();
                    prop_assert_eq!(gone, all);
                }
            }
            model.check();
        }
    }

    /// Whatever is taken and put back, the order stays (priority down, sequence up).
    #[test]
    fn requeued_entries_find_their_place(
        levels in prop::collection::vec(0u8..3, 1..60),
        takes in prop::collection::vec((0usize..10, any::<bool>()), 0..20),
    ) {
        let mut ready = Ready::new(2);
        for (seq, level) in levels.iter().enumerate() {
            ready.push(entry(seq as u64, *level));
        }
        let mut out = Vec::new();
        for (n, back) in takes {
            for _ in 0..n {
                out.extend(ready.pop());
            }
            if back {
                ready.requeue(std::mem::take(&mut out));
            }
        }
        let order: Vec<(u8, u64)> = ready.iter().map(|e| (2 - e.level, e.seq)).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&order, &sorted);
        prop_assert_eq!(ready.len() + out.len(), levels.len());
        prop_assert_eq!(ready.body_bytes() as usize, ready.len());
    }
}
