//! The definitions in memory. Plain maps in key order; lookups by name cost a few comparisons.
//! Changed only by [`apply`](super::apply()).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use warren_amqp::FieldTable;

use super::bindings::Bindings;
use super::command::BindingDef;
use super::exact;
use super::policy::{PolicyDef, TopicPermissionDef, UserLimits, VhostLimits};
use crate::auth::HashingAlgorithm;

/// Metadata of a vhost.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostDef {
    /// For people.
    #[serde(default)]
    pub description: String,
    /// For people.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The type of queues declared without one.
    #[serde(default)]
    pub default_queue_type: Option<String>,
    /// Refuses to be deleted.
    #[serde(default)]
    pub protected_from_deletion: bool,
    /// Limits on what may be in it.
    #[serde(default)]
    pub limits: VhostLimits,
}

/// A user.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct UserDef {
    /// See [`verify`](crate::auth::verify). Empty when the user has no password.
    pub password_hash: String,
    /// How the hash was made.
    pub hashing_algorithm: HashingAlgorithm,
    /// `administrator`, `monitoring` and so on.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Limits on what the user may open.
    #[serde(default)]
    pub limits: UserLimits,
}

/// What a user may do in a vhost: patterns searched in names.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionDef {
    /// What may be created and deleted.
    pub configure: String,
    /// What messages may be put into.
    pub write: String,
    /// What messages may be taken from.
    pub read: String,
}

/// A durable exchange.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct ExchangeDef {
    /// Name of its type.
    pub kind: String,
    /// Goes with its last binding as a source.
    pub auto_delete: bool,
    /// Clients may not publish to it.
    pub internal: bool,
    /// Arguments as declared.
    #[serde(with = "exact", default)]
    pub arguments: FieldTable,
}

/// A durable queue.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct QueueDef {
    /// Its number in the commit log; never given to another queue.
    pub id: u64,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Arguments as declared.
    #[serde(with = "exact", default)]
    pub arguments: FieldTable,
}

/// A vhost and what is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct VhostState {
    pub(super) def: VhostDef,
    /// By user.
    pub(super) permissions: BTreeMap<String, PermissionDef>,
    /// By user and exchange.
    pub(super) topic_permissions: BTreeMap<(String, String), TopicPermissionDef>,
    /// By name.
    pub(super) policies: BTreeMap<String, PolicyDef>,
    /// By name.
    pub(super) operator_policies: BTreeMap<String, PolicyDef>,
    /// By component and name.
    pub(super) parameters: BTreeMap<(String, String), Value>,
    pub(super) exchanges: BTreeMap<String, ExchangeDef>,
    pub(super) queues: BTreeMap<String, QueueDef>,
    pub(super) bindings: Bindings,
}

impl VhostState {
    pub(super) fn policies(&self, operator: bool) -> &BTreeMap<String, PolicyDef> {
        if operator {
            &self.operator_policies
        } else {
            &self.policies
        }
    }

    pub(super) fn policies_mut(&mut self, operator: bool) -> &mut BTreeMap<String, PolicyDef> {
        if operator {
            &mut self.operator_policies
        } else {
            &mut self.policies
        }
    }
}

/// All definitions. The exchanges every vhost has from the start (`amq.direct` and so on) are not
/// in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(super) vhosts: BTreeMap<String, VhostState>,
    pub(super) users: BTreeMap<String, UserDef>,
    pub(super) global_parameters: BTreeMap<String, Value>,
    /// Vhost and name by the queue's number.
    pub(super) queues_by_id: BTreeMap<u64, (String, String)>,
    /// The highest number a queue ever had; none is zero.
    pub(super) last_queue_id: u64,
}

impl State {
    /// All vhosts, by name.
    pub fn vhosts(&self) -> impl Iterator<Item = (&str, &VhostDef)> {
        self.vhosts
            .iter()
            .map(|(name, vhost)| (name.as_str(), &vhost.def))
    }

    /// The vhost of that name.
    pub fn vhost(&self, name: &str) -> Option<&VhostDef> {
        self.vhosts.get(name).map(|vhost| &vhost.def)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = (&str, &UserDef)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// The user of that name.
    pub fn user(&self, name: &str) -> Option<&UserDef> {
        self.users.get(name)
    }

    /// What the user may do in the vhost; `None` means not even open it.
    pub fn permission(&self, user: &str, vhost: &str) -> Option<&PermissionDef> {
        self.vhosts.get(vhost)?.permissions.get(user)
    }

    /// The permissions in a vhost, by user.
    pub fn permissions(&self, vhost: &str) -> impl Iterator<Item = (&str, &PermissionDef)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(|vhost| {
            vhost
                .permissions
                .iter()
                .map(|(user, def)| (user.as_str(), def))
        })
    }

    /// The topic permissions in a vhost: user, exchange and permission.
    pub fn topic_permissions(
        &self,
        vhost: &str,
    ) -> impl Iterator<Item = (&str, &str, &TopicPermissionDef)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(|vhost| {
            vhost
                .topic_permissions
                .iter()
                .map(|((user, exchange), def)| (user.as_str(), exchange.as_str(), def))
        })
    }

    /// The policies of a vhost, or its operator policies, by name.
    pub fn policies(
        &self,
        vhost: &str,
        operator: bool,
    ) -> impl Iterator<Item = (&str, &PolicyDef)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(move |vhost| {
            vhost
                .policies(operator)
                .iter()
                .map(|(name, def)| (name.as_str(), def))
        })
    }

    /// One policy or operator policy.
    pub fn policy(&self, vhost: &str, name: &str, operator: bool) -> Option<&PolicyDef> {
        self.vhosts.get(vhost)?.policies(operator).get(name)
    }

    /// The runtime parameters of a vhost: component, name and value.
    pub fn parameters(&self, vhost: &str) -> impl Iterator<Item = (&str, &str, &Value)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(|vhost| {
            vhost
                .parameters
                .iter()
                .map(|((component, name), value)| (component.as_str(), name.as_str(), value))
        })
    }

    /// One runtime parameter of a vhost.
    pub fn parameter(&self, vhost: &str, component: &str, name: &str) -> Option<&Value> {
        let key = (component.to_owned(), name.to_owned());
        self.vhosts.get(vhost)?.parameters.get(&key)
    }

    /// The durable exchanges of a vhost, by name, without those every vhost has.
    pub fn exchanges(&self, vhost: &str) -> impl Iterator<Item = (&str, &ExchangeDef)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(|vhost| {
            vhost
                .exchanges
                .iter()
                .map(|(name, def)| (name.as_str(), def))
        })
    }

    /// One durable exchange.
    pub fn exchange(&self, vhost: &str, name: &str) -> Option<&ExchangeDef> {
        self.vhosts.get(vhost)?.exchanges.get(name)
    }

    /// The durable queues of a vhost, by name.
    pub fn queues(&self, vhost: &str) -> impl Iterator<Item = (&str, &QueueDef)> {
        let vhost = self.vhosts.get(vhost).into_iter();
        vhost.flat_map(|vhost| vhost.queues.iter().map(|(name, def)| (name.as_str(), def)))
    }

    /// One durable queue.
    pub fn queue(&self, vhost: &str, name: &str) -> Option<&QueueDef> {
        self.vhosts.get(vhost)?.queues.get(name)
    }

    /// Vhost and name of the queue with that number.
    pub fn queue_by_id(&self, id: u64) -> Option<(&str, &str)> {
        self.queues_by_id
            .get(&id)
            .map(|(vhost, name)| (vhost.as_str(), name.as_str()))
    }

    /// The bindings of a vhost, those of one destination together.
    pub fn bindings(&self, vhost: &str) -> impl Iterator<Item = &BindingDef> {
        self.vhosts
            .get(vhost)
            .into_iter()
            .flat_map(|vhost| vhost.bindings.iter())
    }

    /// The bindings with the same ends and routing key as `binding`, whatever their arguments.
    pub fn bindings_like(
        &self,
        vhost: &str,
        binding: &BindingDef,
    ) -> impl Iterator<Item = &BindingDef> {
        self.vhosts
            .get(vhost)
            .into_iter()
            .flat_map(|vhost| vhost.bindings.like(binding))
    }

    /// Parameters of the whole cluster, by name.
    pub fn global_parameters(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.global_parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// One parameter of the whole cluster.
    pub fn global_parameter(&self, name: &str) -> Option<&Value> {
        self.global_parameters.get(name)
    }

    /// A number no durable queue ever had, from 1.
    pub fn next_queue_id(&self) -> u64 {
        self.last_queue_id.saturating_add(1)
    }
}
