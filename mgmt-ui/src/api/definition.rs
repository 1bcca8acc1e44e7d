//! What all changes of single definitions share: making them durable, statuses, refusals.

use axum::http::StatusCode;
use serde_json::Value;
use warren_broker::Turn;
use warren_broker::catalog::{CatalogError, Command};

use crate::Context;
use crate::act::new_turn;
use crate::http::{ApiError, blocking};

/// Runs a change of the definitions and waits until it is on disk. Blocks.
pub(super) fn changing<T>(
    ctx: &Context,
    change: impl FnOnce(&mut Turn) -> Result<T, CatalogError>,
) -> Result<T, CatalogError> {
    let mut turn = new_turn();
    let result = change(&mut turn)?;
    ctx.broker.finish(&mut turn);
    ctx.broker
        .catalog()
        .wait_durable(turn.take_catalog_index())?;
    Ok(result)
}

/// Proposes one command off the threads that serve connections. Whether it changed anything.
pub(super) async fn change(ctx: Context, command: Command) -> Result<bool, ApiError> {
    blocking(move || changing(&ctx, |turn| ctx.broker.change(command, turn)).map_err(refused))
        .await?
}

/// 201 for what is new, 204 for what was there.
pub(super) fn put_status(new: bool) -> StatusCode {
    if new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    }
}

/// 204 for what was there, 404 for what was not.
pub(super) fn gone(was_there: bool) -> Result<StatusCode, ApiError> {
    if was_there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::NotFound)
    }
}

/// Refusals of the catalog as RabbitMQ's API words them.
pub(crate) fn refused(error: CatalogError) -> ApiError {
    match error {
        CatalogError::NoSuchVhost(_) => ApiError::missing("vhost_not_found"),
        CatalogError::Protected(_) => ApiError::precondition_failed(error.to_string()),
        CatalogError::Log(_) => ApiError::Internal,
        other => ApiError::bad_request(other.to_string()),
    }
}

/// The field `value` of a body, which must be there.
pub(super) fn value(fields: &crate::http::Fields) -> Result<Value, ApiError> {
    fields.require(&["value"])?;
    Ok(fields.as_map().get("value").cloned().unwrap_or_default())
}
