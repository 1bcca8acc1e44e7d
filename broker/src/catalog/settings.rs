//! Applying commands about limits, topic permissions, policies, parameters and arguments.
//!
//! The other half of [`apply`](super::apply()), and as pure.

use super::apply::{Event, put_user, put_vhost};
use super::command::Command;
use super::policy::TopicPermissionDef;
use super::state::{State, VhostState};

/// Changes the state by a command that has been checked against it.
pub(super) fn change_settings(state: &mut State, command: Command) -> Vec<Event> {
    let event = match command {
        Command::RedeclareQueue {
            vhost,
            name,
            arguments,
        } => {
            let found = state.vhosts.get_mut(&vhost);
            let queue = found.and_then(|found| found.queues.get_mut(&name));
            queue.map(|queue| {
                queue.arguments = arguments;
                let queue = queue.clone();
                Event::QueueChanged { vhost, name, queue }
            })
        }
        Command::ProtectVhost { name, protected } => {
            let mut def = state.vhost(&name).cloned().unwrap_or_default();
            def.protected_from_deletion = protected;
            Some(put_vhost(state, name, def))
        }
        Command::SetVhostLimit {
            vhost,
            limit,
            value,
        } => {
            let mut def = state.vhost(&vhost).cloned().unwrap_or_default();
            match value {
                Some(value) => def.limits.insert(limit, value),
                None => def.limits.remove(&limit),
            };
            Some(put_vhost(state, vhost, def))
        }
        Command::SetUserLimit { user, limit, value } => {
            state.user(&user).cloned().map(|mut def| {
                match value {
                    Some(value) => def.limits.insert(limit, value),
                    None => def.limits.remove(&limit),
                };
                put_user(state, user, def)
            })
        }
        Command::ClearTopicPermission {
            user,
            vhost,
            exchange,
        } => {
            let Some(found) = state.vhosts.get_mut(&vhost) else {
                return Vec::new();
            };
            return clear_topic_permissions(&vhost, found, &user, exchange.as_deref());
        }
        inside => change_inside(state, inside),
    };
    event.into_iter().collect()
}

/// What stands in a vhost by a name of its own.
fn change_inside(state: &mut State, command: Command) -> Option<Event> {
    match command {
        Command::SetTopicPermission {
            user,
            vhost,
            exchange,
            write,
            read,
        } => {
            let permission = TopicPermissionDef { write, read };
            let found = state.vhosts.get_mut(&vhost)?;
            let key = (user.clone(), exchange.clone());
            found.topic_permissions.insert(key, permission.clone());
            Some(Event::TopicPermissionSet {
                user,
                vhost,
                exchange,
                permission,
            })
        }
        Command::SetPolicy {
            vhost,
            name,
            operator,
            policy,
        } => {
            let found = state.vhosts.get_mut(&vhost)?;
            found
                .policies_mut(operator)
                .insert(name.clone(), policy.clone());
            Some(Event::PolicySet {
                vhost,
                name,
                operator,
                policy,
            })
        }
        Command::ClearPolicy {
            vhost,
            name,
            operator,
        } => {
            let found = state.vhosts.get_mut(&vhost)?;
            found.policies_mut(operator).remove(&name)?;
            Some(Event::PolicyCleared {
                vhost,
                name,
                operator,
            })
        }
        Command::SetParameter {
            vhost,
            component,
            name,
            value,
        } => {
            let found = state.vhosts.get_mut(&vhost)?;
            let key = (component.clone(), name.clone());
            found.parameters.insert(key, value.clone());
            Some(Event::ParameterSet {
                vhost,
                component,
                name,
                value,
            })
        }
        Command::ClearParameter {
            vhost,
            component,
            name,
        } => {
            let found = state.vhosts.get_mut(&vhost)?;
            found
                .parameters
                .remove(&(component.clone(), name.clone()))?;
            Some(Event::ParameterCleared {
                vhost,
                component,
                name,
            })
        }
        // The rest is the caller's.
        _ => None,
    }
}

/// Takes a user's topic permissions in a vhost away, those on one exchange or all.
pub(super) fn clear_topic_permissions(
    vhost: &str,
    found: &mut VhostState,
    user: &str,
    exchange: Option<&str>,
) -> Vec<Event> {
    let gone: Vec<(String, String)> = found
        .topic_permissions
        .keys()
        .filter(|(of, on)| of == user && exchange.is_none_or(|only| only == on))
        .cloned()
        .collect();
    let mut events = Vec::with_capacity(gone.len());
    for key in gone {
        found.topic_permissions.remove(&key);
        let (user, exchange) = key;
        events.push(Event::TopicPermissionCleared {
            user,
            vhost: vhost.to_owned(),
            exchange,
        });
    }
    events
}

/// The events that say that all of this went with its vhost.
pub(super) fn settings_gone(vhost: &str, gone: &VhostState) -> Vec<Event> {
    let name_of = || vhost.to_owned();
    let mut events = Vec::new();
    for (user, exchange) in gone.topic_permissions.keys() {
        events.push(Event::TopicPermissionCleared {
            user: user.clone(),
            vhost: name_of(),
            exchange: exchange.clone(),
        });
    }
    for operator in [false, true] {
        for name in gone.policies(operator).keys() {
            events.push(Event::PolicyCleared {
                vhost: name_of(),
                name: name.clone(),
                operator,
            });
        }
    }
    for (component, name) in gone.parameters.keys() {
        events.push(Event::ParameterCleared {
            vhost: name_of(),
            component: component.clone(),
            name: name.clone(),
        });
    }
    events
}
