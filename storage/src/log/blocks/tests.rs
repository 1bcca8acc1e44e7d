//! Blocks as a map from numbers to places, and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::slot::OVERHEAD;
use super::*;
use crate::log::spill::Spill;
use crate::testing::MemDisk;

fn slot(n: u32) -> Slot {
    Slot::new(n + 1, n * 4, n, (n % 8) as u8)
}

#[test]
fn a_slot_is_twelve_bytes_and_keeps_all_it_is_given() {
    assert_eq!(size_of::<Slot>(), 12);
    let slot = Slot::new(u32::MAX, (1 << 31) - 4, u32::MAX, 7);
    assert_eq!((slot.segment(), slot.offset()), (u32::MAX, (1 << 31) - 4));
    assert_eq!(slot.weight(), u32::MAX);
    assert_eq!(slot.share(), (u64::from(u32::MAX) + OVERHEAD) >> 7);
}

#[test]
fn a_backlog_costs_twelve_bytes_a_message() {
    let (mut queue, mut pool) = (QueueIndex::new(QueueId(1)), Pool::default());
    for seq in 0..100_000 {
        queue.set(seq, slot(1), &mut pool);
    }
    assert!(pool.bytes() <= 12 * 100_000 + 12 * 1024);
}

#[test]
fn what_comes_and_goes_takes_little_and_gives_it_back() {
    let (mut queue, mut pool) = (QueueIndex::new(QueueId(1)), Pool::default());
    for seq in 0..100_000u64 {
        queue.set(seq, slot(1), &mut pool);
        if seq >= 3 {
            queue.take_range(seq - 3, seq - 3, &mut pool, &mut |_, _| {});
        }
        assert!(pool.slots <= 32, "{} at {seq}", pool.slots);
    }
    queue.take_range(0, u64::MAX - 1, &mut pool, &mut |_, _| {});
    assert_eq!((queue.live(), queue.blocks.len(), pool.slots), (0, 0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Set(u64),
    Take(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let seq = || prop_oneof![0u64..40, 1000u64..1100, 0u64..9000];
    prop_oneof![
        3 => seq().prop_map(Step::Set),
        1 => (seq(), 0u64..3000).prop_map(|(first, len)| Step::Take(first, first + len)),
        1 => (seq(), 0u64..3).prop_map(|(first, len)| Step::Take(first, first + len)),
    ]
}

proptest! {
    #[test]
    fn it_is_a_map(steps in prop::collection::vec(step(), 0..200), spills: bool) {
        let mut queue = QueueIndex::new(QueueId(1));
        let disk = Arc::new(MemDisk::new());
        let mut pool = if spills {
            Pool::spilling(0, Spill::new(disk).unwrap())
        } else {
            Pool::default()
        };
        let mut model: BTreeMap<u64, Slot> = BTreeMap::new();
        for (n, step) in steps.iter().enumerate() {
            match *step {
                Step::Set(seq) => {
                    let slot = slot(n as u32);
                    prop_assert_eq!(queue.set(seq, slot, &mut pool), model.insert(seq, slot));
                }
                Step::Take(first, last) => {
                    let mut taken = Vec::new();
                    queue.take_range(first, last, &mut pool, &mut |seq, slot| taken.push((seq, slot)));
                    let expected: Vec<_> = model.range(first..=last).map(|(k, v)| (*k, *v)).collect();
                    prop_assert_eq!(taken, expected);
                    model.retain(|seq, _| !(first..=last).contains(seq));
                }
            }
            if n % 3 == 0 {
                while let Some((_, number)) = pool.cold.pop_back() {
                    queue.spill(number, &mut pool);
                }
                let last = queue.blocks.len().saturating_sub(1);
                let here = queue.blocks.iter().enumerate().filter(|(_, it)| it.away.is_none());
                prop_assert!(!spills || here.into_iter().all(|(at, _)| at == 0 || at == last));
            }
            prop_assert_eq!(queue.live(), model.len() as u64);
            let mut all = Vec::new();
            queue.each(0, u64::MAX - 1, &pool, &mut |seq, slot| {
                all.push((seq, slot));
                true
            });
            prop_assert_eq!(all, model.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            let capacity: usize = queue.blocks.iter().map(|block| block.slots.capacity()).sum();
            prop_assert_eq!(pool.slots, capacity);
            prop_assert!(queue.blocks.iter().all(|block| block.live > 0));
        }
        for seq in 0..9100 {
            prop_assert_eq!(queue.get(seq, &mut pool), model.get(&seq).copied());
        }
    }
}
