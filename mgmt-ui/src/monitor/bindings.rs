//! `GET /api/bindings` in all its forms. Every queue is also bound to the default exchange by its
//! name; those bindings are nowhere but here.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use warren_amqp::FieldTable;
use warren_broker::{Binding, Destination, Queue, QueueHandle, Vhost};

use super::exchanges::name_in_path;
use super::{listed, written};
use crate::http::{ApiError, Path, Query, Routes, VhostScope};
use crate::view::bindings_key::properties_key;
use crate::view::json::Written;
use crate::view::{Listing, Object, Row};

pub(super) fn routes() -> Routes {
    Routes::new("Bindings")
        .get("/bindings", "All bindings", list)
        .get("/bindings/{vhost}", "Bindings of a vhost", list)
        .get(
            "/bindings/{vhost}/e/{source}/q/{destination}",
            "Bindings between an exchange and a queue",
            between_exchange_and_queue,
        )
        .get(
            "/bindings/{vhost}/e/{source}/e/{destination}",
            "Bindings between two exchanges",
            between_exchanges,
        )
        .get(
            "/bindings/{vhost}/e/{source}/q/{destination}/{props}",
            "One binding of a queue",
            one_of_queue,
        )
        .get(
            "/bindings/{vhost}/e/{source}/e/{destination}/{props}",
            "One binding of an exchange",
            one_of_exchange,
        )
}

async fn list(scope: VhostScope, query: Query) -> Result<Written, ApiError> {
    let rows = move || Ok(scope.vhosts.iter().flat_map(all).collect());
    listed(query, rows).await
}

async fn between_exchange_and_queue(
    Path((_, source, destination)): Path<(String, String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    let rows = move || between(&scope, &source, &destination, true);
    listed(query, rows).await
}

async fn between_exchanges(
    Path((_, source, destination)): Path<(String, String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    let rows = move || between(&scope, &source, &destination, false);
    listed(query, rows).await
}

async fn one_of_queue(
    Path((_, source, destination, key)): Path<(String, String, String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || one(&scope, (&source, &destination, true), &key, &query)).await
}

async fn one_of_exchange(
    Path((_, source, destination, key)): Path<(String, String, String, String)>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || one(&scope, (&source, &destination, false), &key, &query)).await
}

fn one(
    scope: &VhostScope,
    (source, destination, to_queue): (&str, &str, bool),
    key: &str,
    query: &Query,
) -> Result<Written, ApiError> {
    let rows = between(scope, source, destination, to_queue)?;
    let mut rows = rows.iter();
    let row = rows
        .find(|row| properties_key(&row.routing_key, &row.arguments) == key)
        .ok_or(ApiError::NotFound)?;
    let listing = Listing::of(query)?;
    Ok(Written(listing.one(row.render(&listing)).to_bytes()))
}

/// Bindings between two ends, both of which must exist.
fn between(
    scope: &VhostScope,
    source: &str,
    destination: &str,
    to_queue: bool,
) -> Result<Vec<BindingRow>, ApiError> {
    let vhost = scope.vhosts.first().ok_or(ApiError::NotFound)?;
    let source = name_in_path(source);
    vhost.exchange(source).map_err(|_| ApiError::NotFound)?;
    let mut rows = if to_queue {
        let queue = vhost.find_queue(destination).ok_or(ApiError::NotFound)?;
        self::to_queue(vhost, &queue)
    } else {
        let destination = name_in_path(destination);
        let found = vhost.exchange(destination);
        let exchange = found.map_err(|_| ApiError::NotFound)?;
        to_exchange(vhost, &exchange.name)
    };
    rows.retain(|row| row.source == source);
    Ok(rows)
}

/// All bindings of a vhost.
fn all(vhost: &Arc<Vhost>) -> Vec<BindingRow> {
    let mut rows: Vec<BindingRow> = vhost
        .queues()
        .iter()
        .map(|queue| BindingRow::implicit(vhost, queue.name()))
        .collect();
    let routing = vhost.routing();
    rows.extend(routing.bindings().map(|b| BindingRow::of(vhost, &b)));
    rows
}

/// Bindings that lead to a queue.
pub(super) fn to_queue(vhost: &Vhost, queue: &Arc<Queue>) -> Vec<BindingRow> {
    let destination = Destination::Queue(QueueHandle(Arc::clone(queue)));
    let mut rows = vec![BindingRow::implicit(vhost, queue.name())];
    let routing = vhost.routing();
    let bindings = routing.bindings_to(&destination);
    rows.extend(bindings.map(|b| BindingRow::of(vhost, &b)));
    rows
}

/// Bindings that lead to an exchange.
pub(super) fn to_exchange(vhost: &Vhost, name: &str) -> Vec<BindingRow> {
    let destination = Destination::Exchange(name.to_owned());
    let routing = vhost.routing();
    let bindings = routing.bindings_to(&destination);
    bindings.map(|b| BindingRow::of(vhost, &b)).collect()
}

/// Bindings that begin at an exchange.
pub(super) fn from_exchange(vhost: &Vhost, name: &str) -> Vec<BindingRow> {
    if name.is_empty() {
        let queues = vhost.queues();
        let bound = queues.iter();
        return bound
            .map(|queue| BindingRow::implicit(vhost, queue.name()))
            .collect();
    }
    let routing = vhost.routing();
    let bindings = routing.bindings_from(name);
    bindings.map(|b| BindingRow::of(vhost, &b)).collect()
}

pub(super) struct BindingRow {
    vhost: Arc<str>,
    source: String,
    destination: String,
    to_queue: bool,
    routing_key: String,
    arguments: FieldTable,
}

impl BindingRow {
    /// Every queue hangs on the default exchange by its name.
    fn implicit(vhost: &Vhost, queue: &str) -> Self {
        Self {
            vhost: Arc::clone(vhost.name()),
            source: String::new(),
            destination: queue.to_owned(),
            to_queue: true,
            routing_key: queue.to_owned(),
            arguments: FieldTable::default(),
        }
    }

    fn of(vhost: &Vhost, binding: &Binding<'_, QueueHandle>) -> Self {
        let (destination, to_queue) = match binding.destination {
            Destination::Queue(queue) => (queue.0.name().to_owned(), true),
            Destination::Exchange(name) => (name.clone(), false),
        };
        Self {
            vhost: Arc::clone(vhost.name()),
            source: binding.source.to_owned(),
            destination,
            to_queue,
            routing_key: binding.routing_key.to_owned(),
            arguments: binding.arguments.clone(),
        }
    }

    fn kind(&self) -> &'static str {
        if self.to_queue { "queue" } else { "exchange" }
    }
}

impl Row for BindingRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.destination)
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| {
            let names = (row.destination.clone(), row.routing_key.clone());
            (
                row.kind(),
                names,
                properties_key(&row.routing_key, &row.arguments),
            )
        };
        let ends = (&self.vhost, &self.source).cmp(&(&other.vhost, &other.source));
        ends.then_with(|| key(self).cmp(&key(other)))
    }

    fn render(&self, _: &Listing) -> Object {
        let mut object = Object::new();
        object.put("source", self.source.clone());
        object.put("vhost", self.vhost.to_string());
        object.put("destination", self.destination.clone());
        object.put("destination_type", self.kind());
        object.put("routing_key", self.routing_key.clone());
        object.put("arguments", &self.arguments);
        object.put(
            "properties_key",
            properties_key(&self.routing_key, &self.arguments),
        );
        object
    }
}
