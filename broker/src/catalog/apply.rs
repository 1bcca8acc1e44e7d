//! Applying commands to the state, and the events that say what came of it.
//!
//! Pure: the same commands in the same order give the same state and the same events anywhere.

use serde_json::Value;

use super::check::{CatalogError, Verdict, check};
use super::command::{BindingDef, Command};
use super::policy::{PolicyDef, TopicPermissionDef, UserLimits};
use super::settings::{change_settings, clear_topic_permissions, settings_gone};
use super::state::{ExchangeDef, PermissionDef, QueueDef, State, UserDef, VhostDef, VhostState};

/// One thing that changed, with all that is needed to change a copy in the same way.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are those of the objects, documented there"
)]
pub enum Event {
    /// A vhost is new.
    VhostCreated { name: String, vhost: VhostDef },
    /// A vhost has other metadata.
    VhostChanged { name: String, vhost: VhostDef },
    /// A vhost is gone. Events for all it held came before.
    VhostDeleted { name: String },
    /// A user is new or has another password or other tags.
    UserPut { name: String, user: UserDef },
    /// A user is gone. Events for the user's permissions came before.
    UserDeleted { name: String },
    /// A user may do this in a vhost from now on.
    PermissionSet {
        user: String,
        vhost: String,
        permission: PermissionDef,
    },
    /// A user may do nothing in a vhost any more.
    PermissionCleared { user: String, vhost: String },
    /// An exchange is new.
    ExchangeDeclared {
        vhost: String,
        name: String,
        exchange: ExchangeDef,
    },
    /// An exchange is gone. Events for its bindings came before.
    ExchangeDeleted { vhost: String, name: String },
    /// A queue is new. No later queue gets a number up to `last_queue_id`.
    QueueDeclared {
        vhost: String,
        name: String,
        queue: QueueDef,
        last_queue_id: u64,
    },
    /// A queue has other arguments.
    QueueChanged {
        vhost: String,
        name: String,
        queue: QueueDef,
    },
    /// A queue is gone. Events for its bindings came before.
    QueueDeleted {
        vhost: String,
        name: String,
        id: u64,
    },
    /// A binding is new.
    Bound { vhost: String, binding: BindingDef },
    /// A binding is gone.
    Unbound { vhost: String, binding: BindingDef },
    /// A user may use these routing keys from now on.
    TopicPermissionSet {
        user: String,
        vhost: String,
        exchange: String,
        permission: TopicPermissionDef,
    },
    /// A topic permission is gone.
    TopicPermissionCleared {
        user: String,
        vhost: String,
        exchange: String,
    },
    /// A policy or operator policy is new or another one.
    PolicySet {
        vhost: String,
        name: String,
        operator: bool,
        policy: PolicyDef,
    },
    /// A policy or operator policy is gone.
    PolicyCleared {
        vhost: String,
        name: String,
        operator: bool,
    },
    /// A runtime parameter has this value from now on.
    ParameterSet {
        vhost: String,
        component: String,
        name: String,
        value: Value,
    },
    /// A runtime parameter is gone.
    ParameterCleared {
        vhost: String,
        component: String,
        name: String,
    },
    /// A parameter of the cluster has this value from now on.
    GlobalParameterSet { name: String, value: Value },
    /// A parameter of the cluster is gone.
    GlobalParameterCleared { name: String },
}

impl Event {
    /// Whether what users may do can be different now.
    pub(super) fn touches_auth(&self) -> bool {
        matches!(
            self,
            Self::VhostCreated { .. }
                | Self::VhostDeleted { .. }
                | Self::UserPut { .. }
                | Self::UserDeleted { .. }
                | Self::PermissionSet { .. }
                | Self::PermissionCleared { .. }
                | Self::TopicPermissionSet { .. }
                | Self::TopicPermissionCleared { .. }
        )
    }
}

/// Validates a command and changes the state. No event means that nothing changed because all was
/// already so. Errors: see [`CatalogError`]; the state is then as it was.
pub fn apply(state: &mut State, command: &Command) -> Result<Vec<Event>, CatalogError> {
    match check(state, command)? {
        Verdict::Nothing => Ok(Vec::new()),
        Verdict::Changes => Ok(change(state, command.clone())),
    }
}

/// Changes the state by a command that has been checked against it.
pub(super) fn change(state: &mut State, command: Command) -> Vec<Event> {
    match command {
        Command::Batch(commands) => change_all(state, commands),
        Command::PutVhost {
            name,
            description,
            tags,
            default_queue_type,
        } => {
            let known = state.vhost(&name).cloned().unwrap_or_default();
            vec![put_vhost(
                state,
                name,
                VhostDef {
                    description,
                    tags,
                    default_queue_type,
                    ..known
                },
            )]
        }
        Command::DeleteVhost { name } => delete_vhost(state, name),
        Command::PutUser {
            name,
            password_hash,
            hashing_algorithm,
            tags,
        } => {
            let known = state.user(&name).map(|user| user.limits.clone());
            vec![put_user(
                state,
                name,
                UserDef {
                    password_hash,
                    hashing_algorithm,
                    tags,
                    limits: known.unwrap_or_default(),
                },
            )]
        }
        Command::DeleteUser { name } => delete_user(state, name),
        first @ Command::CreateFirstUser { .. } => create_first_user(state, first),
        Command::SetPermission {
            user,
            vhost,
            configure,
            write,
            read,
        } => set_permission(
            state,
            user,
            vhost,
            PermissionDef {
                configure,
                write,
                read,
            },
        ),
        Command::ClearPermission { user, vhost } => {
            let permissions = state
                .vhosts
                .get_mut(&vhost)
                .map(|vhost| &mut vhost.permissions);
            let removed = permissions.and_then(|permissions| permissions.remove(&user));
            removed
                .map(|_| Event::PermissionCleared { user, vhost })
                .into_iter()
                .collect()
        }
        Command::SetGlobalParameter { name, value } => {
            state.global_parameters.insert(name.clone(), value.clone());
            vec![Event::GlobalParameterSet { name, value }]
        }
        Command::ClearGlobalParameter { name } => {
            state.global_parameters.remove(&name);
            vec![Event::GlobalParameterCleared { name }]
        }
        topology => change_topology(state, topology),
    }
}

/// They were checked together: none is refused now.
fn change_all(state: &mut State, commands: Vec<Command>) -> Vec<Event> {
    let mut events = Vec::with_capacity(commands.len());
    for command in commands {
        if check(state, &command) == Ok(Verdict::Changes) {
            events.extend(change(state, command));
        }
    }
    events
}

fn change_topology(state: &mut State, command: Command) -> Vec<Event> {
    match command {
        Command::DeclareExchange {
            vhost,
            name,
            kind,
            auto_delete,
            internal,
            arguments,
        } => {
            let exchange = ExchangeDef {
                kind,
                auto_delete,
                internal,
                arguments,
            };
            declare_exchange(state, vhost, name, exchange)
        }
        Command::DeleteExchange { vhost, name } => delete_exchange(state, vhost, name),
        Command::DeclareQueue {
            vhost,
            name,
            id,
            auto_delete,
            arguments,
        } => declare_queue(
            state,
            vhost,
            name,
            QueueDef {
                id,
                auto_delete,
                arguments,
            },
        ),
        Command::DeleteQueue { vhost, name } => delete_queue(state, vhost, name),
        Command::Bind { vhost, binding } => {
            if let Some(found) = state.vhosts.get_mut(&vhost) {
                found.bindings.insert(binding.clone());
            }
            vec![Event::Bound { vhost, binding }]
        }
        Command::Unbind { vhost, binding } => {
            if let Some(found) = state.vhosts.get_mut(&vhost) {
                found.bindings.remove(&binding);
            }
            vec![Event::Unbound { vhost, binding }]
        }
        other => change_settings(state, other),
    }
}

pub(super) fn put_vhost(state: &mut State, name: String, vhost: VhostDef) -> Event {
    if let Some(known) = state.vhosts.get_mut(&name) {
        known.def = vhost.clone();
        return Event::VhostChanged { name, vhost };
    }
    let new = VhostState {
        def: vhost.clone(),
        ..VhostState::default()
    };
    state.vhosts.insert(name.clone(), new);
    Event::VhostCreated { name, vhost }
}

fn delete_vhost(state: &mut State, name: String) -> Vec<Event> {
    let Some(gone) = state.vhosts.remove(&name) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    for binding in gone.bindings.iter() {
        events.push(Event::Unbound {
            vhost: name.clone(),
            binding: binding.clone(),
        });
    }
    for (queue, def) in &gone.queues {
        state.queues_by_id.remove(&def.id);
        events.push(Event::QueueDeleted {
            vhost: name.clone(),
            name: queue.clone(),
            id: def.id,
        });
    }
    events.extend(settings_gone(&name, &gone));
    for exchange in gone.exchanges.into_keys() {
        events.push(Event::ExchangeDeleted {
            vhost: name.clone(),
            name: exchange,
        });
    }
    for user in gone.permissions.into_keys() {
        events.push(Event::PermissionCleared {
            user,
            vhost: name.clone(),
        });
    }
    events.push(Event::VhostDeleted { name });
    events
}

pub(super) fn put_user(state: &mut State, name: String, user: UserDef) -> Event {
    state.users.insert(name.clone(), user.clone());
    Event::UserPut { name, user }
}

fn delete_user(state: &mut State, name: String) -> Vec<Event> {
    let mut events = Vec::new();
    for (vhost, found) in &mut state.vhosts {
        events.extend(clear_topic_permissions(vhost, found, &name, None));
        if found.permissions.remove(&name).is_some() {
            events.push(Event::PermissionCleared {
                user: name.clone(),
                vhost: vhost.clone(),
            });
        }
    }
    state.users.remove(&name);
    events.push(Event::UserDeleted { name });
    events
}

/// A vhost that is already there keeps its metadata.
fn create_first_user(state: &mut State, command: Command) -> Vec<Event> {
    let Command::CreateFirstUser {
        user,
        password_hash,
        hashing_algorithm,
        tags,
        vhost,
        configure,
        write,
        read,
    } = command
    else {
        return Vec::new();
    };
    let mut events = Vec::new();
    if !state.vhosts.contains_key(&vhost) {
        let description = "Default virtual host".to_owned();
        let def = VhostDef {
            description,
            ..VhostDef::default()
        };
        events.push(put_vhost(state, vhost.clone(), def));
    }
    let def = UserDef {
        password_hash,
        hashing_algorithm,
        tags,
        limits: UserLimits::new(),
    };
    events.push(put_user(state, user.clone(), def));
    let permission = PermissionDef {
        configure,
        write,
        read,
    };
    events.extend(set_permission(state, user, vhost, permission));
    events
}

fn set_permission(
    state: &mut State,
    user: String,
    vhost: String,
    permission: PermissionDef,
) -> Vec<Event> {
    let Some(found) = state.vhosts.get_mut(&vhost) else {
        return Vec::new();
    };
    found.permissions.insert(user.clone(), permission.clone());
    vec![Event::PermissionSet {
        user,
        vhost,
        permission,
    }]
}

fn declare_exchange(
    state: &mut State,
    vhost: String,
    name: String,
    exchange: ExchangeDef,
) -> Vec<Event> {
    let Some(found) = state.vhosts.get_mut(&vhost) else {
        return Vec::new();
    };
    found.exchanges.insert(name.clone(), exchange.clone());
    vec![Event::ExchangeDeclared {
        vhost,
        name,
        exchange,
    }]
}

fn delete_exchange(state: &mut State, vhost: String, name: String) -> Vec<Event> {
    let Some(found) = state.vhosts.get_mut(&vhost) else {
        return Vec::new();
    };
    found.exchanges.remove(&name);
    let mut events = unbound(&vhost, found.bindings.take_exchange(&name));
    events.push(Event::ExchangeDeleted { vhost, name });
    events
}

fn declare_queue(state: &mut State, vhost: String, name: String, queue: QueueDef) -> Vec<Event> {
    let Some(found) = state.vhosts.get_mut(&vhost) else {
        return Vec::new();
    };
    found.queues.insert(name.clone(), queue.clone());
    state
        .queues_by_id
        .insert(queue.id, (vhost.clone(), name.clone()));
    state.last_queue_id = state.last_queue_id.max(queue.id);
    let last_queue_id = state.last_queue_id;
    vec![Event::QueueDeclared {
        vhost,
        name,
        queue,
        last_queue_id,
    }]
}

fn delete_queue(state: &mut State, vhost: String, name: String) -> Vec<Event> {
    let Some(found) = state.vhosts.get_mut(&vhost) else {
        return Vec::new();
    };
    let Some(QueueDef { id, .. }) = found.queues.remove(&name) else {
        return Vec::new();
    };
    state.queues_by_id.remove(&id);
    let mut events = unbound(&vhost, found.bindings.take_queue(&name));
    events.push(Event::QueueDeleted { vhost, name, id });
    events
}

fn unbound(vhost: &str, bindings: Vec<BindingDef>) -> Vec<Event> {
    let event = |binding| Event::Unbound {
        vhost: vhost.to_owned(),
        binding,
    };
    bindings.into_iter().map(event).collect()
}
