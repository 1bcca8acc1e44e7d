//! Events about definitions that are not in a vhost's topology: users, permissions, policies,
//! parameters, limits, vhosts.

use serde_json::{Map, Value};
use warren_amqp::{TableBuilder, TableRef, table_from_fields};

use super::Notices;
use crate::catalog::definitions::to_table;
use crate::catalog::{Command, Event};
use crate::turn::Turn;

impl Notices {
    /// Tells what a command that an operator gave has changed. `known_user`: the user it names was
    /// there before.
    pub(crate) fn definition_changed(
        &self,
        command: &Command,
        event: &Event,
        known_user: bool,
        turn: &Turn,
    ) {
        match event {
            Event::VhostCreated { name, vhost } => self.event_of("vhost.created", turn, |t| {
                t.longstr("name", name);
                t.longstr("description", &vhost.description);
                t.array_of_longstr("tags", &vhost.tags);
            }),
            Event::VhostDeleted { name } => self.event_of("vhost.deleted", turn, |t| {
                t.longstr("name", name);
            }),
            Event::VhostChanged { name, .. } => self.vhost_changed(command, name, turn),
            Event::UserPut { name, user } => match command {
                Command::SetUserLimit { value, .. } => {
                    let key = match value {
                        Some(_) => "user.limits.set",
                        None => "user.limits.cleared",
                    };
                    self.event_of(key, turn, |t| {
                        t.longstr("name", name);
                    });
                }
                _ => self.user_put(name, &user.tags, known_user, turn),
            },
            Event::UserDeleted { name } => self.event_of("user.deleted", turn, |t| {
                t.longstr("name", name);
            }),
            Event::PermissionSet {
                user,
                vhost,
                permission,
            } => self.event_of("permission.created", turn, |t| {
                user_in_vhost(t, user, vhost);
                t.longstr("configure", &permission.configure);
                t.longstr("write", &permission.write);
                t.longstr("read", &permission.read);
            }),
            Event::PermissionCleared { user, vhost } => {
                self.event_of("permission.deleted", turn, |t| {
                    user_in_vhost(t, user, vhost);
                });
            }
            Event::TopicPermissionSet {
                user,
                vhost,
                exchange,
                permission,
            } => self.event_of("topic.permission.created", turn, |t| {
                user_in_vhost(t, user, vhost);
                t.longstr("exchange", exchange);
                t.longstr("write", &permission.write);
                t.longstr("read", &permission.read);
            }),
            Event::TopicPermissionCleared {
                user,
                vhost,
                exchange,
            } => self.event_of("topic.permission.deleted", turn, |t| {
                user_in_vhost(t, user, vhost);
                t.longstr("exchange", exchange);
            }),
            Event::PolicySet {
                vhost,
                name,
                operator,
                policy,
            } => {
                let key = if *operator {
                    "operator.policy.set"
                } else {
                    "policy.set"
                };
                self.event_of(key, turn, |t| {
                    named_in_vhost(t, name, vhost);
                    t.longstr("pattern", &policy.pattern);
                    t.longstr("apply-to", policy.apply_to.as_str());
                    t.long("priority", policy.priority);
                    json(t, "definition", &Value::Object(policy.definition.clone()));
                });
            }
            Event::PolicyCleared {
                vhost,
                name,
                operator,
            } => {
                let key = if *operator {
                    "operator.policy.cleared"
                } else {
                    "policy.cleared"
                };
                self.event_of(key, turn, |t| named_in_vhost(t, name, vhost));
            }
            Event::ParameterSet {
                vhost,
                component,
                name,
                value,
            } => self.event_of("parameter.set", turn, |t| {
                named_in_vhost(t, name, vhost);
                t.longstr("component", component);
                json(t, "value", value);
            }),
            Event::ParameterCleared {
                vhost,
                component,
                name,
            } => self.event_of("parameter.cleared", turn, |t| {
                named_in_vhost(t, name, vhost);
                t.longstr("component", component);
            }),
            Event::GlobalParameterSet { name, value } => {
                self.event_of("parameter.set", turn, |t| {
                    t.longstr("name", name);
                    json(t, "value", value);
                });
            }
            Event::GlobalParameterCleared { name } => {
                self.event_of("parameter.cleared", turn, |t| {
                    t.longstr("name", name);
                });
            }
            // What is in a vhost tells of itself, durable or not.
            Event::ExchangeDeclared { .. }
            | Event::ExchangeDeleted { .. }
            | Event::QueueDeclared { .. }
            | Event::QueueChanged { .. }
            | Event::QueueDeleted { .. }
            | Event::Bound { .. }
            | Event::Unbound { .. } => {}
        }
    }

    /// A user is new, or has another password or other tags.
    fn user_put(&self, name: &str, tags: &[String], known: bool, turn: &Turn) {
        let key = if known {
            "user.password.changed"
        } else {
            "user.created"
        };
        self.event_of(key, turn, |t| {
            t.longstr("name", name);
        });
        self.event_of("user.tags.set", turn, |t| {
            t.longstr("name", name);
            t.array_of_longstr("tags", tags);
        });
    }

    fn vhost_changed(&self, command: &Command, name: &str, turn: &Turn) {
        let key = match command {
            Command::SetVhostLimit { value: Some(_), .. } => "vhost.limits.set",
            Command::SetVhostLimit { value: None, .. } => "vhost.limits.cleared",
            _ => return,
        };
        self.event_of(key, turn, |t| {
            t.longstr("name", name);
        });
    }
}

fn user_in_vhost(table: &mut TableBuilder, user: &str, vhost: &str) {
    table.longstr("user", user);
    table.longstr("vhost", vhost);
}

fn named_in_vhost(table: &mut TableBuilder, name: &str, vhost: &str) {
    table.longstr("name", name);
    table.longstr("vhost", vhost);
}

/// Adds a JSON value; one a table cannot hold is left out.
fn json(table: &mut TableBuilder, key: &str, value: &Value) {
    let object = Map::from_iter([(key.to_owned(), value.clone())]);
    let Ok(fields) = to_table(&object) else {
        return;
    };
    let bytes = table_from_fields(&fields);
    if let Some(value) = TableRef::new(&bytes).get(key.as_bytes()) {
        table.raw(key, value);
    }
}
