//! The exchange types by name.

use std::fmt;
use std::str::FromStr;

/// How an exchange chooses among its bindings. Types from plugins are not known here yet.
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
}

/// A type name no exchange type has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown exchange type '{0}'")]
pub struct UnknownExchangeKind(pub String);

impl ExchangeKind {
    /// The names of all types.
    pub fn all() -> impl Iterator<Item = &'static str> {
        let all = [Self::Direct, Self::Fanout, Self::Headers, Self::Topic];
        all.into_iter().map(Self::as_str)
    }

    /// The name used in `exchange.declare`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
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
        match name {
            "direct" => Ok(Self::Direct),
            "fanout" => Ok(Self::Fanout),
            "topic" => Ok(Self::Topic),
            "headers" => Ok(Self::Headers),
            other => Err(UnknownExchangeKind(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        use ExchangeKind::{Direct, Fanout, Headers, Topic};
        for kind in [Direct, Fanout, Topic, Headers] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let error = "Direct".parse::<ExchangeKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown exchange type 'Direct'");
    }
}
