//! A hand on the tap: holding back the deliveries of a queue or of one consumer, and ending a
//! consumer. Nothing of it outlives the process, and all of it is in the log of events.
//!
//! Holding back a queue needs configure permission on it. A consumer is its user's: others must be
//! administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_broker::auth::Access;

use super::unacked::find;
use crate::Context;
use crate::http::{ApiError, Body, MemberVhost, Path};

/// `{"paused": bool}`: holds back the deliveries of a queue or lets them go on.
pub(crate) async fn pause(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    fields.require(&["paused"])?;
    let paused = fields
        .value("paused")
        .and_then(Value::as_bool)
        .ok_or_else(|| ApiError::bad_request("paused is true or false"))?;
    let user = member.user.name.clone();
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, turn| {
        session.check_queue(Access::Configure, &name)?;
        let queue = vhost.find_queue(&name).ok_or(ApiError::NotFound)?;
        queue.set_paused(paused, turn);
        let what = if paused { "held back" } else { "let go on" };
        let action = if paused {
            "queue.paused"
        } else {
            "queue.resumed"
        };
        broker.note_action(action, (vhost.name(), &name), String::new(), turn);
        tracing::info!(
            vhost = &**vhost.name(),
            queue = name,
            user,
            "deliveries {what}"
        );
        Ok(Json(json!({ "paused": paused })))
    })
    .await
}

/// `{"action","channel","consumer_tag"}`: cancels, pauses or resumes a consumer.
pub(crate) async fn consumer(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    fields.require(&["action", "channel", "consumer_tag"])?;
    let text = |field: &str| -> Result<String, ApiError> {
        Ok(fields.text(field)?.unwrap_or_default().to_owned())
    };
    let (action, channel, tag) = (text("action")?, text("channel")?, text("consumer_tag")?);
    if !matches!(action.as_str(), "cancel" | "pause" | "resume") {
        return Err(ApiError::bad_request(format!(
            "{action} is no action: there are cancel, pause and resume"
        )));
    }
    let broker = Arc::clone(&ctx.broker);
    let user = member.user.clone();
    ctx.act(member, move |vhost, session, turn| {
        let queue = vhost.readable_queue(session, &name)?;
        let (id, owner) = find(&broker, &queue, &channel, &tag).ok_or(ApiError::NotFound)?;
        if !user.is_administrator() && user.name != owner {
            return Err(ApiError::NotAuthorised(
                "User not authorised to access object",
            ));
        }
        let there = match action.as_str() {
            "cancel" => queue.cancel_consumer(id, turn),
            other => queue.set_consumer_paused(id, other == "pause", turn),
        };
        if !there {
            return Err(ApiError::NotFound);
        }
        let noted = match action.as_str() {
            "cancel" => "consumer.cancelled",
            "pause" => "consumer.paused",
            _ => "consumer.resumed",
        };
        let details = format!("{tag} on {channel}");
        broker.note_action(noted, (vhost.name(), &name), details, turn);
        tracing::info!(
            vhost = &**vhost.name(),
            queue = name,
            consumer_tag = tag,
            user = user.name,
            action,
            "an operator changed a consumer"
        );
        Ok(Json(json!({ "action": action, "consumer_tag": tag })))
    })
    .await
}
