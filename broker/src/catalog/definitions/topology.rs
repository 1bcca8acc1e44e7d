//! Importing exchanges, queues and bindings, with the checks that a client's declare goes through.

use serde_json::Value;
use warren_amqp::FieldTable;
use warren_exchanges::{ExchangeKind, ExchangeType};

use super::super::check::CatalogError;
use super::super::command::{BindingDef, Command};
use super::super::state::State;
use super::super::writer::Catalog;
use super::import::ImportReport;
use super::json::{from_table, to_table};
use super::{BindingEntry, ExchangeEntry, QueueEntry};
use crate::arguments::{
    ExchangeShape, QueueShape, alternate_exchange, check_exchange_equivalent,
    check_queue_equivalent, parse_queue_arguments,
};

pub(super) fn import_exchange(
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
    if let Ok(kind) = entry.kind.parse() {
        ExchangeType::new(kind, arguments)?;
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

pub(super) fn import_queue(
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

impl QueueEntry {
    /// The arguments, with the type among them that 4.x writes beside them.
    pub(crate) fn table(&self) -> Result<FieldTable, String> {
        const QUEUE_TYPE: &str = "x-queue-type";
        let mut arguments = self.arguments.clone();
        if let Some(kind) = self.kind.as_deref().filter(|kind| *kind != "classic") {
            arguments
                .entry(QUEUE_TYPE)
                .or_insert_with(|| Value::from(kind));
        }
        to_table(&arguments)
    }
}

/// The arguments, after the checks of a client's declare.
fn queue_arguments(catalog: &Catalog, entry: &QueueEntry) -> Result<FieldTable, String> {
    if !entry.durable {
        return Err(TRANSIENT.to_owned());
    }
    let arguments = entry.table()?;
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

pub(super) fn import_binding(
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

/// Whether there is a binding that an export would write as this one.
fn is_bound(catalog: &Catalog, vhost: &str, binding: &BindingDef) -> bool {
    same_binding(&catalog.read(), vhost, binding).is_some()
}

/// The binding that an export would write as this one: a client's `int` argument comes back as
/// `long`, and must not become a second binding on every boot.
pub(crate) fn same_binding(state: &State, vhost: &str, binding: &BindingDef) -> Option<BindingDef> {
    let wanted = from_table(&binding.arguments);
    state
        .bindings_like(vhost, binding)
        .find(|known| from_table(&known.arguments) == wanted)
        .cloned()
}
