//! Who changed what: every change of the definitions, by whom, when, and over which face, noted
//! where all of them pass. The last ones are remembered in memory, until the node stops; what
//! nobody asked for (the end of an auto-delete queue) is noted as the broker's own.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::catalog::{BindingDef, Event};
use crate::turn::Turn;

/// Changes that are remembered.
const REMEMBERED: usize = 1000;
/// Changes of one command told one by one; an import may have thousands.
const OF_ONE_COMMAND: usize = 100;
/// Characters of the details at most.
const DETAILS_MAX: usize = 400;

/// Over what a change came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Face {
    /// A client's connection.
    Amqp,
    /// The management API.
    Http,
    /// Nobody: the broker did it by itself.
    #[default]
    Broker,
}

impl Face {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Http => "http",
            Self::Broker => "broker",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Counts up, from 1.
    pub number: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Who; `rmq-internal` for the broker itself.
    pub user: String,
    /// Over what.
    pub face: Face,
    /// What was done, such as `queue.declared`.
    pub action: &'static str,
    /// Where; empty for what is in no vhost.
    pub vhost: String,
    /// What it was done to.
    pub name: String,
    /// The rest, for people.
    pub details: String,
}

/// See the module documentation.
#[derive(Default)]
pub(crate) struct Audit {
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    changes: VecDeque<Change>,
    noted: u64,
}

impl Audit {
    /// Notes what a command of this turn has changed.
    pub(crate) fn note(&self, events: &[Event], turn: &Turn) {
        if events.is_empty() {
            return;
        }
        let mut recent = self.recent.lock();
        for event in events.iter().take(OF_ONE_COMMAND) {
            let (action, vhost, name, details) = told(event);
            recent.push(turn, action, vhost, name, details);
        }
        let more = events.len().saturating_sub(OF_ONE_COMMAND);
        if more > 0 {
            let details = format!("and {more} changes more by the same command");
            recent.push(turn, "more", "", String::new(), details);
        }
    }

    /// Notes something that is no definition: an operator's hand on messages or clients.
    pub(crate) fn note_action(
        &self,
        action: &'static str,
        (vhost, name): (&str, &str),
        details: String,
        turn: &Turn,
    ) {
        let mut recent = self.recent.lock();
        recent.push(turn, action, vhost, name.to_owned(), details);
    }

    /// What is remembered, the latest first.
    pub(crate) fn list(&self) -> Vec<Change> {
        self.recent.lock().changes.iter().rev().cloned().collect()
    }
}

impl Recent {
    fn push(
        &mut self,
        turn: &Turn,
        action: &'static str,
        vhost: &str,
        name: String,
        mut details: String,
    ) {
        if let Some((at, _)) = details.char_indices().nth(DETAILS_MAX) {
            details.truncate(at);
            details.push('…');
        }
        if self.changes.len() == REMEMBERED {
            self.changes.pop_front();
        }
        self.noted += 1;
        self.changes.push_back(Change {
            number: self.noted,
            at_ms: turn.now_ms(),
            user: turn.actor().to_owned(),
            face: turn.face(),
            action,
            vhost: vhost.to_owned(),
            name,
            details,
        });
    }
}

/// Action, vhost, name and details of a change.
type Told<'a> = (&'static str, &'a str, String, String);

fn plain<'a>(action: &'static str, vhost: &'a str, name: &str, details: String) -> Told<'a> {
    (action, vhost, name.to_owned(), details)
}

/// What to tell of a change. Passwords and their hashes are nobody's business, nor are the values of
/// parameters: they may be addresses with passwords in them.
fn told(event: &Event) -> Told<'_> {
    let none = String::new;
    match event {
        Event::VhostCreated { name, vhost } => {
            plain("vhost.created", "", name, vhost.description.clone())
        }
        Event::VhostChanged { name, vhost } => plain(
            "vhost.changed",
            "",
            name,
            format!("limits {}", json(&vhost.limits)),
        ),
        Event::VhostDeleted { name } => plain("vhost.deleted", "", name, none()),
        Event::UserPut { name, user } => {
            plain("user.set", "", name, format!("tags {}", words(&user.tags)))
        }
        Event::UserDeleted { name } => plain("user.deleted", "", name, none()),
        Event::PermissionSet {
            user,
            vhost,
            permission: p,
        } => {
            let details = format!(
                "configure {}, write {}, read {}",
                p.configure, p.write, p.read
            );
            plain("permission.set", vhost, user, details)
        }
        Event::PermissionCleared { user, vhost } => {
            plain("permission.cleared", vhost, user, none())
        }
        Event::TopicPermissionSet {
            user,
            vhost,
            exchange,
            permission: p,
        } => {
            let details = format!("exchange {exchange}, write {}, read {}", p.write, p.read);
            plain("topic.permission.set", vhost, user, details)
        }
        Event::TopicPermissionCleared {
            user,
            vhost,
            exchange: x,
        } => plain(
            "topic.permission.cleared",
            vhost,
            user,
            format!("exchange {x}"),
        ),
        Event::ExchangeDeclared {
            vhost,
            name,
            exchange,
        } => plain("exchange.declared", vhost, name, exchange.kind.clone()),
        Event::ExchangeDeleted { vhost, name } => plain("exchange.deleted", vhost, name, none()),
        Event::QueueDeclared {
            vhost, name, queue, ..
        } => plain("queue.declared", vhost, name, arguments(&queue.arguments)),
        Event::QueueChanged { vhost, name, queue } => {
            plain("queue.changed", vhost, name, arguments(&queue.arguments))
        }
        Event::QueueDeleted { vhost, name, .. } => plain("queue.deleted", vhost, name, none()),
        Event::Bound { vhost, binding } => of_binding("binding.created", vhost, binding),
        Event::Unbound { vhost, binding } => of_binding("binding.deleted", vhost, binding),
        Event::PolicySet {
            vhost,
            name,
            operator,
            policy,
        } => {
            let details = format!("{} {}", policy.pattern, json(&policy.definition));
            let actions = ["policy.set", "operator.policy.set"];
            plain(actions[usize::from(*operator)], vhost, name, details)
        }
        Event::PolicyCleared {
            vhost,
            name,
            operator,
        } => {
            let actions = ["policy.cleared", "operator.policy.cleared"];
            plain(actions[usize::from(*operator)], vhost, name, none())
        }
        Event::ParameterSet {
            vhost,
            component,
            name,
            ..
        } => plain("parameter.set", vhost, name, component.clone()),
        Event::ParameterCleared {
            vhost,
            component,
            name,
        } => plain("parameter.cleared", vhost, name, component.clone()),
        Event::GlobalParameterSet { name, .. } => plain("global.parameter.set", "", name, none()),
        Event::GlobalParameterCleared { name } => {
            plain("global.parameter.cleared", "", name, none())
        }
    }
}

fn of_binding<'a>(action: &'static str, vhost: &'a str, binding: &BindingDef) -> Told<'a> {
    let details = format!("to {} by \"{}\"", binding.destination, binding.routing_key);
    plain(action, vhost, &binding.source, details)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn words(list: &[String]) -> String {
    match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    }
}

fn arguments(table: &warren_amqp::FieldTable) -> String {
    if table.inner().is_empty() {
        return String::new();
    }
    json(&crate::catalog::json_from_table(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(n: usize) -> Vec<Event> {
        let event = |i| Event::QueueDeleted {
            vhost: "/".to_owned(),
            name: format!("q{i}"),
            id: i as u64,
        };
        (0..n).map(event).collect()
    }

    #[test]
    fn changes_are_told_with_who_and_over_what() {
        let audit = Audit::default();
        let turn = Turn::new(7).on_behalf_of("ann", Face::Http);
        audit.note(&deleted(1), &turn);
        audit.note(&[], &turn);
        audit.note(&deleted(1), &Turn::new(8));
        let all = audit.list();
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].user.as_str(), all[0].face),
            ("rmq-internal", Face::Broker)
        );
        let first = &all[1];
        assert_eq!((first.number, first.at_ms), (1, 7));
        assert_eq!((first.user.as_str(), first.face), ("ann", Face::Http));
        assert_eq!((first.action, first.name.as_str()), ("queue.deleted", "q0"));
    }

    #[test]
    fn neither_one_command_nor_all_of_them_fill_memory() {
        let audit = Audit::default();
        audit.note(&deleted(1000), &Turn::new(0));
        let all = audit.list();
        assert_eq!(all.len(), OF_ONE_COMMAND + 1);
        assert_eq!(all[0].details, "and 900 changes more by the same command");
        for _ in 0..20 {
            audit.note(&deleted(100), &Turn::new(0));
        }
        assert_eq!(audit.list().len(), REMEMBERED);
        let long = "x".repeat(2000);
        audit.note_action("messages.deleted", ("/", "q"), long, &Turn::new(0));
        assert_eq!(audit.list()[0].details.chars().count(), DETAILS_MAX + 1);
    }
}
