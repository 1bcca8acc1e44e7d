//! Creating, changing and deleting vhosts.

use axum::extract::State;
use axum::http::StatusCode;
use warren_broker::VhostMetadata;
use warren_broker::catalog::Command;

use super::definition::change;
use crate::Context;
use crate::http::{Administrator, ApiError, Body, Path, Routes};

pub(super) fn routes() -> Routes {
    Routes::new("Virtual hosts")
        .put("/vhosts/{vhost}", "Create or change a vhost", put)
        .takes(&[
            ("description", "string", "for people"),
            ("tags", "array", "for people"),
            (
                "default_queue_type",
                "string",
                "of queues declared without one",
            ),
            ("tracing", "boolean", "copy messages to amq.rabbitmq.trace"),
        ])
        .delete("/vhosts/{vhost}", "Delete a vhost and all in it", delete)
        .post(
            "/vhosts/{vhost}/start/{node}",
            "Start a vhost; it always runs",
            start,
        )
        .post(
            "/vhosts/{vhost}/deletion/protection",
            "Protect a vhost from deletion",
            protect_vhost,
        )
        .delete(
            "/vhosts/{vhost}/deletion/protection",
            "Let a vhost be deleted again",
            unprotect_vhost,
        )
}

async fn put(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
    Body(fields): Body,
) -> Result<StatusCode, ApiError> {
    let known = ctx.broker.catalog().read().vhost(&name).cloned();
    let known = known.map(VhostMetadata::from).unwrap_or_default();
    let running = ctx.broker.vhost(&name);
    let traced = running.is_some_and(|vhost| vhost.traced());
    let traced = fields.boolean("tracing", traced)?;
    let queue_type = match fields.text("default_queue_type")? {
        None => known.default_queue_type,
        Some("" | "undefined") => None,
        Some(kind) => Some(kind.to_owned()),
    };
    let metadata = VhostMetadata {
        description: fields
            .text("description")?
            .map_or(known.description, str::to_owned),
        tags: fields.tags("tags")?.unwrap_or(known.tags),
        default_queue_type: queue_type,
    };
    let new = ctx
        .change(move |broker, turn| {
            let new = broker.put_vhost(&name, metadata, turn)?;
            if let Some(vhost) = broker.vhost(&name) {
                vhost.set_traced(traced);
            }
            Ok(new)
        })
        .await?;
    Ok(created(new))
}

async fn delete(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    if ctx.broker.vhost(&name).is_none() {
        return Err(ApiError::NotFound);
    }
    ctx.change(move |broker, turn| Ok(broker.delete_vhost(&name, turn)?))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start(
    State(ctx): State<Context>,
    _: Administrator,
    Path((vhost, node)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    if ctx.broker.vhost(&vhost).is_none() {
        return Err(ApiError::NotFound);
    }
    if node != ctx.broker.settings().node_name {
        return Err(ApiError::bad_request(format!("there is no node '{node}'")));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// RabbitMQ tells creation from all else.
pub(super) fn created(new: bool) -> StatusCode {
    if new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    }
}

async fn protect_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let protected = true;
    change(ctx, Command::ProtectVhost { name, protected }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unprotect_vhost(
    State(ctx): State<Context>,
    _: Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let protected = false;
    change(ctx, Command::ProtectVhost { name, protected }).await?;
    Ok(StatusCode::NO_CONTENT)
}
