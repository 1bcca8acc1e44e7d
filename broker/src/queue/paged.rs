//! The numbers of a level's messages that are in the commit log only.
//!
//! An exact set, ordered, at 16 bytes for each 64 consecutive numbers: a backlog of ten million
//! messages takes 2.5 MB. Exact, because the log also holds what is unacked or of another level.

use std::collections::VecDeque;

use warren_storage::Seq;

/// Numbers in one block.
const BLOCK: u64 = 64;

/// Numbers `number * 64 ..` whose bits are set; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    number: u64,
    bits: u64,
}

impl Block {
    fn first(self) -> Seq {
        self.number * BLOCK + u64::from(self.bits.trailing_zeros())
    }

    fn has(self, bit: u64) -> Option<Seq> {
        (self.bits & (1 << bit) != 0).then_some(self.number * BLOCK + bit)
    }
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(crate) struct Paged {
    blocks: VecDeque<Block>,
    len: usize,
}

impl Paged {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The lowest.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.blocks.front().map(|block| block.first())
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, seq: Seq) {
        self.add(seq / BLOCK, 1 << (seq % BLOCK));
    }

    /// Adds all from `first` to `last`.
    pub(crate) fn insert_range(&mut self, first: Seq, last: Seq) {
        let mut from = first;
        while from <= last {
            let number = from / BLOCK;
            let to = last.min(number * BLOCK + (BLOCK - 1));
            let width = to - from + 1;
            let bits = (u64::MAX >> (BLOCK - width)) << (from % BLOCK);
            self.add(number, bits);
            from = to + 1;
        }
    }

    /// Removes one; false when it was not there.
    pub(crate) fn remove(&mut self, seq: Seq) -> bool {
        let bit = 1 << (seq % BLOCK);
        let Ok(at) = self.find(seq / BLOCK) else {
            return false;
        };
        let block = &mut self.blocks[at];
        if block.bits & bit == 0 {
            return false;
        }
        block.bits &= !bit;
        self.len -= 1;
        if block.bits == 0 {
            self.drop_block(at);
        }
        true
    }

    /// Whether it is there.
    pub(crate) fn contains(&self, seq: Seq) -> bool {
        self.find(seq / BLOCK)
            .is_ok_and(|at| self.blocks[at].bits & (1 << (seq % BLOCK)) != 0)
    }

    /// All of them, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Seq> {
        self.blocks.iter().flat_map(|block| {
            let mut bits = block.bits;
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| u64::from(bits.trailing_zeros()))?;
                bits &= bits - 1;
                Some(block.number * BLOCK + bit)
            })
        })
    }

    /// Those from `start` on, ascending.
    pub(crate) fn up_from(&self, start: Seq) -> impl Iterator<Item = Seq> {
        let at = self
            .blocks
            .partition_point(|block| block.number < start / BLOCK);
        let blocks = self.blocks.range(at..);
        blocks
            .flat_map(|block| (0..BLOCK).filter_map(|bit| block.has(bit)))
            .skip_while(move |seq| *seq < start)
    }

    /// Those up to `end`, descending.
    pub(crate) fn down_from(&self, end: Seq) -> impl Iterator<Item = Seq> {
        let at = self
            .blocks
            .partition_point(|block| block.number <= end / BLOCK);
        let blocks = self.blocks.range(..at).rev();
        blocks
            .flat_map(|block| (0..BLOCK).rev().filter_map(|bit| block.has(bit)))
            .skip_while(move |seq| *seq > end)
    }

    /// Takes consecutive numbers from the low end, at most `most` and none from `end` on.
    pub(crate) fn take_run(&mut self, most: usize, end: Seq) -> Option<(Seq, Seq)> {
        let first = self.first().filter(|first| *first < end && most > 0)?;
        let longest = (end - first).min(most as u64);
        let mut next = first;
        while let Some(block) = self.blocks.front_mut()
            && block.number == next / BLOCK
            && next - first < longest
        {
            let shift = next % BLOCK;
            let run = u64::from((block.bits >> shift).trailing_ones());
            let run = run.min(longest - (next - first));
            if run == 0 {
                break;
            }
            let taken = (u64::MAX >> (BLOCK - run)) << shift;
            block.bits &= !taken;
            self.len -= run as usize;
            next += run;
            if block.bits == 0 {
                self.drop_block(0);
            } else {
                break;
            }
        }
        Some((first, next - 1))
    }

    fn add(&mut self, number: u64, bits: u64) {
        let at = match self.find(number) {
            Ok(at) => at,
            Err(at) => {
                self.blocks.insert(at, Block { number, bits: 0 });
                at
            }
        };
        let block = &mut self.blocks[at];
        self.len += (bits & !block.bits).count_ones() as usize;
        block.bits |= bits;
    }

    /// Where the block is, or where it belongs. Nearly always one of the ends.
    fn find(&self, number: u64) -> Result<usize, usize> {
        let (Some(front), Some(back)) = (self.blocks.front(), self.blocks.back()) else {
            return Err(0);
        };
        if number >= back.number {
            let at = self.blocks.len() - 1;
            return if number == back.number {
                Ok(at)
            } else {
                Err(at + 1)
            };
        }
        if number == front.number {
            return Ok(0);
        }
        self.blocks
            .binary_search_by_key(&number, |block| block.number)
    }

    fn drop_block(&mut self, at: usize) {
        if at == 0 {
            self.blocks.pop_front();
        } else {
            self.blocks.remove(at);
        }
        // A backlog that is over gives its memory back.
        if self.blocks.is_empty() {
            self.blocks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Range(u64, u64),
        Remove(u64),
        Run(usize, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let seq = || prop_oneof![0u64..200, 0u64..2000];
        prop_oneof![
            4 => seq().prop_map(Step::Insert),
            2 => (seq(), 0u64..300).prop_map(|(first, len)| Step::Range(first, first + len)),
            4 => seq().prop_map(Step::Remove),
            2 => (0usize..200, seq()).prop_map(|(most, end)| Step::Run(most, end)),
        ]
    }

    fn run_of(model: &BTreeSet<u64>, most: usize, end: u64) -> Option<(u64, u64)> {
        let first = *model.first().filter(|first| **first < end && most > 0)?;
        let longest = (end - first).min(most as u64);
        let run = (first..).take_while(|seq| model.contains(seq));
        let n = run.take(longest as usize).count() as u64;
        Some((first, first + n - 1))
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_set(steps in prop::collection::vec(step(), 0..120)) {
            let (mut paged, mut model) = (Paged::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(seq) => {
                        paged.insert(seq);
                        model.insert(seq);
                    }
                    Step::Range(first, last) => {
                        paged.insert_range(first, last);
                        model.extend(first..=last);
                    }
                    Step::Remove(seq) => prop_assert_eq!(paged.remove(seq), model.remove(&seq)),
                    Step::Run(most, end) => {
                        let run = run_of(&model, most, end);
                        prop_assert_eq!(paged.take_run(most, end), run);
                        if let Some((first, last)) = run {
                            model.retain(|seq| !(first..=last).contains(seq));
                        }
                    }
                }
                prop_assert_eq!(paged.len(), model.len());
                prop_assert_eq!(paged.is_empty(), model.is_empty());
                prop_assert_eq!(paged.first(), model.first().copied());
                prop_assert_eq!(paged.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                for seq in [0, 63, 64, 150, 1999, 5000] {
                    let up: Vec<u64> = model.range(seq..).copied().collect();
                    prop_assert_eq!(paged.up_from(seq).collect::<Vec<_>>(), up);
                    let down: Vec<u64> = model.range(..=seq).rev().copied().collect();
                    prop_assert_eq!(paged.down_from(seq).collect::<Vec<_>>(), down);
                }
                prop_assert!(paged.blocks.iter().all(|block| block.bits != 0));
            }
            prop_assert!((0..2400).all(|seq| paged.contains(seq) == model.contains(&seq)));
        }
    }
}
