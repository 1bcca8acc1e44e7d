//! Reading definitions into the catalog (rows O-2, O-5): adds and updates, never deletes. One
//! entry that cannot be taken does not keep the others out; each is named in the report.

use serde_json::{Map, Value};

use super::super::check::CatalogError;
use super::super::command::Command;
use super::super::writer::Catalog;
use super::settings::{import_limits, user_limits, vhost_limits};
use super::topology::{import_binding, import_exchange, import_queue};
use super::{Definitions, UserEntry, VhostEntry};
use crate::arguments::{QueueType, is_available};
use crate::auth::{HashingAlgorithm, check_pattern, hash_password, verify};

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
    pub(super) fn ignore(&mut self, what: impl AsRef<str>, why: impl AsRef<str>) {
        self.ignored
            .push(format!("{}: {}", what.as_ref(), why.as_ref()));
    }

    pub(super) fn propose(
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
        self.import_settings(catalog, &mut report)?;
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
    pub(crate) fn hashes_with_md5(&self) -> bool {
        let mut numbers = self
            .rabbit_version
            .as_deref()
            .unwrap_or_default()
            .split('.');
        let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
        matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) < (3, 6))
    }

    fn report_ignored(&self, report: &mut ImportReport) {
        report.ignored.extend(self.ignored_parts());
    }

    /// What this version does not know what to do with, one line each.
    pub(crate) fn ignored_parts(&self) -> Vec<String> {
        let mut ignored = Vec::new();
        for (field, value) in &self.other {
            let says_nothing = matches!(
                field.as_str(),
                "rabbitmq_definition_format"
                    | "original_cluster_name"
                    | "explanation"
                    | "original_vhost_name"
                    | "metadata"
                    | "description"
                    | "limits"
            );
            if !says_nothing && !is_empty(value) {
                ignored.push(format!("field '{field}': {NOT_YET}"));
            }
        }
        ignored
    }
}

/// Names an entry by whichever of the usual fields it has.
pub(super) fn describe(kind: &str, entry: &Value) -> String {
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
    // Erlang's word for none finds its way into exports.
    let queue_type = entry
        .default_queue_type
        .clone()
        .or(metadata.default_queue_type);
    let queue_type = queue_type.filter(|name| !name.is_empty() && name != "undefined");
    if let Some(kind) = queue_type
        .as_deref()
        .filter(|kind| !QueueType::from_name(kind).is_some_and(is_available))
    {
        report.ignore(format!("default queue type '{kind}' of {what}"), NOT_YET);
    }
    let command = Command::PutVhost {
        name: entry.name.clone(),
        description: text(&entry.description, metadata.description),
        tags,
        default_queue_type: queue_type,
    };
    report.propose(catalog, &what, command)?;
    if metadata.protected_from_deletion {
        let command = Command::ProtectVhost {
            name: entry.name.clone(),
            protected: true,
        };
        report.propose(catalog, &what, command)?;
    }
    let commands = |limits: &Map<String, Value>| vhost_limits(&entry.name, limits);
    import_limits(catalog, &what, &entry.limits, commands, report)
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
        let known =
            known.filter(|user| verify(&user.password_hash, user.hashing_algorithm, password));
        (hash, algorithm) = match (known, hash_password(password)) {
            (Some(user), _) => (user.password_hash, user.hashing_algorithm),
            (None, Ok(new)) => (new, HashingAlgorithm::Sha256),
            (None, Err(error)) => {
                report.ignore(what, error.to_string());
                return Ok(());
            }
        };
    }
    let command = Command::PutUser {
        name: entry.name.clone(),
        password_hash: hash,
        hashing_algorithm: algorithm,
        tags: entry.tags.clone(),
    };
    report.propose(catalog, &what, command)?;
    let commands = |limits: &Map<String, Value>| user_limits(&entry.name, limits);
    import_limits(catalog, &what, &entry.limits, commands, report)
}
