//! The definitions as keys and values, for the indexed view and for snapshots.
//!
//! A key is one byte for the kind, then each part with its length (u32, big endian) before it, so
//! that no byte in a name can be taken for a separator:
//!
//! ```text
//!   v vhost                        u user                       g name
//!   p vhost user                   x vhost exchange             q vhost queue
//!   b vhost q|x destination source routing-key arguments        m "last_queue_id"
//!   l vhost policy                 o vhost operator-policy      r vhost component parameter
//!   t vhost user exchange
//! ```
//!
//! A value is `{"v":1,"d":...}` with the definition as JSON.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::apply::Event;
use super::command::BindingDef;
use super::exact;
use super::state::{State, VhostState};

/// Version of the values. A reader refuses what is newer.
const VERSION: u32 = 1;
const LAST_QUEUE_ID: &str = "last_queue_id";

/// One change of the view: the key, and its value or `None` to remove it.
type ViewOp = (Vec<u8>, Option<Vec<u8>>);

/// Why entries are no definitions.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// Written by a later version.
    #[error("a definition has version {found}, this version reads up to {VERSION}")]
    Newer {
        /// The version found.
        found: u32,
    },
    /// A key this version does not know: it would lose it.
    #[error("unknown key {0:02x?} among the definitions")]
    UnknownKey(Vec<u8>),
    /// Something is in a vhost that is not there.
    #[error("there is no vhost '{0}'")]
    NoVhost(String),
    /// A value that is not what this program writes.
    #[error("definition {key:02x?} cannot be read: {reason}")]
    Malformed {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        reason: String,
    },
}

/// What the events of one command do to the view.
pub fn view_ops(events: &[Event]) -> Vec<ViewOp> {
    let mut ops = Vec::with_capacity(events.len());
    for event in events {
        ops.push(op(event));
        if let Event::QueueDeclared { last_queue_id, .. } = event {
            ops.push((key(b'm', &[LAST_QUEUE_ID]), value(last_queue_id)));
        }
    }
    ops
}

fn op(event: &Event) -> ViewOp {
    match event {
        Event::VhostCreated { name, vhost } | Event::VhostChanged { name, vhost } => {
            (key(b'v', &[name]), value(vhost))
        }
        Event::VhostDeleted { name } => (key(b'v', &[name]), None),
        Event::UserPut { name, user } => (key(b'u', &[name]), value(user)),
        Event::UserDeleted { name } => (key(b'u', &[name]), None),
        Event::PermissionSet {
            user,
            vhost,
            permission,
        } => (key(b'p', &[vhost, user]), value(permission)),
        Event::PermissionCleared { user, vhost } => (key(b'p', &[vhost, user]), None),
        Event::ExchangeDeclared {
            vhost,
            name,
            exchange,
        } => (key(b'x', &[vhost, name]), value(exchange)),
        Event::ExchangeDeleted { vhost, name } => (key(b'x', &[vhost, name]), None),
        Event::QueueDeclared {
            vhost, name, queue, ..
        } => (key(b'q', &[vhost, name]), value(queue)),
        Event::QueueChanged { vhost, name, queue } => (key(b'q', &[vhost, name]), value(queue)),
        Event::QueueDeleted { vhost, name, .. } => (key(b'q', &[vhost, name]), None),
        Event::Bound { vhost, binding } => (binding_key(vhost, binding), value(binding)),
        Event::Unbound { vhost, binding } => (binding_key(vhost, binding), None),
        Event::TopicPermissionSet {
            user,
            vhost,
            exchange,
            permission,
        } => (key(b't', &[vhost, user, exchange]), value(permission)),
        Event::TopicPermissionCleared {
            user,
            vhost,
            exchange,
        } => (key(b't', &[vhost, user, exchange]), None),
        Event::PolicySet {
            vhost,
            name,
            operator,
            policy,
        } => (policy_key(vhost, name, *operator), value(policy)),
        Event::PolicyCleared {
            vhost,
            name,
            operator,
        } => (policy_key(vhost, name, *operator), None),
        Event::ParameterSet {
            vhost,
            component,
            name,
            value: set,
        } => (key(b'r', &[vhost, component, name]), value(set)),
        Event::ParameterCleared {
            vhost,
            component,
            name,
        } => (key(b'r', &[vhost, component, name]), None),
        Event::GlobalParameterSet { name, value: set } => (key(b'g', &[name]), value(set)),
        Event::GlobalParameterCleared { name } => (key(b'g', &[name]), None),
    }
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    d: &'a T,
}

#[derive(Deserialize)]
struct Read<T> {
    d: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

fn value<T: Serialize>(definition: &T) -> Option<Vec<u8>> {
    let written = Written {
        v: VERSION,
        d: definition,
    };
    Some(serde_json::to_vec(&written).expect("definitions hold nothing JSON cannot"))
}

fn key(kind: u8, parts: &[&str]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    byte_key(kind, &parts)
}

fn policy_key(vhost: &str, name: &str, operator: bool) -> Vec<u8> {
    key(if operator { b'o' } else { b'l' }, &[vhost, name])
}

fn binding_key(vhost: &str, binding: &BindingDef) -> Vec<u8> {
    let arguments = exact::to_json(&binding.arguments);
    let kind: &[u8] = if binding.destination_is_queue {
        b"q"
    } else {
        b"x"
    };
    byte_key(
        b'b',
        &[
            vhost.as_bytes(),
            kind,
            binding.destination.as_bytes(),
            binding.source.as_bytes(),
            binding.routing_key.as_bytes(),
            &arguments,
        ],
    )
}

fn byte_key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    for part in parts {
        let length = u32::try_from(part.len()).expect("a part of a key is far below 4 GiB");
        key.extend(length.to_be_bytes());
        key.extend_from_slice(part);
    }
    key
}

/// Builds the state from all entries of the view, in any order.
pub fn load<I>(entries: I) -> Result<State, LoadError>
where
    I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
{
    let mut missing = Vec::new();
    let state = load_with(entries, &mut missing)?;
    match missing.pop() {
        None => Ok(state),
        Some(vhost) => Err(LoadError::NoVhost(vhost)),
    }
}

/// The same, but a vhost that is missing although something is in it is made, and named in
/// `missing_vhosts`.
pub(super) fn load_with<I>(entries: I, missing_vhosts: &mut Vec<String>) -> Result<State, LoadError>
where
    I: IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
{
    let mut state = State::default();
    let mut inside = Vec::new();
    for (key, value) in entries {
        match key.first() {
            Some(b'v' | b'u' | b'g' | b'm') => load_top(&mut state, &key, &value)?,
            Some(b'p' | b'x' | b'q' | b'b' | b'l' | b'o' | b'r' | b't') => {
                inside.push((key, value))
            }
            _ => return Err(LoadError::UnknownKey(key)),
        }
    }
    for (key, value) in inside {
        let vhost = part(&key, 0)?;
        if !state.vhosts.contains_key(&vhost) {
            state.vhosts.insert(vhost.clone(), VhostState::default());
            missing_vhosts.push(vhost.clone());
        }
        load_inside(&mut state, vhost, &key, &value)?;
    }
    // Normally at least that already, from its own entry.
    let highest = state.queues_by_id.keys().next_back().copied();
    state.last_queue_id = state.last_queue_id.max(highest.unwrap_or(0));
    Ok(state)
}

fn load_top(state: &mut State, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
    let name = part(key, 0)?;
    match key.first() {
        Some(b'v') => {
            let vhost = VhostState {
                def: read(key, value)?,
                ..VhostState::default()
            };
            state.vhosts.insert(name, vhost);
        }
        Some(b'u') => {
            state.users.insert(name, read(key, value)?);
        }
        Some(b'g') => {
            state.global_parameters.insert(name, read(key, value)?);
        }
        _ if name == LAST_QUEUE_ID => state.last_queue_id = read(key, value)?,
        _ => return Err(LoadError::UnknownKey(key.to_vec())),
    }
    Ok(())
}

fn load_inside(
    state: &mut State,
    vhost_name: String,
    key: &[u8],
    value: &[u8],
) -> Result<(), LoadError> {
    let name = part(key, 1)?;
    let vhost = state.vhosts.entry(vhost_name.clone()).or_default();
    match key.first() {
        Some(b'p') => {
            vhost.permissions.insert(name, read(key, value)?);
        }
        Some(b'x') => {
            vhost.exchanges.insert(name, read(key, value)?);
        }
        Some(b'q') => {
            let queue: super::state::QueueDef = read(key, value)?;
            state
                .queues_by_id
                .insert(queue.id, (vhost_name, name.clone()));
            vhost.queues.insert(name, queue);
        }
        Some(b'l') => {
            vhost.policies.insert(name, read(key, value)?);
        }
        Some(b'o') => {
            vhost.operator_policies.insert(name, read(key, value)?);
        }
        Some(b'r') => {
            let parameter = part(key, 2)?;
            vhost
                .parameters
                .insert((name, parameter), read(key, value)?);
        }
        Some(b't') => {
            let exchange = part(key, 2)?;
            vhost
                .topic_permissions
                .insert((name, exchange), read(key, value)?);
        }
        _ => {
            vhost.bindings.insert(read(key, value)?);
        }
    }
    Ok(())
}

/// The part of a key with that number.
fn part(key: &[u8], number: usize) -> Result<String, LoadError> {
    let mut rest = key.get(1..).unwrap_or_default();
    let mut found = None;
    for _ in 0..=number {
        found = rest.split_first_chunk::<4>().and_then(|(length, after)| {
            after.split_at_checked(u32::from_be_bytes(*length) as usize)
        });
        rest = found.map(|(_, after)| after).unwrap_or_default();
    }
    let text = found.and_then(|(bytes, _)| std::str::from_utf8(bytes).ok());
    text.map(str::to_owned)
        .ok_or_else(|| malformed(key, "the key is damaged".to_owned()))
}

fn read<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, LoadError> {
    let wrong = |error: serde_json::Error| malformed(key, error.to_string());
    let version: Version = serde_json::from_slice(value).map_err(wrong)?;
    if version.v > VERSION {
        return Err(LoadError::Newer { found: version.v });
    }
    let read: Read<T> = serde_json::from_slice(value).map_err(wrong)?;
    Ok(read.d)
}

fn malformed(key: &[u8], reason: String) -> LoadError {
    LoadError::Malformed {
        key: key.to_vec(),
        reason,
    }
}
