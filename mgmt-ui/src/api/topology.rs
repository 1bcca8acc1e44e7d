//! Declaring, deleting and emptying exchanges and queues, and binding them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use warren_amqp::FieldTable;
use warren_broker::catalog::definitions::to_table;
use warren_broker::{BindingRequest, ExchangeRequest, QueueRequest};

use super::vhosts::created;
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Fields, MemberVhost, Path, Query, Routes};
use crate::view::bindings_key::properties_key;

pub(super) fn routes() -> Routes {
    let settings = [
        (
            "durable",
            "boolean",
            "survives a restart; false when missing",
        ),
        (
            "auto_delete",
            "boolean",
            "goes with its last binding or consumer",
        ),
        ("arguments", "object", "as in AMQP"),
    ];
    let binding = [
        ("routing_key", "string", "empty when missing"),
        ("arguments", "object", "as in AMQP"),
    ];
    Routes::new("Exchanges, queues and bindings")
        .put(
            "/exchanges/{vhost}/{name}",
            "Declare an exchange",
            put_exchange,
        )
        .takes(&settings)
        .takes(&[
            ("type", "string", "direct when missing"),
            ("internal", "boolean", "clients may not publish to it"),
        ])
        .delete(
            "/exchanges/{vhost}/{name}",
            "Delete an exchange",
            delete_exchange,
        )
        .query("if-unused", "true: only when nothing is bound from it")
        .put("/queues/{vhost}/{name}", "Declare a queue", put_queue)
        .takes(&settings)
        .delete("/queues/{vhost}/{name}", "Delete a queue", delete_queue)
        .query("if-empty", "true: only when it holds no messages")
        .query("if-unused", "true: only when it has no consumers")
        .delete(
            "/queues/{vhost}/{name}/contents",
            "Drop its messages",
            purge,
        )
        .post(
            "/queues/{vhost}/{name}/actions",
            "Synchronise mirrors",
            action,
        )
        .takes(&[(
            "action",
            "string",
            "sync or cancel_sync; there is nothing to do",
        )])
        .post(
            "/rebalance/queues",
            "Rebalance leaders of queues",
            rebalance,
        )
        .post(
            "/bindings/{vhost}/e/{source}/q/{destination}",
            "Bind a queue",
            bind_queue,
        )
        .takes(&binding)
        .post(
            "/bindings/{vhost}/e/{source}/e/{destination}",
            "Bind an exchange",
            bind_exchange,
        )
        .takes(&binding)
        .delete(
            "/bindings/{vhost}/e/{source}/q/{destination}/{props}",
            "Unbind a queue",
            unbind_queue,
        )
        .delete(
            "/bindings/{vhost}/e/{source}/e/{destination}/{props}",
            "Unbind an exchange",
            unbind_exchange,
        )
}

/// The default exchange has a name in paths.
pub(super) fn exchange_name(name: String) -> String {
    if name == "amq.default" {
        String::new()
    } else {
        name
    }
}

/// A name AMQP can carry and that is not empty once it is cleaned.
fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    if name.len() > 255 {
        return Err(ApiError::bad_request(format!(
            "{what} name is longer than 255 bytes"
        )));
    }
    if name.chars().all(|c| matches!(c, '\r' | '\n')) {
        return Err(ApiError::bad_request(format!("{what} name is empty")));
    }
    Ok(())
}

fn arguments(fields: &Fields) -> Result<FieldTable, ApiError> {
    let object: Map<String, Value> = fields.object("arguments")?;
    to_table(&object).map_err(ApiError::bad_request)
}

async fn put_exchange(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let name = exchange_name(name);
    if !name.is_empty() {
        check_name("exchange", &name)?;
    }
    let request = ExchangeRequest {
        kind: fields.text("type")?.unwrap_or("direct").to_owned(),
        passive: false,
        durable: fields.boolean("durable", false)?,
        auto_delete: fields.boolean("auto_delete", false)?,
        internal: fields.boolean("internal", false)?,
        arguments: arguments(&fields)?,
        name,
    };
    ctx.act(member, move |vhost, session, turn| {
        let new = vhost.exchange(&request.name).is_err();
        vhost.declare_exchange(session, request, turn)?;
        Ok(created(new))
    })
    .await
}

async fn delete_exchange(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let name = exchange_name(name);
    ctx.act(member, move |vhost, session, turn| {
        if vhost.exchange(&name).is_err() {
            return Err(ApiError::NotFound);
        }
        vhost.delete_exchange(session, &name, query.flag("if-unused"), turn)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

async fn put_queue(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    check_name("queue", &name)?;
    let request = QueueRequest {
        passive: false,
        durable: fields.boolean("durable", false)?,
        exclusive: false,
        auto_delete: fields.boolean("auto_delete", false)?,
        arguments: arguments(&fields)?,
        name,
    };
    ctx.act(member, move |vhost, session, turn| {
        let new = vhost.find_queue(&request.name).is_none();
        // Of one that is there, arguments that do not make it another queue change in place.
        vhost.redeclare_queue(session, request, turn)?;
        Ok(created(new))
    })
    .await
}

async fn delete_queue(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let (if_unused, if_empty) = (query.flag("if-unused"), query.flag("if-empty"));
    ctx.act(member, move |vhost, session, turn| {
        if vhost.find_queue(&name).is_none() {
            return Err(ApiError::NotFound);
        }
        vhost.delete_queue(session, &name, if_unused, if_empty, turn)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

async fn purge(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, turn| {
        if vhost.find_queue(&name).is_none() {
            return Err(ApiError::NotFound);
        }
        let gone = vhost.purge_queue(session, &name, turn)?;
        let details = format!("{gone} messages");
        broker.note_action("queue.purged", (vhost.name(), &name), details, turn);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Mirrors are always in step here, so that there is nothing to synchronise.
async fn action(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let vhost = ctx.broker.vhost(&vhost).ok_or(ApiError::NotFound)?;
    if vhost.find_queue(&name).is_none() {
        return Err(ApiError::NotFound);
    }
    fields.require(&["action"])?;
    match fields.text("action")? {
        Some("sync" | "cancel_sync") => Ok(StatusCode::NO_CONTENT),
        other => Err(ApiError::bad_request(format!(
            "unknown action '{}'",
            other.unwrap_or_default()
        ))),
    }
}

/// With one node all leaders are where they belong.
async fn rebalance(_: Administrator) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn bind_queue(
    state: State<Context>,
    member: MemberVhost,
    Path((_, source, destination)): Path<(String, String, String)>,
    Body(fields): Body,
) -> Result<impl IntoResponse, ApiError> {
    bind(state, member, (source, destination, true), fields).await
}

async fn bind_exchange(
    state: State<Context>,
    member: MemberVhost,
    Path((_, source, destination)): Path<(String, String, String)>,
    Body(fields): Body,
) -> Result<impl IntoResponse, ApiError> {
    bind(state, member, (source, destination, false), fields).await
}

async fn bind(
    State(ctx): State<Context>,
    member: MemberVhost,
    (source, destination, to_queue): (String, String, bool),
    fields: Fields,
) -> Result<impl IntoResponse, ApiError> {
    let routing_key = fields.text("routing_key")?.unwrap_or_default().to_owned();
    if routing_key.len() > 255 {
        return Err(ApiError::bad_request(
            "the routing key is longer than 255 bytes",
        ));
    }
    let arguments = arguments(&fields)?;
    let key = properties_key(&routing_key, &arguments);
    let location = format!("{}/{}", segment(&destination), segment(&key));
    let request = BindingRequest {
        source: exchange_name(source),
        destination: match to_queue {
            true => destination,
            false => exchange_name(destination),
        },
        to_queue,
        routing_key,
        arguments,
    };
    ctx.act(member, move |vhost, session, turn| {
        Ok(vhost.bind(session, request, turn)?)
    })
    .await?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]))
}

/// As RabbitMQ writes it in `location`: what stands in a URL as it is, stays.
fn segment(text: &str) -> String {
    const KEPT: AsciiSet = NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, &KEPT).to_string()
}

async fn unbind_queue(
    state: State<Context>,
    member: MemberVhost,
    Path((_, source, destination, key)): Path<(String, String, String, String)>,
) -> Result<StatusCode, ApiError> {
    unbind(state, member, (source, destination, true), key).await
}

async fn unbind_exchange(
    state: State<Context>,
    member: MemberVhost,
    Path((_, source, destination, key)): Path<(String, String, String, String)>,
) -> Result<StatusCode, ApiError> {
    unbind(state, member, (source, destination, false), key).await
}

/// Finds the binding with that properties key and removes it.
async fn unbind(
    State(ctx): State<Context>,
    member: MemberVhost,
    (source, destination, to_queue): (String, String, bool),
    key: String,
) -> Result<StatusCode, ApiError> {
    let source = exchange_name(source);
    let destination = match to_queue {
        true => destination,
        false => exchange_name(destination),
    };
    ctx.act(member, move |vhost, session, turn| {
        let found = vhost
            .bindings_between(&source, &destination, to_queue)
            .into_iter()
            .find(|binding| properties_key(&binding.routing_key, &binding.arguments) == key);
        let binding = found.ok_or(ApiError::NotFound)?;
        vhost.unbind(session, binding, turn)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
