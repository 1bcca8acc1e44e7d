//! One exchange's way of choosing targets, whatever its type.

use smallvec::SmallVec;
use warren_amqp::{FieldTable, TableRef};

use crate::direct::Direct;
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
}

/// One binding as a matcher needs it.
#[derive(Clone, Copy)]
pub(crate) struct Rule<'a> {
    /// The binding's id, unique in the table.
    pub(crate) binding: u32,
    /// The id of its destination.
    pub(crate) target: u32,
    /// Its routing key.
    pub(crate) key: &'a str,
    /// Its arguments.
    pub(crate) arguments: &'a FieldTable,
}

impl Matcher {
    /// The empty matcher of an exchange type.
    pub(crate) fn new(kind: ExchangeKind) -> Self {
        match kind {
            ExchangeKind::Direct => Self::Direct(Direct::default()),
            ExchangeKind::Fanout => Self::Fanout(IdSet::default()),
            ExchangeKind::Topic => Self::Topic(Box::default()),
            ExchangeKind::Headers => Self::Headers(Box::default()),
        }
    }

    /// Adds a binding. On a headers exchange its arguments are valid.
    pub(crate) fn insert(&mut self, rule: Rule<'_>) {
        match self {
            Self::Direct(direct) => direct.insert(rule.key, rule.target),
            Self::Fanout(targets) => targets.insert(rule.target),
            Self::Topic(topic) => topic.insert(rule.key, rule.target),
            Self::Headers(headers) => headers.insert(rule),
        }
    }

    /// Takes away a binding that was added with the same values.
    pub(crate) fn remove(&mut self, rule: Rule<'_>) {
        match self {
            Self::Direct(direct) => direct.remove(rule.key, rule.target),
            Self::Fanout(targets) => targets.remove(rule.target),
            Self::Topic(topic) => topic.remove(rule.key, rule.target),
            Self::Headers(headers) => headers.remove(rule),
        }
    }

    /// Appends the targets of a message with these keys and headers.
    pub(crate) fn find(&self, keys: &[&str], headers: Option<TableRef<'_>>, found: &mut Found) {
        match self {
            Self::Direct(direct) => keys.iter().for_each(|key| direct.find(key, found)),
            Self::Fanout(targets) => found.extend(targets.iter()),
            Self::Topic(topic) => keys.iter().for_each(|key| topic.find(key, found)),
            Self::Headers(index) => index.find(headers, found),
        }
    }

    /// Whether what is found depends on the message's headers.
    pub(crate) fn reads_headers(&self) -> bool {
        matches!(self, Self::Headers(_))
    }
}
