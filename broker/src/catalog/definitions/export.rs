//! Writing definitions.

use std::collections::BTreeMap;

use super::super::command::BindingDef;
use super::super::state::State;
use super::json::from_table;
use super::{
    BindingEntry, Definitions, ExchangeEntry, GlobalParameterEntry, PermissionEntry, QueueEntry,
    UserEntry, VhostEntry, VhostMetadata,
};
use crate::delay::store_of;

/// The RabbitMQ whose definitions these are equal to. Tools look at it before they import.
const RABBITMQ_VERSION: &str = "3.13.7";

impl Definitions {
    /// All durable definitions (row O-1). Transient queues and exchanges are not in the catalog;
    /// who knows them adds them.
    pub fn export(state: &State) -> Self {
        let mut file = Self {
            rabbit_version: Some(RABBITMQ_VERSION.to_owned()),
            rabbitmq_version: Some(RABBITMQ_VERSION.to_owned()),
            product_name: Some("Warren".to_owned()),
            product_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            users: state.users().map(user).collect(),
            global_parameters: state
                .global_parameters()
                .map(|(name, value)| GlobalParameterEntry {
                    name: name.to_owned(),
                    value: value.clone(),
                })
                .collect(),
            other: BTreeMap::new(),
            ..Self::default()
        };
        for (name, _) in state.vhosts() {
            file.add_vhost(state, name);
        }
        file
    }

    fn add_vhost(&mut self, state: &State, vhost: &str) {
        let metadata = state.vhost(vhost).cloned().unwrap_or_default();
        self.vhosts.push(VhostEntry {
            name: vhost.to_owned(),
            description: metadata.description.clone(),
            tags: metadata.tags.clone(),
            default_queue_type: metadata.default_queue_type.clone(),
            metadata: Some(VhostMetadata {
                description: metadata.description,
                tags: metadata.tags,
                default_queue_type: metadata.default_queue_type,
                protected_from_deletion: metadata.protected_from_deletion,
            }),
            ..VhostEntry::default()
        });
        self.export_settings(state, vhost);
        self.permissions
            .extend(state.permissions(vhost).map(|(user, def)| PermissionEntry {
                user: user.to_owned(),
                vhost: vhost.to_owned(),
                configure: def.configure.clone(),
                write: def.write.clone(),
                read: def.read.clone(),
            }));
        self.exchanges
            .extend(state.exchanges(vhost).map(|(name, def)| ExchangeEntry {
                name: name.to_owned(),
                vhost: vhost.to_owned(),
                kind: def.kind.clone(),
                durable: true,
                auto_delete: def.auto_delete,
                internal: def.internal,
                arguments: from_table(&def.arguments),
            }));
        // The stores of delayed exchanges are made with their exchange.
        let queues = state
            .queues(vhost)
            .filter(|(name, def)| store_of(name, &def.arguments).is_none());
        self.queues.extend(queues.map(|(name, def)| QueueEntry {
            name: name.to_owned(),
            vhost: vhost.to_owned(),
            durable: true,
            auto_delete: def.auto_delete,
            kind: None,
            arguments: from_table(&def.arguments),
        }));
        self.bindings
            .extend(state.bindings(vhost).map(|def| binding(vhost, def)));
    }
}

fn user((name, def): (&str, &super::super::state::UserDef)) -> UserEntry {
    UserEntry {
        name: name.to_owned(),
        password_hash: def.password_hash.clone(),
        password: None,
        hashing_algorithm: Some(def.hashing_algorithm.as_str().to_owned()),
        tags: def.tags.clone(),
        limits: serde_json::json!(def.limits),
    }
}

fn binding(vhost: &str, def: &BindingDef) -> BindingEntry {
    BindingEntry {
        source: def.source.clone(),
        vhost: vhost.to_owned(),
        destination: def.destination.clone(),
        destination_type: if def.destination_is_queue {
            "queue"
        } else {
            "exchange"
        }
        .to_owned(),
        routing_key: def.routing_key.clone(),
        arguments: from_table(&def.arguments),
    }
}
