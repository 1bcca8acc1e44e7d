//! An import thought through on a copy of the definitions before anything of it happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value};
use warren_amqp::FieldTable;
use warren_exchanges::{ExchangeKind, ExchangeType};

use super::ImportError;
use crate::arguments::{alternate_exchange, parse_queue_arguments};
use crate::auth::{HashingAlgorithm, check_pattern};
use crate::broker::Broker;
use crate::catalog::definitions::{
    BindingEntry, Definitions, ExchangeEntry, QueueEntry, UserEntry, VhostEntry, to_table,
    user_limits, vhost_limits,
};
use crate::catalog::{BindingDef, Command, ExchangeDef, QueueDef, State, apply};
use crate::vhost::Vhost;

/// What is not in the catalog, by its vhost.
pub(super) enum Transient {
    Exchange(String, String, ExchangeDef),
    Queue(String, String, QueueDef),
    Binding(String, BindingDef),
}

type Names = BTreeSet<(String, String)>;

/// The import as far as it has been thought through.
pub(super) struct Plan<'a> {
    broker: &'a Broker,
    /// The definitions as they would be.
    state: State,
    pub(super) commands: Vec<Command>,
    pub(super) changed: Vec<String>,
    pub(super) ignored: Vec<String>,
    pub(super) transient: Vec<Transient>,
    transient_exchanges: Names,
    transient_queues: Names,
}

fn refused(what: &str, why: impl std::fmt::Display) -> ImportError {
    ImportError::Refused(format!("{what}: {why}"))
}

impl<'a> Plan<'a> {
    pub(super) fn new(broker: &'a Broker) -> Self {
        Self {
            broker,
            state: broker.catalog().read().clone(),
            commands: Vec::new(),
            changed: Vec::new(),
            ignored: Vec::new(),
            transient: Vec::new(),
            transient_exchanges: Names::new(),
            transient_queues: Names::new(),
        }
    }

    pub(super) fn add_all(&mut self, file: &Definitions) -> Result<(), ImportError> {
        let legacy = file.hashes_with_md5();
        for user in &file.users {
            self.user(user, legacy)?;
        }
        for vhost in &file.vhosts {
            self.vhost(vhost)?;
        }
        for entry in &file.permissions {
            let what = format!(
                "permission of user '{}' in vhost '{}'",
                entry.user, entry.vhost
            );
            for pattern in [&entry.configure, &entry.write, &entry.read] {
                check_pattern(pattern).map_err(|why| refused(&what, why))?;
            }
            self.add(
                &what,
                Command::SetPermission {
                    user: entry.user.clone(),
                    vhost: entry.vhost.clone(),
                    configure: entry.configure.clone(),
                    write: entry.write.clone(),
                    read: entry.read.clone(),
                },
            )?;
        }
        for exchange in &file.exchanges {
            self.exchange(exchange)?;
        }
        for parameter in &file.global_parameters {
            let (name, value) = (parameter.name.clone(), parameter.value.clone());
            let what = format!("global parameter '{name}'");
            self.add(&what, Command::SetGlobalParameter { name, value })?;
        }
        for (what, commands) in file.settings() {
            let commands = commands.map_err(|why| refused(&what, why.trim()))?;
            for command in commands {
                self.add(&what, command)?;
            }
        }
        for queue in &file.queues {
            self.queue(queue)?;
        }
        for binding in &file.bindings {
            self.binding(binding)?;
        }
        self.ignored.extend(file.ignored_parts());
        Ok(())
    }

    /// Tries a command; one that changes something becomes part of the import.
    fn add(&mut self, what: &str, command: Command) -> Result<(), ImportError> {
        let events = apply(&mut self.state, &command).map_err(|why| refused(what, why))?;
        if !events.is_empty() {
            self.changed.push(what.to_owned());
            self.commands.push(command);
        }
        Ok(())
    }

    fn user(&mut self, entry: &UserEntry, legacy: bool) -> Result<(), ImportError> {
        let what = format!("user '{}'", entry.name);
        let unnamed = if legacy {
            HashingAlgorithm::Md5
        } else {
            HashingAlgorithm::Sha256
        };
        let algorithm = match &entry.hashing_algorithm {
            None => unnamed,
            Some(name) => HashingAlgorithm::from_name(name)
                .ok_or_else(|| refused(&what, format!("unknown hashing algorithm '{name}'")))?,
        };
        let (password_hash, hashing_algorithm) = match entry.password.as_deref() {
            Some(password) if entry.password_hash.is_empty() => self
                .broker
                .settings()
                .passwords
                .store(password)
                .map_err(|why| refused(&what, why))?,
            _ => (entry.password_hash.clone(), algorithm),
        };
        let name = entry.name.clone();
        let tags = entry.tags.clone();
        self.add(
            &what,
            Command::PutUser {
                name,
                password_hash,
                hashing_algorithm,
                tags,
            },
        )?;
        self.limits(&what, &entry.limits, |limits| {
            user_limits(&entry.name, limits)
        })
    }

    /// Limits that stand with their user or vhost.
    fn limits(
        &mut self,
        what: &str,
        limits: &Value,
        commands: impl Fn(&Map<String, Value>) -> Result<Vec<Command>, String>,
    ) -> Result<(), ImportError> {
        let what = format!("limits of {what}");
        let commands = match limits {
            Value::Object(limits) => commands(limits).map_err(|why| refused(&what, why))?,
            Value::Null => Vec::new(),
            Value::Array(members) if members.is_empty() => Vec::new(),
            _ => return Err(refused(&what, "not an object")),
        };
        for command in commands {
            self.add(&what, command)?;
        }
        Ok(())
    }

    fn vhost(&mut self, entry: &VhostEntry) -> Result<(), ImportError> {
        let metadata = entry.metadata();
        let what = format!("vhost '{}'", entry.name);
        let new = self.state.vhost(&entry.name).is_none();
        self.add(
            &what,
            Command::PutVhost {
                name: entry.name.clone(),
                description: metadata.description,
                tags: metadata.tags,
                default_queue_type: metadata.default_queue_type,
            },
        )?;
        if new {
            let settings = self.broker.settings();
            let defaults = &settings.vhost_defaults;
            let given = defaults.commands(&entry.name, &self.state, &settings.passwords);
            for command in given.map_err(|why| refused(&what, why))? {
                self.add(&what, command)?;
            }
        }
        if metadata.protected_from_deletion {
            let name = entry.name.clone();
            let protected = true;
            self.add(&what, Command::ProtectVhost { name, protected })?;
        }
        self.limits(&what, &entry.limits, |limits| {
            vhost_limits(&entry.name, limits)
        })
    }

    fn in_vhost(&self, what: &str, vhost: &str) -> Result<(), ImportError> {
        if vhost.is_empty() {
            return Err(refused(what, "it has no vhost"));
        }
        match self.state.vhost(vhost) {
            Some(_) => Ok(()),
            None => Err(refused(what, format!("there is no vhost '{vhost}'"))),
        }
    }

    fn exchange(&mut self, entry: &ExchangeEntry) -> Result<(), ImportError> {
        let (vhost, name) = (&entry.vhost, &entry.name);
        if name.is_empty() || name.starts_with("amq.") {
            // Every vhost has them.
            return Ok(());
        }
        let what = format!("exchange '{name}' in vhost '{vhost}'");
        self.in_vhost(&what, vhost)?;
        if self.has_exchange(vhost, name) {
            return Ok(());
        }
        check_name(&what, name)?;
        let arguments = to_table(&entry.arguments).map_err(|why| refused(&what, why))?;
        let Ok(kind) = entry.kind.parse::<ExchangeKind>() else {
            let why = format!("unknown exchange type '{}'", entry.kind);
            return Err(refused(&what, why));
        };
        ExchangeType::new(kind, &arguments).map_err(|why| refused(&what, why))?;
        alternate_exchange(name, vhost, &arguments)
            .map_err(|why| refused(&what, why.explanation))?;
        if entry.durable {
            return self.add(
                &what,
                Command::DeclareExchange {
                    vhost: vhost.clone(),
                    name: name.clone(),
                    kind: entry.kind.clone(),
                    auto_delete: entry.auto_delete,
                    internal: entry.internal,
                    arguments,
                },
            );
        }
        self.transient_exchanges
            .insert((vhost.clone(), name.clone()));
        let def = ExchangeDef {
            kind: entry.kind.clone(),
            auto_delete: entry.auto_delete,
            internal: entry.internal,
            arguments,
        };
        let step = Transient::Exchange(vhost.clone(), name.clone(), def);
        self.transient.push(step);
        self.changed.push(what);
        Ok(())
    }

    fn queue(&mut self, entry: &QueueEntry) -> Result<(), ImportError> {
        let (vhost, name) = (&entry.vhost, &entry.name);
        let what = format!("queue '{name}' in vhost '{vhost}'");
        self.in_vhost(&what, vhost)?;
        if self.has_queue(vhost, name) {
            return Ok(());
        }
        if name.starts_with("amq.") {
            self.ignored.push(format!("{what}: a reserved name"));
            return Ok(());
        }
        check_name(&what, name)?;
        let arguments = entry.table().map_err(|why| refused(&what, why))?;
        parse_queue_arguments(
            name,
            vhost,
            &arguments,
            entry.durable,
            false,
            entry.auto_delete,
        )
        .map_err(|why| refused(&what, why.explanation))?;
        if entry.durable {
            let next = &self.broker.shared().next_durable_queue;
            let id = next.fetch_add(1, Ordering::Relaxed);
            return self.add(
                &what,
                Command::DeclareQueue {
                    vhost: vhost.clone(),
                    name: name.clone(),
                    id,
                    auto_delete: entry.auto_delete,
                    arguments,
                },
            );
        }
        self.transient_queues.insert((vhost.clone(), name.clone()));
        let def = QueueDef {
            id: 0,
            auto_delete: entry.auto_delete,
            arguments,
        };
        let step = Transient::Queue(vhost.clone(), name.clone(), def);
        self.transient.push(step);
        self.changed.push(what);
        Ok(())
    }

    fn binding(&mut self, entry: &BindingEntry) -> Result<(), ImportError> {
        if entry.source.is_empty() {
            // Those of the default exchange are not made but always there.
            return Ok(());
        }
        let (vhost, source) = (&entry.vhost, &entry.source);
        let what = format!(
            "binding from '{source}' to {} '{}' in vhost '{vhost}'",
            entry.destination_type, entry.destination
        );
        self.in_vhost(&what, vhost)?;
        let binding = self.binding_def(entry, &what)?;
        let source_durable = self.exchange_durable(vhost, source);
        let destination_durable = if binding.destination_is_queue {
            self.queue_durable(vhost, &entry.destination)
        } else {
            self.exchange_durable(vhost, &entry.destination)
        };
        let (Some(from), Some(to)) = (source_durable, destination_durable) else {
            return Err(refused(&what, "one of its ends does not exist"));
        };
        if let Some(kind) = self.exchange_type(vhost, source) {
            kind.validate_binding(&binding.routing_key, &binding.arguments)
                .map_err(|why| refused(&what, why))?;
        }
        if from && to {
            let vhost = vhost.clone();
            return self.add(&what, Command::Bind { vhost, binding });
        }
        self.transient
            .push(Transient::Binding(vhost.clone(), binding));
        Ok(())
    }

    /// The binding; one that an export would write in the same way stands for it.
    fn binding_def(&self, entry: &BindingEntry, what: &str) -> Result<BindingDef, ImportError> {
        let destination_is_queue = match entry.destination_type.as_str() {
            "queue" => true,
            "exchange" => false,
            other => return Err(refused(what, format!("unknown destination type '{other}'"))),
        };
        let arguments: FieldTable = to_table(&entry.arguments).map_err(|why| refused(what, why))?;
        let binding = BindingDef {
            source: entry.source.clone(),
            destination: entry.destination.clone(),
            destination_is_queue,
            routing_key: entry.routing_key.clone(),
            arguments,
        };
        let known = crate::catalog::definitions::same_binding(&self.state, &entry.vhost, &binding);
        Ok(known.unwrap_or(binding))
    }

    fn running(&self, vhost: &str) -> Option<Arc<Vhost>> {
        self.broker.vhost(vhost)
    }

    fn has_exchange(&self, vhost: &str, name: &str) -> bool {
        self.exchange_durable(vhost, name).is_some()
    }

    fn has_queue(&self, vhost: &str, name: &str) -> bool {
        self.queue_durable(vhost, name).is_some()
    }

    /// Whether the exchange is durable; `None` when there is none.
    fn exchange_durable(&self, vhost: &str, name: &str) -> Option<bool> {
        if name.starts_with("amq.") || self.state.exchange(vhost, name).is_some() {
            return Some(true);
        }
        let key = (vhost.to_owned(), name.to_owned());
        if self.transient_exchanges.contains(&key) {
            return Some(false);
        }
        let running = self.running(vhost)?.exchange(name).ok()?;
        Some(running.durable)
    }

    fn queue_durable(&self, vhost: &str, name: &str) -> Option<bool> {
        if self.state.queue(vhost, name).is_some() {
            return Some(true);
        }
        let key = (vhost.to_owned(), name.to_owned());
        if self.transient_queues.contains(&key) {
            return Some(false);
        }
        let running = self.running(vhost)?.find_queue(name)?;
        Some(running.durable())
    }

    /// The type of an exchange in the definitions or predeclared, as far as it limits bindings.
    fn exchange_type(&self, vhost: &str, name: &str) -> Option<ExchangeType> {
        match self.state.exchange(vhost, name) {
            Some(def) => ExchangeType::new(def.kind.parse().ok()?, &def.arguments).ok(),
            None => matches!(name, "amq.headers" | "amq.match")
                .then(|| ExchangeType::plain(ExchangeKind::Headers)),
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), ImportError> {
    if name.is_empty() || name.len() > 255 {
        return Err(refused(what, "names are 1 to 255 bytes long"));
    }
    Ok(())
}
