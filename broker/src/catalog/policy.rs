//! Policies, limits and topic permissions as they are stored. What they do is elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a policy is for (row L-1).
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Queues of every type.
    Queues,
    /// Exchanges.
    Exchanges,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Streams.
    Streams,
}

impl ApplyTo {
    /// As definitions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Queues => "queues",
            Self::Exchanges => "exchanges",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    /// What is spelt so.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::All,
            Self::Queues,
            Self::Exchanges,
            Self::ClassicQueues,
            Self::QuorumQueues,
            Self::Streams,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
    }
}

/// A policy or an operator policy.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct PolicyDef {
    /// Searched in the names of queues and exchanges; a regular expression.
    pub pattern: String,
    /// What it is for.
    #[serde(rename = "apply-to", default)]
    pub apply_to: ApplyTo,
    /// The highest one that matches applies.
    #[serde(default)]
    pub priority: i64,
    /// The settings, by key.
    pub definition: Map<String, Value>,
}

/// A limit of a vhost (row U-22). Negative values mean no limit.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum VhostLimit {
    /// Open connections.
    MaxConnections,
    /// Queues.
    MaxQueues,
}

impl VhostLimit {
    /// As definitions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max-connections",
            Self::MaxQueues => "max-queues",
        }
    }

    /// The limit spelt so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::MaxConnections, Self::MaxQueues]
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// A limit of a user (row U-23). Negative values mean no limit.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum UserLimit {
    /// Open connections.
    MaxConnections,
    /// Open channels.
    MaxChannels,
}

impl UserLimit {
    /// As definitions spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max-connections",
            Self::MaxChannels => "max-channels",
        }
    }

    /// The limit spelt so.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::MaxConnections, Self::MaxChannels]
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// Limits of a vhost, those that are set.
pub type VhostLimits = BTreeMap<VhostLimit, i64>;
/// Limits of a user, those that are set.
pub type UserLimits = BTreeMap<UserLimit, i64>;

/// What routing keys a user may use with one topic exchange: patterns searched in them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPermissionDef {
    /// Keys messages may be published with.
    pub write: String,
    /// Keys that may be bound.
    pub read: String,
}
