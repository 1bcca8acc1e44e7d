//! Definitions as a file, in the form RabbitMQ exports and imports. What 3.x and 4.x write is
//! read; what is written, both read.
//!
//! Parts of a file that cannot be taken are named by an [import](Definitions::import).

mod export;
mod import;
pub(super) mod json;
mod settings;
mod topology;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use import::ImportReport;
pub use json::{from_table, to_table};
pub(crate) use settings::{user_limits, vhost_limits};
pub(crate) use topology::same_binding;

/// A definitions file. Fields that are missing are empty.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    /// The version of RabbitMQ it is compatible with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbit_version: Option<String>,
    /// The same under its newer name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbitmq_version: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// The version of who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_version: Option<String>,
    /// Users.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub users: Vec<UserEntry>,
    /// Virtual hosts.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub vhosts: Vec<VhostEntry>,
    /// Permissions on queues and exchanges.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub permissions: Vec<PermissionEntry>,
    /// Permissions on routing keys.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub topic_permissions: Vec<Value>,
    /// Parameters of vhosts: limits, operator policies, shovels, federation.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub parameters: Vec<Value>,
    /// Parameters of the cluster.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub global_parameters: Vec<GlobalParameterEntry>,
    /// Policies.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub policies: Vec<Value>,
    /// Queues.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub queues: Vec<QueueEntry>,
    /// Exchanges.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub exchanges: Vec<ExchangeEntry>,
    /// Bindings.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub bindings: Vec<BindingEntry>,
    /// Whatever else is at the top.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A user.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct UserEntry {
    /// The user's name.
    pub name: String,
    /// The hash; empty when the user has no password.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub password_hash: String,
    /// The password itself, in files written by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How the hash was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashing_algorithm: Option<String>,
    /// The user's tags.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// Limits on connections and channels.
    #[serde(default)]
    pub limits: Value,
}

/// A vhost.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct VhostEntry {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub description: String,
    /// For people.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The type of queues declared without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<String>,
    /// Where 4.x repeats the three above, or has them alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<VhostMetadata>,
    /// Limits, as 4.x has them.
    #[serde(default, skip_serializing)]
    pub limits: Value,
}

/// Metadata of a vhost.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct VhostMetadata {
    /// For people.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub description: String,
    /// For people.
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    /// The type of queues declared without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<String>,
    /// Refuses to be deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub protected_from_deletion: bool,
}

/// A permission.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct PermissionEntry {
    /// Whose.
    pub user: String,
    /// Where.
    pub vhost: String,
    /// Names that may be configured.
    pub configure: String,
    /// Names that may be written to.
    pub write: String,
    /// Names that may be read from.
    pub read: String,
}

/// A parameter of the cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct GlobalParameterEntry {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A queue.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct QueueEntry {
    /// Its name.
    pub name: String,
    /// Its vhost; not in the export of a single vhost.
    #[serde(default)]
    pub vhost: String,
    /// Survives a restart.
    #[serde(default = "yes")]
    pub durable: bool,
    /// Goes with its last consumer.
    #[serde(default)]
    pub auto_delete: bool,
    /// Its type, as 4.x has it.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Arguments as declared.
    #[serde(default, deserialize_with = "arguments")]
    pub arguments: Map<String, Value>,
}

/// An exchange.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct ExchangeEntry {
    /// Its name.
    pub name: String,
    /// Its vhost; not in the export of a single vhost.
    #[serde(default)]
    pub vhost: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Survives a restart.
    #[serde(default = "yes")]
    pub durable: bool,
    /// Goes with its last binding.
    #[serde(default)]
    pub auto_delete: bool,
    /// Clients may not publish to it.
    #[serde(default)]
    pub internal: bool,
    /// Arguments as declared.
    #[serde(default, deserialize_with = "arguments")]
    pub arguments: Map<String, Value>,
}

/// A binding.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct BindingEntry {
    /// The exchange it comes from.
    pub source: String,
    /// Its vhost; not in the export of a single vhost.
    #[serde(default)]
    pub vhost: String,
    /// The queue or exchange it goes to.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: String,
    /// The routing key.
    #[serde(default)]
    pub routing_key: String,
    /// The arguments.
    #[serde(default, deserialize_with = "arguments")]
    pub arguments: Map<String, Value>,
}

impl VhostEntry {
    /// Its metadata, from wherever in the entry it stands.
    pub(crate) fn metadata(&self) -> VhostMetadata {
        let inner = self.metadata.clone().unwrap_or_default();
        let queue_type = self.default_queue_type.clone().or(inner.default_queue_type);
        VhostMetadata {
            description: match self.description.is_empty() {
                true => inner.description,
                false => self.description.clone(),
            },
            tags: match self.tags.is_empty() {
                true => inner.tags,
                false => self.tags.clone(),
            },
            // Erlang's word for none finds its way into exports.
            default_queue_type: queue_type.filter(|t| !t.is_empty() && t != "undefined"),
            protected_from_deletion: inner.protected_from_deletion,
        }
    }
}

impl Definitions {
    /// Puts everything that is in a vhost into this one: for the file of a single vhost.
    pub fn move_to_vhost(&mut self, vhost: &str) {
        for exchange in &mut self.exchanges {
            vhost.clone_into(&mut exchange.vhost);
        }
        for queue in &mut self.queues {
            vhost.clone_into(&mut queue.vhost);
        }
        for binding in &mut self.bindings {
            vhost.clone_into(&mut binding.vhost);
        }
        for entry in self.policies.iter_mut().chain(&mut self.parameters) {
            if let Value::Object(entry) = entry {
                entry.insert("vhost".to_owned(), Value::from(vhost));
            }
        }
        self.users.clear();
        self.vhosts.clear();
        self.permissions.clear();
        self.topic_permissions.clear();
        self.global_parameters.clear();
    }

    /// Reads a file. The error says where it goes wrong, in one line.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(file).map_err(|error| format!("not a definitions file: {error}"))
    }

    /// The file, indented for people.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("definitions have string keys only")
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn yes() -> bool {
    true
}

/// `null` where a list or text is expected, as some tools write it.
fn null_is_empty<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Arguments are an object; an empty list is what Erlang makes of an empty one.
fn arguments<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(from)? {
        Value::Object(arguments) => Ok(arguments),
        Value::Null => Ok(Map::new()),
        Value::Array(members) if members.is_empty() => Ok(Map::new()),
        other => Err(serde::de::Error::custom(format!(
            "arguments are not an object: {other}"
        ))),
    }
}

/// A list, or as older exports have it, one text with commas.
fn tags<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tags {
        List(Vec<String>),
        Text(String),
        None(()),
    }
    Ok(match Tags::deserialize(from)? {
        Tags::List(tags) => tags,
        Tags::Text(text) => {
            let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            tags.map(str::to_owned).collect()
        }
        Tags::None(()) => Vec::new(),
    })
}

#[cfg(test)]
mod tests;
