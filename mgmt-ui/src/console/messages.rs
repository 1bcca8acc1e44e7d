//! `/api/console/queues/{vhost}/{name}/messages`: browsing a queue without taking anything out,
//! and deleting, moving or copying chosen messages.
//!
//! Browsing needs read permission on the queue; deleting too; moving and copying also write
//! permission on the exchange they go to. A moved message leaves its queue only when its copy is
//! on disk.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use warren_amqp::parse_properties;
use warren_broker::message::Message;
use warren_broker::{Broker, Browsed, Entry, Fate, Glance, Queue, Session, Turn, Vhost};

use super::decoded::readable;
use super::filter::Filter;
use super::message_json::{describe, parse};
use crate::Context;
use crate::http::{ApiError, Body, MemberVhost, Path, Query};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages of one answer at most.
const PAGE_MAX: usize = 500;
/// Messages looked at for one answer at most, when a filter hides many.
const SCAN_MAX: usize = 20_000;
/// Time one answer may take, when a filter hides many.
const SCAN_TIME: Duration = Duration::from_secs(2);
/// Bytes of each body shown unless asked otherwise.
const SHOWN_BYTES: usize = 16 * 1024;
/// Bytes read from the log for one glance.
const READ_BYTES: usize = 8 << 20;
/// Bytes that a compressed body may turn into.
const DECODED_MAX: usize = 64 << 20;
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
    let from = number("cursor")?;
    let wanted = Wanted {
        filter,
        limit,
        shown,
        newest_first: query.get("order") == Some("newest"),
    };
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, _| {
        let queue = vhost.readable_queue(session, &name)?;
        look(&broker, &queue, &wanted, from).map(Json)
    })
    .await
}

/// Which messages are wanted, and how much of each.
struct Wanted {
    filter: Filter,
    limit: usize,
    shown: usize,
    newest_first: bool,
}

/// Goes through the queue until enough are found, or enough was looked at; `next` of the answer
/// says where to go on.
fn look(
    broker: &Broker,
    queue: &Queue,
    wanted: &Wanted,
    mut from: Option<u64>,
) -> Result<Value, ApiError> {
    let (start, total) = (Instant::now(), queue.depth().ready);
    let (mut items, mut scanned) = (Vec::new(), 0);
    let next = loop {
        let messages = match wanted.filter.is_empty() {
            true => wanted.limit - items.len(),
            false => 500,
        };
        let glance = Glance {
            from,
            newest_first: wanted.newest_first,
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
            from = match wanted.newest_first {
                true => browsed.seq.checked_sub(1),
                false => Some(browsed.seq + 1),
            };
            if wanted.filter.fits(&browsed.message) {
                items.push(describe(browsed, scanned as u64, wanted.shown));
            }
            if items.len() == wanted.limit {
                break;
            }
        }
        let full = items.len() == wanted.limit;
        if from.is_none() || (!full && scanned >= total && last == 0) {
            break None;
        }
        if full || scanned >= SCAN_MAX || start.elapsed() >= SCAN_TIME {
            break from;
        }
    };
    Ok(json!({ "items": items, "next": next, "total": total, "scanned": scanned }))
}

/// The whole body of one message, as bytes to be saved; `decoded=true` as it was before it was
/// compressed.
pub(crate) async fn body(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name, seq)): Path<(String, String, u64)>,
    query: Query,
) -> Result<Response, ApiError> {
    let decoded = query.flag("decoded");
    let broker = Arc::clone(&ctx.broker);
    ctx.act(member, move |vhost, session, _| {
        let queue = vhost.readable_queue(session, &name)?;
        let found = one(&broker, &queue, seq)?.ok_or(ApiError::NotFound)?;
        let message = &found.message;
        let parsed = parse(message);
        let encoding = parsed.text("content_encoding");
        let bytes = match decoded {
            true => readable(encoding, message.body(), DECODED_MAX).into_owned(),
            false => message.body().to_vec(),
        };
        // Never shown as a page: whoever published it is not to be trusted.
        let headers = [
            (CONTENT_TYPE, "application/octet-stream"),
            (CONTENT_DISPOSITION, "attachment"),
        ];
        Ok((headers, bytes).into_response())
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
        let noted = match action.as_str() {
            "delete" => "messages.deleted",
            "move" => "messages.moved",
            _ => "messages.copied",
        };
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
                let to = (exchange.as_str(), key.as_deref());
                copy(&broker, vhost, session, turn, &queue, &seqs, to)?
            }
            other => {
                return Err(ApiError::bad_request(format!(
                    "{other} is no action: there are delete, move and copy"
                )));
            }
        };
        let mut details = format!("{done} of {}", seqs.len());
        if noted != "messages.deleted" {
            details.push_str(&format!(" to exchange \"{exchange}\""));
        }
        broker.note_action(noted, (vhost.name(), &name), details, turn);
        Ok(Json(
            json!({ "done": done, "missing": seqs.len().saturating_sub(done) }),
        ))
    })
    .await
}

/// Publishes copies of those that are there to an exchange, by a key or each by its own.
fn copy(
    broker: &Broker,
    vhost: &Vhost,
    session: &mut Session,
    turn: &mut Turn,
    queue: &Queue,
    seqs: &[u64],
    (exchange, key): (&str, Option<&str>),
) -> Result<usize, ApiError> {
    let mut copied = 0;
    for seq in seqs {
        let Some(browsed) = one(broker, queue, *seq)? else {
            continue;
        };
        let message = &browsed.message;
        let to = (exchange, key.unwrap_or(message.routing_key()));
        publish(broker, vhost, session, turn, to, message, None)?;
        copied += 1;
    }
    Ok(copied)
}

/// The message of that number, if it is still there.
fn one(broker: &Broker, queue: &Queue, seq: u64) -> Result<Option<Browsed>, ApiError> {
    let glance = Glance {
        from: Some(seq),
        newest_first: false,
        messages: 1,
        bytes: READ_BYTES,
    };
    let seen = queue.browse(broker.log(), &glance).map_err(|error| {
        tracing::error!(queue = queue.name(), %error, "a message cannot be read");
        ApiError::Internal
    })?;
    Ok(seen.into_iter().find(|browsed| browsed.seq == seq))
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

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node};
    use serde_json::{Value, json};

    const QUEUE: &str = "/api/console/queues/%2F/orders/messages";

    async fn publish(node: &Node, payload: &str, encoding: &str, properties: Value) {
        let message = json!({
            "routing_key": "orders", "payload": payload, "payload_encoding": encoding,
            "properties": properties,
        });
        let path = "/api/exchanges/%2F/amq.default/publish";
        let answer = node.send("POST", path, &message.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn keys(node: &Node, filter: &str) -> Vec<Value> {
        let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let path = format!("{QUEUE}?filter={filter}");
        let found = node.get(&path, Some(GUEST)).await.json();
        let items = found["items"].as_array().unwrap();
        items.iter().map(|item| item["position"].clone()).collect()
    }

    #[tokio::test]
    async fn bodies_are_filtered_by_what_they_say_and_read_as_they_were() {
        use base64::Engine;
        use std::io::Write;
        let node = Node::start().await;
        node.send("PUT", "/api/queues/%2F/orders", "{}").await;
        let order = r#"{"order": {"id": 1, "items": [{"sku": "x"}]}}"#;
        publish(&node, order, "string", json!({})).await;
        publish(&node, "no json", "string", json!({})).await;
        let level = flate2::Compression::default();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        let order = r#"{"order": {"id": 2, "items": [{"sku": "y z"}]}}"#;
        gzip.write_all(order.as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        let packed_text = base64::engine::general_purpose::STANDARD.encode(&packed);
        let properties = json!({ "content_encoding": "gzip" });
        publish(&node, &packed_text, "base64", properties).await;

        assert_eq!(keys(&node, "$.order.items[0].sku = \"x\"").await, [1]);
        assert_eq!(keys(&node, "$.order.items[*].sku = \"y z\"").await, [3]);
        assert_eq!(keys(&node, "$.order.id >= 1 bytes>1").await, [1, 3]);
        assert_eq!(keys(&node, "body~sku").await, [1, 3]);
        let wrong = node.get(&format!("{QUEUE}?filter=$.a="), Some(GUEST)).await;
        assert_eq!(wrong.status, 400);
        assert!(wrong.body.contains("a value is missing"));

        let all = node.get(QUEUE, Some(GUEST)).await.json();
        assert_eq!(all["items"][0]["decoded"], Value::Null);
        let third = &all["items"][2];
        assert_eq!(third["payload_encoding"], "base64");
        assert_eq!(third["decoded"]["from"], "gzip");
        assert_eq!(third["decoded"]["payload"], order);
        let body = format!("{QUEUE}/{}/body?decoded=true", third["seq"]);
        let saved = node.get(&body, Some(GUEST)).await;
        assert_eq!((saved.status, saved.body.as_str()), (200, order));
        assert_eq!(saved.header("content-disposition"), Some("attachment"));
        assert_eq!(saved.header("x-content-type-options"), Some("nosniff"));
        let gone = node.get(&format!("{QUEUE}/999/body"), Some(GUEST)).await;
        assert_eq!(gone.status, 404);
    }
}
