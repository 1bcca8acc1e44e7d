//! `x-consistent-hash`: one destination per hash value, in proportion to the weights, and as few
//! as possible get another one when destinations come and go.
//!
//! Weighted rendezvous hashing: every destination draws a score from the message's hash and its
//! own identity, stretched by its weight; the best score wins. Adding a destination takes from
//! each other one its share and moves nothing between them, removing it gives just its own back.
//! That costs one logarithm per destination and message; by routing key the result is remembered.

use std::hash::Hasher;

use smallvec::SmallVec;
use warren_amqp::{AMQPValue, FieldTable};

use super::{Stable, hash_keys, mix};
use crate::envelope::Envelope;
use crate::headers::canonical_header;
use crate::matcher::Found;

const HASH_HEADER: &str = "hash-header";
const HASH_PROPERTY: &str = "hash-property";

/// What of a message is hashed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum HashOn {
    /// The routing keys.
    #[default]
    RoutingKey,
    /// The header of that name. Messages without it go together.
    Header(Box<[u8]>),
    /// The property.
    CorrelationId,
    /// The property.
    MessageId,
    /// The property.
    Timestamp,
}

impl HashOn {
    /// Reads the arguments of the exchange. The error is RabbitMQ's explanation of a 406.
    pub(crate) fn from_arguments(arguments: &FieldTable) -> Result<Self, String> {
        let text = |name: &str| match arguments.inner().get(name) {
            None => None,
            Some(AMQPValue::LongString(text)) => Some(text.as_bytes().to_vec()),
            Some(AMQPValue::ShortString(text)) => Some(text.as_str().as_bytes().to_vec()),
            Some(AMQPValue::ByteArray(bytes)) => Some(bytes.as_slice().to_vec()),
            // Not a name anything has.
            Some(_) => Some(Vec::new()),
        };
        match (text(HASH_HEADER), text(HASH_PROPERTY)) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(header), None) => Ok(Self::Header(header.into())),
            (None, Some(property)) => match &*property {
                b"correlation_id" => Ok(Self::CorrelationId),
                b"message_id" => Ok(Self::MessageId),
                b"timestamp" => Ok(Self::Timestamp),
                other => Err(format!(
                    "Unsupported property: {}",
                    String::from_utf8_lossy(other)
                )),
            },
            (Some(_), Some(_)) => {
                Err("hash-header and hash-property are mutually exclusive".to_owned())
            }
        }
    }

    fn hash(&self, envelope: &Envelope<'_>) -> u64 {
        let mut state = Stable::default();
        match self {
            Self::RoutingKey => return hash_keys(envelope.keys),
            Self::Header(name) => {
                if let Some(value) = envelope.headers.and_then(|headers| headers.get(name)) {
                    state.write(&canonical_header(value));
                }
            }
            Self::CorrelationId => state.write(envelope.correlation_id.unwrap_or_default()),
            Self::MessageId => state.write(envelope.message_id.unwrap_or_default()),
            Self::Timestamp => {
                if let Some(seconds) = envelope.timestamp {
                    state.write(&seconds.to_le_bytes());
                }
            }
        }
        state.finish()
    }
}

/// The destinations and their weights.
#[derive(Debug)]
pub(crate) struct ConsistentHash {
    on: HashOn,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    target: u32,
    identity: u64,
    /// Bindings that lead here with their weights. The first one's counts: binding a destination
    /// again with another weight changes nothing until the first binding goes.
    weights: SmallVec<[(u32, f64); 1]>,
}

impl Member {
    /// The lower the better. `-ln(u) / w` is exponentially distributed with rate `w`, so that the
    /// chance of being the lowest is the share of the weight.
    fn score(&self, hash: u64) -> f64 {
        let drawn = mix(hash ^ mix(self.identity)) >> 11;
        let u = (drawn as f64 + 1.0) / (1u64 << 53) as f64;
        let weight = self.weights.first().map_or(1.0, |(_, weight)| *weight);
        -u.ln() / weight
    }
}

impl ConsistentHash {
    /// One without destinations.
    pub(crate) fn new(on: HashOn) -> Self {
        Self {
            on,
            members: Vec::new(),
        }
    }

    /// Adds a binding to `target`; `key` is the weight.
    pub(crate) fn insert(&mut self, binding: u32, target: u32, identity: u64, key: &str) {
        let weight = weight_of(key).unwrap_or(1.0);
        match self.members.iter_mut().find(|m| m.target == target) {
            Some(member) => member.weights.push((binding, weight)),
            None => self.members.push(Member {
                target,
                identity,
                weights: SmallVec::from_elem((binding, weight), 1),
            }),
        }
    }

    /// Takes a binding away.
    pub(crate) fn remove(&mut self, binding: u32, target: u32) {
        let Some(at) = self.members.iter().position(|m| m.target == target) else {
            return;
        };
        self.members[at].weights.retain(|(id, _)| *id != binding);
        if self.members[at].weights.is_empty() {
            self.members.swap_remove(at);
        }
    }

    /// Appends the one target of a message.
    pub(crate) fn find(&self, envelope: &Envelope<'_>, found: &mut Found) {
        let hash = self.on.hash(envelope);
        let scored = self.members.iter().map(|m| (m.score(hash), m));
        let best = scored.min_by(|(a, m), (b, n)| {
            // Identities decide between equal scores, never the order of binding.
            a.total_cmp(b).then(m.identity.cmp(&n.identity))
        });
        found.extend(best.map(|(_, member)| member.target));
    }

    /// Whether more than the routing keys decides.
    pub(crate) fn reads_headers(&self) -> bool {
        self.on != HashOn::RoutingKey
    }
}

/// The weight a binding key stands for. The error is RabbitMQ's explanation of a 406.
pub(crate) fn weight_of(key: &str) -> Result<f64, String> {
    let weight: i128 = key.parse().map_err(|_| {
        format!(
            "The binding key must be an integer: {}",
            crate::headers::binary(key.as_bytes())
        )
    })?;
    if weight < 1 {
        return Err("The binding key must be greater than 0".to_owned());
    }
    Ok(weight as f64)
}
