//! One exchange's way of choosing targets, whatever its type.

use smallvec::SmallVec;
use warren_amqp::FieldTable;

use crate::direct::Direct;
use crate::envelope::Envelope;
use crate::exchange_type::ExchangeType;
use crate::hashing::{ConsistentHash, ModulusHash, mix};
use crate::headers::Headers;
use crate::id_set::IdSet;
use crate::kind::ExchangeKind;
use crate::topic::Topic;

/// Target ids found so far; an id may stand there more than once.
pub(crate) type Found = SmallVec<[u32; 32]>;

/// The bindings of one exchange, laid out for matching.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// By equal key.
    Direct(Direct),
    /// Everything.
    Fanout(IdSet),
    /// By pattern.
    Topic(Box<Topic>),
    /// By conditions on message headers.
    Headers(Box<Headers>),
    /// One of them by a hash, in proportion to weights.
    ConsistentHash(Box<ConsistentHash>),
    /// One of them by a hash.
    ModulusHash(Box<ModulusHash>),
    /// One of them by chance.
    Random(IdSet),
}

/// One binding as a matcher needs it.
#[derive(Clone, Copy)]
pub(crate) struct Rule<'a> {
    /// The binding's id, unique in the table.
    pub(crate) binding: u32,
    /// The id of its destination.
    pub(crate) target: u32,
    /// The destination's identity, the same after a restart.
    pub(crate) identity: u64,
    /// Its routing key.
    pub(crate) key: &'a str,
    /// Its arguments.
    pub(crate) arguments: &'a FieldTable,
}

impl Matcher {
    /// The empty matcher of an exchange type.
    pub(crate) fn new(exchange: &ExchangeType) -> Self {
        match exchange.routes_as() {
            ExchangeKind::Direct | ExchangeKind::Delayed => Self::Direct(Direct::default()),
            ExchangeKind::Fanout | ExchangeKind::RecentHistory => Self::Fanout(IdSet::default()),
            ExchangeKind::Topic => Self::Topic(Box::default()),
            ExchangeKind::Headers => Self::Headers(Box::default()),
            ExchangeKind::ConsistentHash => {
                Self::ConsistentHash(Box::new(ConsistentHash::new(exchange.hash_on().clone())))
            }
            ExchangeKind::ModulusHash => Self::ModulusHash(Box::default()),
            ExchangeKind::Random | ExchangeKind::LocalRandom => Self::Random(IdSet::default()),
        }
    }

    /// Adds a binding. Its key and arguments are valid for the type.
    pub(crate) fn insert(&mut self, rule: Rule<'_>) {
        match self {
            Self::Direct(direct) => direct.insert(rule.key, rule.target),
            Self::Fanout(targets) | Self::Random(targets) => targets.insert(rule.target),
            Self::Topic(topic) => topic.insert(rule.key, rule.target),
            Self::Headers(headers) => headers.insert(rule),
            Self::ConsistentHash(hash) => {
                hash.insert(rule.binding, rule.target, rule.identity, rule.key);
            }
            Self::ModulusHash(hash) => hash.insert(rule.target, rule.identity),
        }
    }

    /// Takes away a binding that was added with the same values.
    pub(crate) fn remove(&mut self, rule: Rule<'_>) {
        match self {
            Self::Direct(direct) => direct.remove(rule.key, rule.target),
            Self::Fanout(targets) | Self::Random(targets) => targets.remove(rule.target),
            Self::Topic(topic) => topic.remove(rule.key, rule.target),
            Self::Headers(headers) => headers.remove(rule),
            Self::ConsistentHash(hash) => hash.remove(rule.binding, rule.target),
            Self::ModulusHash(hash) => hash.remove(rule.target),
        }
    }

    /// Appends the targets of a message.
    pub(crate) fn find(&self, envelope: &Envelope<'_>, found: &mut Found) {
        let keys = envelope.keys;
        match self {
            Self::Direct(direct) => keys.iter().for_each(|key| direct.find(key, found)),
            Self::Fanout(targets) => found.extend(targets.iter()),
            Self::Topic(topic) => keys.iter().for_each(|key| topic.find(key, found)),
            Self::Headers(index) => index.find(envelope.headers, found),
            Self::ConsistentHash(hash) => hash.find(envelope, found),
            Self::ModulusHash(hash) => hash.find(keys, found),
            Self::Random(targets) if targets.is_empty() => {}
            Self::Random(targets) => {
                let place = mix(envelope.draw) % targets.len() as u64;
                found.push(targets.at(place as usize));
            }
        }
    }

    /// Whether the next message with the same keys may go elsewhere although nothing was bound or
    /// unbound meanwhile.
    pub(crate) fn varies(&self) -> bool {
        match self {
            Self::Headers(_) | Self::Random(_) => true,
            Self::ConsistentHash(hash) => hash.reads_headers(),
            _ => false,
        }
    }
}
