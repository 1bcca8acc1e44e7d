//! The exchange types by name.

use std::fmt;
use std::str::FromStr;

/// How an exchange chooses among its bindings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ExchangeKind {
    /// The binding key equals the routing key.
    Direct,
    /// Every binding.
    Fanout,
    /// The binding key is a pattern of words, `*` and `#`.
    Topic,
    /// The binding arguments are conditions on the message's headers.
    Headers,
    /// One destination by a hash of the routing key, a header or a property; the binding key is
    /// the destination's weight.
    ConsistentHash,
    /// One destination: the hash of the routing keys modulo the number of destinations.
    ModulusHash,
    /// One destination at random.
    Random,
    /// One destination on this node at random.
    LocalRandom,
    /// Every binding, and the last messages for whoever is bound later.
    RecentHistory,
    /// As another type, some time later.
    Delayed,
}

/// A type name no exchange type has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown exchange type '{0}'")]
pub struct UnknownExchangeKind(pub String);

impl ExchangeKind {
    /// All of them, in the order they are listed to operators.
    pub const ALL: [Self; 10] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::RecentHistory,
        Self::Delayed,
    ];

    /// The names of all types.
    pub fn all() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::as_str)
    }

    /// The name used in `exchange.declare`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::RecentHistory => "x-recent-history",
            Self::Delayed => "x-delayed-message",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ExchangeKind {
    type Err = UnknownExchangeKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownExchangeKind(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in ExchangeKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let error = "Direct".parse::<ExchangeKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown exchange type 'Direct'");
    }
}
