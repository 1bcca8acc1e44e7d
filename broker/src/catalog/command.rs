//! Changes of the definitions, as they stand in the command log: versioned JSON, readable in an
//! emergency. Whatever is random or depends on the time (hashes, identities) was decided before
//! and is carried in the command, so that a replay gives the same state.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use warren_amqp::FieldTable;

use super::exact;
use super::policy::{PolicyDef, UserLimit, VhostLimit};
use crate::auth::HashingAlgorithm;

/// Version of the encoding. A reader refuses what is newer.
const VERSION: u32 = 1;

/// One binding between durable objects of a vhost; all of it together is its identity.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct BindingDef {
    /// The exchange messages come from.
    pub source: String,
    /// The queue or exchange they go to.
    pub destination: String,
    /// Which of the two that is.
    pub destination_is_queue: bool,
    /// The routing key.
    pub routing_key: String,
    /// The arguments.
    #[serde(with = "exact", default)]
    pub arguments: FieldTable,
}

/// A change of the definitions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are those of the objects, documented there"
)]
pub enum Command {
    /// Creates a vhost or replaces its metadata.
    PutVhost {
        name: String,
        description: String,
        tags: Vec<String>,
        default_queue_type: Option<String>,
    },
    /// Deletes a vhost with all it holds.
    DeleteVhost { name: String },
    /// Creates or replaces a user.
    PutUser {
        name: String,
        password_hash: String,
        hashing_algorithm: HashingAlgorithm,
        tags: Vec<String>,
    },
    /// Deletes a user and the user's permissions.
    DeleteUser { name: String },
    /// The first user, with a vhost and all permissions there, in one step. Changes nothing when
    /// there already is a user.
    CreateFirstUser {
        user: String,
        password_hash: String,
        hashing_algorithm: HashingAlgorithm,
        tags: Vec<String>,
        vhost: String,
        configure: String,
        write: String,
        read: String,
    },
    /// Sets a user's permission in a vhost.
    SetPermission {
        user: String,
        vhost: String,
        configure: String,
        write: String,
        read: String,
    },
    /// Takes a user's permission in a vhost away.
    ClearPermission { user: String, vhost: String },
    /// Declares a durable exchange.
    DeclareExchange {
        vhost: String,
        name: String,
        kind: String,
        auto_delete: bool,
        internal: bool,
        #[serde(with = "exact", default)]
        arguments: FieldTable,
    },
    /// Deletes an exchange and the bindings from and to it.
    DeleteExchange { vhost: String, name: String },
    /// Declares a durable queue. `id` was never used before.
    DeclareQueue {
        vhost: String,
        name: String,
        id: u64,
        auto_delete: bool,
        #[serde(with = "exact", default)]
        arguments: FieldTable,
    },
    /// Deletes a queue and its bindings.
    DeleteQueue { vhost: String, name: String },
    /// Binds two durable objects.
    Bind { vhost: String, binding: BindingDef },
    /// Removes a binding; none of that kind is no error.
    Unbind { vhost: String, binding: BindingDef },
    /// Gives a queue other arguments; whatever was not checked before it was proposed is taken.
    RedeclareQueue {
        vhost: String,
        name: String,
        #[serde(with = "exact", default)]
        arguments: FieldTable,
    },
    /// Whether a vhost is protected from deletion.
    ProtectVhost { name: String, protected: bool },
    /// Sets a limit of a vhost; without a value it has none.
    SetVhostLimit {
        vhost: String,
        limit: VhostLimit,
        value: Option<i64>,
    },
    /// Sets a limit of a user; without a value it has none.
    SetUserLimit {
        user: String,
        limit: UserLimit,
        value: Option<i64>,
    },
    /// Sets what routing keys a user may use with a topic exchange.
    SetTopicPermission {
        user: String,
        vhost: String,
        exchange: String,
        write: String,
        read: String,
    },
    /// Takes a user's topic permission away, without an exchange all of them in the vhost.
    ClearTopicPermission {
        user: String,
        vhost: String,
        exchange: Option<String>,
    },
    /// Sets a policy, or an operator policy.
    SetPolicy {
        vhost: String,
        name: String,
        operator: bool,
        policy: PolicyDef,
    },
    /// Removes a policy, or an operator policy.
    ClearPolicy {
        vhost: String,
        name: String,
        operator: bool,
    },
    /// Sets a runtime parameter of a vhost.
    SetParameter {
        vhost: String,
        component: String,
        name: String,
        value: Value,
    },
    /// Removes a runtime parameter of a vhost.
    ClearParameter {
        vhost: String,
        component: String,
        name: String,
    },
    /// Sets a parameter of the whole cluster.
    SetGlobalParameter { name: String, value: Value },
    /// Removes a parameter of the whole cluster.
    ClearGlobalParameter { name: String },
    /// All of these in this order, or none.
    Batch(Vec<Command>),
}

/// Why stored bytes are no command.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later version.
    #[error("the command has version {found}, this version reads up to {VERSION}")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// Not what this program writes.
    #[error("not a command: {0}")]
    Malformed(String),
}

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    command: &'a Command,
}

#[derive(Deserialize)]
struct Read {
    command: Command,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Command {
    /// The bytes for the command log.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(&Written {
            v: VERSION,
            command: self,
        })
        .expect("a command has string keys only and no value JSON cannot hold")
    }

    /// Reads what [`Command::encode`] wrote, in this version or an earlier one.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = |error: serde_json::Error| DecodeError::Malformed(error.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
        if version.v > VERSION {
            return Err(DecodeError::Newer { found: version.v });
        }
        let read: Read = serde_json::from_slice(bytes).map_err(malformed)?;
        Ok(read.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_versioned_and_readable() {
        let command = Command::DeleteQueue {
            vhost: "/".to_owned(),
            name: "q".to_owned(),
        };
        let text = r#"{"v":1,"command":{"DeleteQueue":{"vhost":"/","name":"q"}}}"#;
        assert_eq!(String::from_utf8(command.encode()).unwrap(), text);
        assert_eq!(Command::decode(text.as_bytes()), Ok(command));
    }

    #[test]
    fn later_versions_and_nonsense_are_told_apart() {
        let newer = br#"{"v":2,"command":{"Teleport":{}}}"#;
        assert_eq!(Command::decode(newer), Err(DecodeError::Newer { found: 2 }));
        for bytes in [
            &b""[..],
            b"{}",
            br#"{"v":1}"#,
            br#"{"v":1,"command":{"Teleport":{}}}"#,
        ] {
            assert!(matches!(
                Command::decode(bytes),
                Err(DecodeError::Malformed(_))
            ));
        }
    }
}
