//! `/api/console/queues/{vhost}/{name}/messages`: browsing a queue without taking anything out,
//! and deleting, moving or copying chosen messages.
//!
//! Browsing needs read permission on the queue; deleting too; moving and copying also write
//! permission on the exchange they go to. A moved message leaves its queue only when its copy is
//! on disk.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_amqp::parse_properties;
use warren_broker::message::Message;
use warren_broker::{Broker, Entry, Fate, Glance, Queue, Session, Turn, Vhost};

use super::filter::Filter;
use super::message_json::describe;
use crate::Context;
use crate::http::{ApiError, Body, MemberVhost, Path, Query};
use std::sync::Arc;

/// Messages of one answer at most.
const PAGE_MAX: usize = 500;
/// Messages looked at for one answer at most, when a filter hides many.
const SCAN_MAX: usize = 20_000;
/// Bytes of each body shown unless asked otherwise.
const SHOWN_BYTES: usize = 16 * 1024;
/// Bytes read from the log for one glance.
const READ_BYTES: usize = 8 << 20;
/// Messages one action may concern.
const CHOSEN_MAX: usize = 10_000;

/// Browses: `order` oldest or newest, `cursor` from the last answer's `next`, `filter`, `limit`,
/// `max_bytes` of each body.
pub(crate) async fn browse(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let filter =
        Filter::parse(query.get("filter").unwrap_or_default()).map_err(ApiError::bad_request)?;
    let number = |name: &str| -> Result<Option<u64>, ApiError> {
        let Some(text) = query.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = |_| ApiError::bad_request(format!("{name} is not a number"));
        text.parse().map(Some).map_err(wrong)
    };
    let limit = number("limit")?.unwrap_or(50).clamp(1, PAGE_MAX as u64) as usize;
    let shown = number("max_bytes")?.map_or(SHOWN_BYTES, |bytes| bytes.min(1 << 20) as usize);
    let mut from = number("cursor")?;
    let newest_first = query.get("order") == Some("newest");
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, _| {
        let queue = vhost.readable_queue(session, &name)?;
        let total = queue.depth().ready;
        let (mut items, mut scanned) = (Vec::new(), 0);
        let next = loop {
            let messages = if filter.is_empty() {
                limit - items.len()
            } else {
                500
            };
            let glance = Glance {
                from,
                newest_first,
                messages,
                bytes: READ_BYTES,
            };
            let seen = queue.browse(broker.log(), &glance).map_err(|error| {
                tracing::error!(queue = queue.name(), %error, "a queue cannot be browsed");
                ApiError::Internal
            })?;
            let Some(last) = seen.last().map(|browsed| browsed.seq) else {
                break None;
            };
            for browsed in &seen {
                scanned += 1;
                from = if newest_first {
                    browsed.seq.checked_sub(1)
                } else {
                    Some(browsed.seq + 1)
                };
                if filter.fits(&browsed.message) {
                    items.push(describe(browsed, scanned as u64, shown));
                }
                if items.len() == limit {
                    break;
                }
            }
            let ended = from.is_none() || (items.len() < limit && scanned >= total && last == 0);
            if ended {
                break None;
            }
            if items.len() == limit || scanned >= SCAN_MAX {
                break from;
            }
        };
        Ok(Json(
            json!({ "items": items, "next": next, "total": total, "scanned": scanned }),
        ))
    })
    .await
}

/// Deletes, moves or copies: `{"action","seqs":[...],"destination":{"exchange","routing_key"}}`.
/// Answers how many were done and how many were not there any more.
pub(crate) async fn act(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    fields.require(&["action", "seqs"])?;
    let action = fields.text("action")?.unwrap_or_default().to_owned();
    let seqs: Option<Vec<u64>> = fields
        .value("seqs")
        .and_then(Value::as_array)
        .map(|list| list.iter().map(Value::as_u64).collect())
        .unwrap_or_default();
    let seqs = seqs
        .filter(|seqs| seqs.len() <= CHOSEN_MAX)
        .ok_or_else(|| ApiError::bad_request("seqs is an array of at most 10000 numbers"))?;
    let destination = fields.object("destination")?;
    let text = |name: &str| {
        destination
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (exchange, key) = (text("exchange"), text("routing_key"));
    if action != "delete" && exchange.is_none() {
        return Err(ApiError::bad_request("destination.exchange is missing"));
    }
    let exchange = exchange.unwrap_or_default();
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, turn| {
        let queue = vhost.readable_queue(session, &name)?;
        let done = match action.as_str() {
            "delete" => {
                let picked = pick(&broker, &queue, &seqs, turn)?;
                queue.ack(None, &picked, turn);
                picked.len()
            }
            "move" => {
                let picked = pick(&broker, &queue, &seqs, turn)?;
                transfer(&broker, vhost, session, turn, &queue, picked, |message| {
                    (
                        exchange.clone(),
                        key.clone()
                            .unwrap_or_else(|| message.routing_key().to_owned()),
                    )
                })?
            }
            "copy" => {
                let mut copied = 0;
                for seq in &seqs {
                    let glance = Glance {
                        from: Some(*seq),
                        newest_first: false,
                        messages: 1,
                        bytes: READ_BYTES,
                    };
                    let seen = queue
                        .browse(broker.log(), &glance)
                        .map_err(|_| ApiError::Internal)?;
                    if let Some(browsed) = seen.first().filter(|browsed| browsed.seq == *seq) {
                        let key = key
                            .clone()
                            .unwrap_or_else(|| browsed.message.routing_key().to_owned());
                        publish(
                            &broker,
                            vhost,
                            session,
                            turn,
                            (&exchange, &key),
                            &browsed.message,
                            None,
                        )?;
                        copied += 1;
                    }
                }
                copied
            }
            other => {
                return Err(ApiError::bad_request(format!(
                    "{other} is no action: there are delete, move and copy"
                )));
            }
        };
        Ok(Json(
            json!({ "done": done, "missing": seqs.len().saturating_sub(done) }),
        ))
    })
    .await
}

fn pick(
    broker: &Broker,
    queue: &Arc<Queue>,
    seqs: &[u64],
    turn: &mut Turn,
) -> Result<Vec<Entry>, ApiError> {
    queue.pick(broker.log(), seqs, turn).map_err(|error| {
        tracing::error!(queue = queue.name(), %error, "messages cannot be read");
        ApiError::Internal
    })
}

/// Publishes each entry where `to` says and then settles it; the first that cannot be published
/// and all after it go back to their places.
pub(super) fn transfer(
    broker: &Broker,
    vhost: &Vhost,
    session: &mut Session,
    turn: &mut Turn,
    queue: &Arc<Queue>,
    picked: Vec<Entry>,
    mut to: impl FnMut(&Message) -> (String, String),
) -> Result<usize, ApiError> {
    let mut rest = picked.into_iter();
    let mut done = Vec::new();
    let mut failure = None;
    for entry in rest.by_ref() {
        let (exchange, key) = to(&entry.message);
        match publish(
            broker,
            vhost,
            session,
            turn,
            (&exchange, &key),
            &entry.message,
            None,
        ) {
            Ok(()) => done.push(entry),
            Err(error) => {
                failure = Some((entry, error));
                break;
            }
        }
    }
    queue.ack(None, &done, turn);
    let Some((entry, error)) = failure else {
        return Ok(done.len());
    };
    let back: Vec<Entry> = std::iter::once(entry).chain(rest).collect();
    queue.requeue(None, back, turn);
    Err(error)
}

/// Publishes a copy with the message's own properties, and with `mark` as one header more; back
/// when it is safe.
pub(super) fn publish(
    broker: &Broker,
    vhost: &Vhost,
    session: &mut Session,
    turn: &mut Turn,
    (exchange, key): (&str, &str),
    message: &Message,
    mark: Option<&str>,
) -> Result<(), ApiError> {
    let header = message.delivered_header();
    let mut properties = parse_properties(header.get(12..).unwrap_or_default())?;
    // Whoever moves it vouches for it; the time to live was for where it was.
    properties.user_id = None;
    let marked = mark.map(|mark| {
        let mut table = warren_amqp::TableBuilder::new();
        if let Some(headers) = properties.headers {
            table.copy_except(headers, &[mark.as_bytes()]);
        }
        table.bool(mark, true);
        table.finish()
    });
    if let Some(marked) = &marked {
        properties.headers = Some(warren_amqp::TableRef::new(marked));
    }
    let fate = broker.publish_one(
        vhost,
        session,
        (exchange, key),
        &properties,
        message.body(),
        turn,
    )?;
    match fate {
        Fate::Unroutable => Err(ApiError::bad_request(format!(
            "exchange '{exchange}' has no queue for key '{key}': nothing was moved there"
        ))),
        Fate::Rejected => Err(ApiError::bad_request(format!(
            "a queue behind exchange '{exchange}' is full"
        ))),
        Fate::Routed(warren_broker::NEVER) => Err(ApiError::Internal),
        Fate::Routed(0) => Ok(()),
        Fate::Routed(position) => broker.log().wait_durable(position).map_err(|error| {
            tracing::error!(%error, "a moved message may be lost");
            ApiError::Internal
        }),
    }
}
