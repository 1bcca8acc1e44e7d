//! Reading definitions into the catalog (rows O-2, O-5): adds and updates, never deletes. One
//! entry that cannot be taken does not keep the others out; each is named in the report.

use serde_json::Value;
use warren_amqp::FieldTable;
use warren_exchanges::ExchangeKind;

use super::super::check::CatalogError;
use super::super::command::{BindingDef, Command};
use super::super::writer::Catalog;
use super::json::{from_table, to_table};
use super::{BindingEntry, Definitions, ExchangeEntry, QueueEntry, UserEntry, VhostEntry};
use crate::arguments::{
    ExchangeShape, QueueShape, alternate_exchange, check_exchange_equivalent,
    check_queue_equivalent, parse_queue_arguments,
};
use crate::auth::{HashingAlgorithm, check_pattern, hash_password};

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Entries that changed something.
    pub changed: usize,
    /// Everything in the file that has no effect, each in one line saying why. Entries that are
    /// already as the file wants them are not among them.
    pub ignored: Vec<String>,
    /// All of it is durable when the catalog is durable up to here.
    pub index: u64,
}

impl ImportReport {
    fn ignore(&mut self, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.ignored
            .push(format!("{}: {}", what.as_ref(), why.as_ref()));
    }

    fn propose(
        &mut self,
        catalog: &Catalog,
        what: &str,
        command: Command,
    ) -> Result<(), CatalogError> {
        match catalog.propose(command) {
            Ok(proposed) => {
                self.changed += usize::from(!proposed.events.is_empty());
                Ok(())
            }
            Err(error @ CatalogError::Log(_)) => Err(error),
            Err(error) => {
                self.ignore(what, error.to_string());
                Ok(())
            }
        }
    }
}

/// Why parts of a file are ignored that this version does not know what to do with.
const NOT_YET: &str = "not supported by this version";

impl Definitions {
    /// Imports everything the catalog holds. To be called before vhosts run: those that do would
    /// not learn of new queues. Transient objects are not for the catalog and are reported.
    ///
    /// Errors: only `Log`, when the disk failed; anything else is in the report.
    pub fn import(&self, catalog: &Catalog) -> Result<ImportReport, CatalogError> {
        let mut report = ImportReport::default();
        for vhost in &self.vhosts {
            import_vhost(catalog, vhost, &mut report)?;
        }
        let legacy = self.hashes_with_md5();
        for user in &self.users {
            import_user(catalog, user, legacy, &mut report)?;
        }
        self.import_permissions(catalog, &mut report)?;
        for parameter in &self.global_parameters {
            let (name, value) = (parameter.name.clone(), parameter.value.clone());
            let what = format!("global parameter '{name}'");
            report.propose(catalog, &what, Command::SetGlobalParameter { name, value })?;
        }
        for exchange in &self.exchanges {
            import_exchange(catalog, exchange, &mut report)?;
        }
        for queue in &self.queues {
            import_queue(catalog, queue, &mut report)?;
        }
        for binding in &self.bindings {
            import_binding(catalog, binding, &mut report)?;
        }
        self.report_ignored(&mut report);
        report.index = catalog.last_index();
        Ok(report)
    }

    fn import_permissions(
        &self,
        catalog: &Catalog,
        report: &mut ImportReport,
    ) -> Result<(), CatalogError> {
        for entry in &self.permissions {
            let what = format!(
                "permission of user '{}' in vhost '{}'",
                entry.user, entry.vhost
            );
            let patterns = [&entry.configure, &entry.write, &entry.read];
            if let Some(error) = patterns
                .iter()
                .find_map(|pattern| check_pattern(pattern).err())
            {
                report.ignore(what, error);
                continue;
            }
            let command = Command::SetPermission {
                user: entry.user.clone(),
                vhost: entry.vhost.clone(),
                configure: entry.configure.clone(),
                write: entry.write.clone(),
                read: entry.read.clone(),
            };
            report.propose(catalog, &what, command)?;
        }
        Ok(())
    }

    /// Exports of RabbitMQ before 3.6 do not name the algorithm.
    pub(super) fn hashes_with_md5(&self) -> bool {
        let mut numbers = self
            .rabbit_version
            .as_deref()
            .unwrap_or_default()
            .split('.');
        let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
        matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) < (3, 6))
    }

    fn report_ignored(&self, report: &mut ImportReport) {
        let groups = [
            ("topic permission", &self.topic_permissions),
            ("parameter", &self.parameters),
            ("policy", &self.policies),
        ];
        for (kind, entries) in groups {
            for entry in entries {
                report.ignore(describe(kind, entry), NOT_YET);
            }
        }
        for (field, value) in &self.other {
            let says_nothing = matches!(
                field.as_str(),
                "rabbitmq_definition_format" | "original_cluster_name" | "explanation"
            );
            if !says_nothing && !is_empty(value) {
                report.ignore(format!("field '{field}'"), NOT_YET);
            }
        }
    }
}

/// Names an entry by whichever of the usual fields it has.
fn describe(kind: &str, entry: &Value) -> String {
    let mut text = kind.to_owned();
    for (word, field) in [
        ("", "component"),
        ("", "name"),
        ("of user ", "user"),
        ("on exchange ", "exchange"),
        ("in vhost ", "vhost"),
    ] {
        if let Some(value) = entry.get(field).and_then(Value::as_str) {
            text.push_str(&format!(" {word}'{value}'"));
        }
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(members) => members.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn import_vhost(
    catalog: &Catalog,
    entry: &VhostEntry,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    let what = format!("vhost '{}'", entry.name);
    let metadata = entry.metadata.clone().unwrap_or_default();
    let text = |own: &str, other: String| {
        if own.is_empty() {
            other
        } else {
            own.to_owned()
        }
    };
    let tags = if entry.tags.is_empty() {
        metadata.tags
    } else {
        entry.tags.clone()
    };
    let queue_type = entry
        .default_queue_type
        .clone()
        .or(metadata.default_queue_type);
    let command = Command::PutVhost {
        name: entry.name.clone(),
        description: text(&entry.description, metadata.description),
        tags,
        // Erlang's word for none finds its way into exports.
        default_queue_type: queue_type.filter(|name| !name.is_empty() && name != "undefined"),
    };
    if !is_empty(&entry.limits) {
        report.ignore(format!("limits of {what}"), NOT_YET);
    }
    report.propose(catalog, &what, command)
}

fn import_user(
    catalog: &Catalog,
    entry: &UserEntry,
    legacy: bool,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    let what = format!("user '{}'", entry.name);
    let unnamed = if legacy {
        HashingAlgorithm::Md5
    } else {
        HashingAlgorithm::Sha256
    };
    let algorithm = match &entry.hashing_algorithm {
        None => Some(unnamed),
        Some(name) => HashingAlgorithm::from_name(name),
    };
    let Some(mut algorithm) = algorithm else {
        report.ignore(what, "unknown hashing algorithm");
        return Ok(());
    };
    let mut hash = entry.password_hash.clone();
    if let Some(password) = entry.password.as_deref().filter(|_| hash.is_empty()) {
        // A new salt for a password that is already the user's would be a change on every boot.
        let known = catalog.read().user(&entry.name).cloned();
        let known = known.filter(|user| {
            crate::auth::verify(&user.password_hash, user.hashing_algorithm, password)
        });
        (hash, algorithm) = match (known, hash_password(password)) {
            (Some(user), _) => (user.password_hash, user.hashing_algorithm),
            (None, Ok(new)) => (new, HashingAlgorithm::Sha256),
            (None, Err(error)) => {
                report.ignore(what, error.to_string());
                return Ok(());
            }
        };
    }
    if !is_empty(&entry.limits) {
        report.ignore(format!("limits of {what}"), NOT_YET);
    }
    let command = Command::PutUser {
        name: entry.name.clone(),
        password_hash: hash,
        hashing_algorithm: algorithm,
        tags: entry.tags.clone(),
    };
    report.propose(catalog, &what, command)
}

fn import_exchange(
    catalog: &Catalog,
    entry: &ExchangeEntry,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    let (vhost, name) = (&entry.vhost, &entry.name);
    let what = format!("exchange '{name}' in vhost '{vhost}'");
    if name.is_empty() || name.starts_with("amq.") {
        // The broker's own; every vhost has them.
        return Ok(());
    }
    let arguments = match to_table(&entry.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            report.ignore(what, error);
            return Ok(());
        }
    };
    if let Err(why) = exchange_can_be(catalog, entry, &arguments) {
        report.ignore(what, why);
        return Ok(());
    }
    if catalog.read().exchange(vhost, name).is_some() {
        return Ok(());
    }
    let command = Command::DeclareExchange {
        vhost: vhost.clone(),
        name: name.clone(),
        kind: entry.kind.clone(),
        auto_delete: entry.auto_delete,
        internal: entry.internal,
        arguments,
    };
    report.propose(catalog, &what, command)
}

/// Checks what a client's declare would have been checked for.
fn exchange_can_be(
    catalog: &Catalog,
    entry: &ExchangeEntry,
    arguments: &FieldTable,
) -> Result<(), String> {
    if !entry.durable {
        return Err(TRANSIENT.to_owned());
    }
    if entry.kind.parse::<ExchangeKind>().is_err() {
        return Err(format!("invalid exchange type '{}'", entry.kind));
    }
    let state = catalog.read();
    if let Some(known) = state.exchange(&entry.vhost, &entry.name) {
        let shape = |kind, auto_delete, internal, arguments| ExchangeShape {
            kind,
            durable: true,
            auto_delete,
            internal,
            arguments,
        };
        let current = shape(
            &known.kind,
            known.auto_delete,
            known.internal,
            &known.arguments,
        );
        let wanted = shape(&entry.kind, entry.auto_delete, entry.internal, arguments);
        check_exchange_equivalent(&entry.name, &entry.vhost, &current, &wanted)
            .map_err(|error| error.explanation)?;
    }
    let alternate = alternate_exchange(&entry.name, &entry.vhost, arguments);
    alternate.map(drop).map_err(|error| error.explanation)
}

const TRANSIENT: &str = "transient, not kept on disk";

fn import_queue(
    catalog: &Catalog,
    entry: &QueueEntry,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    let (vhost, name) = (&entry.vhost, &entry.name);
    let what = format!("queue '{name}' in vhost '{vhost}'");
    let arguments = match queue_arguments(catalog, entry) {
        Ok(arguments) => arguments,
        Err(why) => {
            report.ignore(what, why);
            return Ok(());
        }
    };
    let (known, id) = {
        let state = catalog.read();
        (state.queue(vhost, name).is_some(), state.next_queue_id())
    };
    if known {
        return Ok(());
    }
    let command = Command::DeclareQueue {
        vhost: vhost.clone(),
        name: name.clone(),
        id,
        auto_delete: entry.auto_delete,
        arguments,
    };
    report.propose(catalog, &what, command)
}

/// The arguments, after the checks of a client's declare.
fn queue_arguments(catalog: &Catalog, entry: &QueueEntry) -> Result<FieldTable, String> {
    const QUEUE_TYPE: &str = "x-queue-type";
    if !entry.durable {
        return Err(TRANSIENT.to_owned());
    }
    let mut arguments = entry.arguments.clone();
    if let Some(kind) = entry.kind.as_deref().filter(|kind| *kind != "classic") {
        arguments
            .entry(QUEUE_TYPE)
            .or_insert_with(|| Value::from(kind));
    }
    let arguments = to_table(&arguments)?;
    let state = catalog.read();
    if let Some(known) = state.queue(&entry.vhost, &entry.name) {
        let shape = |auto_delete, arguments| QueueShape {
            durable: true,
            auto_delete,
            arguments,
        };
        let current = shape(known.auto_delete, &known.arguments);
        let wanted = shape(entry.auto_delete, &arguments);
        check_queue_equivalent(&entry.name, &entry.vhost, &current, &wanted)
            .map_err(|error| error.explanation)?;
        return Ok(arguments);
    }
    parse_queue_arguments(
        &entry.name,
        &entry.vhost,
        &arguments,
        true,
        false,
        entry.auto_delete,
    )
    .map_err(|error| error.explanation)?;
    Ok(arguments)
}

fn import_binding(
    catalog: &Catalog,
    entry: &BindingEntry,
    report: &mut ImportReport,
) -> Result<(), CatalogError> {
    if entry.source.is_empty() {
        // Those of the default exchange are not made but always there.
        return Ok(());
    }
    let what = format!(
        "binding from '{}' to {} '{}' in vhost '{}'",
        entry.source, entry.destination_type, entry.destination, entry.vhost
    );
    let destination_is_queue = match entry.destination_type.as_str() {
        "queue" => true,
        "exchange" => false,
        _ => {
            report.ignore(what, "unknown destination type");
            return Ok(());
        }
    };
    let arguments = match to_table(&entry.arguments) {
        Ok(arguments) => arguments,
        Err(why) => {
            report.ignore(what, why);
            return Ok(());
        }
    };
    let binding = BindingDef {
        source: entry.source.clone(),
        destination: entry.destination.clone(),
        destination_is_queue,
        routing_key: entry.routing_key.clone(),
        arguments,
    };
    if is_bound(catalog, &entry.vhost, &binding) {
        return Ok(());
    }
    report.propose(
        catalog,
        &what,
        Command::Bind {
            vhost: entry.vhost.clone(),
            binding,
        },
    )
}

/// Whether there is a binding that an export would write as this one: a client's `int` argument
/// comes back as `long`, and must not become a second binding on every boot.
fn is_bound(catalog: &Catalog, vhost: &str, binding: &BindingDef) -> bool {
    let wanted = from_table(&binding.arguments);
    let state = catalog.read();
    state
        .bindings_like(vhost, binding)
        .any(|known| from_table(&known.arguments) == wanted)
}
