//! Topic matching: binding keys as a trie over their words.
//!
//! ```text
//!  a.*.c  a.#      root -a-> 1 -*-> 2 -c-> 3 {t0}
//!                            1 -#-> 4 {t1}
//! ```
//!
//! A key is followed as by a nondeterministic automaton, one word at a time, with the set of nodes
//! the words so far lead to. A `#` node, once reached, stays reached to the end of the key (it
//! takes any number of words); every other node is reached from its one parent only. So each node
//! is looked at most once per word whatever the patterns: many `#` in a pattern cannot blow up.
//!
//! Words are split on `.` and may be empty: `a..b` has three words, the second of which `*`
//! matches. The empty key has no words, so that `#` matches it and `*` does not.

use std::collections::HashMap;

use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;

use crate::id_set::{IdSet, Seen};
use crate::matcher::Found;

const ROOT: u32 = 0;
/// No node, and a word no binding key has.
const NONE: u32 = u32::MAX;

type Nodes = SmallVec<[u32; 16]>;

/// The binding keys of a topic exchange.
#[derive(Debug)]
pub(crate) struct Topic {
    nodes: Slab<Node>,
    /// Children by literal word.
    edges: FxHashMap<(u32, u32), u32>,
    words: Words,
}

/// The words before this node lead here.
#[derive(Debug)]
struct Node {
    /// The child for `*`.
    star: u32,
    /// The child for `#`.
    hash: u32,
    /// Children of all kinds; a node without children and targets goes.
    n_children: u32,
    /// Targets of the binding key that ends here.
    targets: IdSet,
}

impl Node {
    fn new() -> Self {
        Self {
            star: NONE,
            hash: NONE,
            n_children: 0,
            targets: IdSet::default(),
        }
    }
}

/// One word of a binding key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Star,
    Hash,
    Literal(u32),
}

impl Default for Topic {
    fn default() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new());
        Self {
            nodes,
            edges: FxHashMap::default(),
            words: Words::default(),
        }
    }
}

impl Topic {
    /// Adds one binding.
    pub(crate) fn insert(&mut self, pattern: &str, target: u32) {
        let mut node = ROOT;
        for word in split(pattern) {
            node = self.child_or_new(node, word);
        }
        self.nodes[node as usize].targets.insert(target);
    }

    /// Takes one binding away, and the nodes only it needed.
    pub(crate) fn remove(&mut self, pattern: &str, target: u32) {
        let mut path: SmallVec<[(u32, Word); 16]> = SmallVec::new();
        let mut node = ROOT;
        for text in split(pattern) {
            let Some(word) = self.words.known(text) else {
                return;
            };
            let child = self.child(node, word);
            if child == NONE {
                return;
            }
            path.push((node, word));
            node = child;
        }
        self.nodes[node as usize].targets.remove(target);
        while let Some((parent, word)) = path.pop() {
            let gone = &self.nodes[node as usize];
            if gone.n_children > 0 || !gone.targets.is_empty() {
                break;
            }
            self.unlink(parent, word, node);
            node = parent;
        }
    }

    /// Appends the targets of all binding keys that match `key`.
    pub(crate) fn find(&self, key: &str, found: &mut Found) {
        let mut walk = Walk {
            topic: self,
            reached: Nodes::new(),
            hashes: Seen::default(),
        };
        walk.reached.push(ROOT);
        walk.enter_hashes();
        for text in split(key) {
            if walk.step(self.words.id(text)) {
                break;
            }
        }
        for node in walk.reached.iter().chain(walk.hashes.as_slice()) {
            found.extend(self.nodes[*node as usize].targets.iter());
        }
    }

    fn child(&self, node: u32, word: Word) -> u32 {
        match word {
            Word::Star => self.nodes[node as usize].star,
            Word::Hash => self.nodes[node as usize].hash,
            Word::Literal(id) => self.edges.get(&(node, id)).copied().unwrap_or(NONE),
        }
    }

    fn child_or_new(&mut self, node: u32, text: &str) -> u32 {
        if let Some(word) = self.words.known(text) {
            let child = self.child(node, word);
            if child != NONE {
                return child;
            }
        }
        let child = self.nodes.insert(Node::new()) as u32;
        let word = self.words.acquire(text);
        let parent = &mut self.nodes[node as usize];
        parent.n_children += 1;
        match word {
            Word::Star => parent.star = child,
            Word::Hash => parent.hash = child,
            Word::Literal(id) => {
                self.edges.insert((node, id), child);
            }
        }
        child
    }

    fn unlink(&mut self, parent: u32, word: Word, child: u32) {
        self.nodes.remove(child as usize);
        let node = &mut self.nodes[parent as usize];
        node.n_children -= 1;
        match word {
            Word::Star => node.star = NONE,
            Word::Hash => node.hash = NONE,
            Word::Literal(id) => {
                self.edges.remove(&(parent, id));
                self.words.release(id);
            }
        }
    }
}

/// Where the words of a key so far lead.
struct Walk<'a> {
    topic: &'a Topic,
    /// Nodes that take exactly these words, `#` nodes apart.
    reached: Nodes,
    /// `#` nodes: they take these words and whatever follows.
    hashes: Seen,
}

impl Walk<'_> {
    /// Takes one more word; true when no further word can change anything.
    fn step(&mut self, word: u32) -> bool {
        let mut next = Nodes::new();
        for id in self.reached.iter().chain(self.hashes.as_slice()) {
            let node = &self.topic.nodes[*id as usize];
            if node.n_children == 0 {
                continue;
            }
            if node.star != NONE {
                next.push(node.star);
            }
            if word != NONE
                && let Some(child) = self.topic.edges.get(&(*id, word))
            {
                next.push(*child);
            }
        }
        self.reached = next;
        self.enter_hashes();
        self.reached.is_empty() && self.hashes.as_slice().is_empty()
    }

    /// `#` takes no word too: the `#` children of what is reached are reached as well, and theirs.
    fn enter_hashes(&mut self) {
        let mut entered = self.hashes.as_slice().len();
        for id in &self.reached {
            let hash = self.topic.nodes[*id as usize].hash;
            if hash != NONE {
                self.hashes.insert(hash);
            }
        }
        while let Some(id) = self.hashes.as_slice().get(entered) {
            entered += 1;
            let hash = self.topic.nodes[*id as usize].hash;
            if hash != NONE {
                self.hashes.insert(hash);
            }
        }
    }
}

/// The words of a key or pattern.
fn split(key: &str) -> impl Iterator<Item = &str> {
    let words = if key.is_empty() {
        None
    } else {
        Some(key.split('.'))
    };
    words.into_iter().flatten()
}

/// The literal words of all binding keys, numbered, so that clients' words are hashed with the
/// keyed hash once each and everything after works on numbers.
#[derive(Debug, Default)]
struct Words {
    ids: HashMap<Box<str>, u32>,
    used: Slab<(Box<str>, u32)>,
}

impl Words {
    /// The number of a word of a key, or [`NONE`]. In a key `*` and `#` are ordinary words.
    fn id(&self, text: &str) -> u32 {
        self.ids.get(text).copied().unwrap_or(NONE)
    }

    /// A word of a pattern, if some pattern has it.
    fn known(&self, text: &str) -> Option<Word> {
        match text {
            "*" => Some(Word::Star),
            "#" => Some(Word::Hash),
            _ => self.ids.get(text).map(|id| Word::Literal(*id)),
        }
    }

    /// A word of a pattern, counted as used once more.
    fn acquire(&mut self, text: &str) -> Word {
        let word = self.known(text).unwrap_or_else(|| {
            let id = self.used.insert((text.into(), 0)) as u32;
            self.ids.insert(text.into(), id);
            Word::Literal(id)
        });
        if let Word::Literal(id) = word {
            self.used[id as usize].1 += 1;
        }
        word
    }

    /// Counts a word as used once less.
    fn release(&mut self, id: u32) {
        let (text, count) = &mut self.used[id as usize];
        *count -= 1;
        if *count == 0 {
            self.ids.remove(text);
            self.used.remove(id as usize);
        }
    }
}

#[cfg(test)]
mod tests;
