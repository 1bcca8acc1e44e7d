//! Publishing and getting single messages: for trying things out, not for work.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use warren_amqp::{Properties, TableRef, fields_from_table, parse_properties, table_from_fields};
use warren_broker::catalog::definitions::{from_table, to_table};
use warren_broker::{Broker, Entry, Fate, Got, HeadWaiter, Queue, Turn};

use super::topology::exchange_name;
use crate::Context;
use crate::act::session;
use crate::http::{ApiError, Body, Fields, MemberVhost, Path, Routes};

/// How long to wait for a message to be loaded from disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages one request may get.
const GET_MAX: i64 = 100_000;

pub(super) fn routes() -> Routes {
    Routes::new("Messages")
        .post(
            "/exchanges/{vhost}/{name}/publish",
            "Publish a message",
            publish,
        )
        .takes(&[
            ("properties", "object", "content_type, headers and so on"),
            ("routing_key", "string", ""),
            ("payload", "string", ""),
            ("payload_encoding", "string", "string or base64"),
        ])
        .post(
            "/queues/{vhost}/{name}/get",
            "Take messages from a queue",
            get,
        )
        .takes(&[
            ("count", "integer", "at most so many"),
            (
                "ackmode",
                "string",
                "ack_requeue_true, ack_requeue_false, reject_requeue_true, reject_requeue_false",
            ),
            ("encoding", "string", "auto or base64"),
            ("truncate", "integer", "bytes of each payload"),
        ])
}

async fn publish(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, exchange)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    fields.require(&["properties", "routing_key", "payload", "payload_encoding"])?;
    let exchange = exchange_name(exchange);
    let routing_key = fields.text("routing_key")?.unwrap_or_default().to_owned();
    if routing_key.len() > 255 || exchange.len() > 255 {
        return Err(ApiError::bad_request("names are at most 255 bytes long"));
    }
    let body = payload(&fields)?;
    let properties = OwnedProperties::parse(&fields.object("properties")?)?;
    let MemberVhost { user, vhost } = member;
    let fate = ctx
        .change(move |broker, turn| {
            let mut session = session(broker, user, &vhost)?;
            let published = broker.publish_one(
                &vhost,
                &mut session,
                (&exchange, &routing_key),
                &properties.borrow(),
                &body,
                turn,
            );
            // All refusals are 400 here, with AMQP's number in the text.
            let fate = published.map_err(|error| {
                let text = format!("{} {}", error.code.code(), error.reply_text());
                ApiError::bad_request(text)
            })?;
            wait_until_safe(broker, fate)?;
            Ok(fate)
        })
        .await?;
    match fate {
        Fate::Rejected => Err(ApiError::bad_request(
            "rejected Unable to publish message. Check queue limits.",
        )),
        fate => Ok(Json(json!({ "routed": fate != Fate::Unroutable }))),
    }
}

fn wait_until_safe(broker: &Broker, fate: Fate) -> Result<(), ApiError> {
    match fate {
        Fate::Routed(warren_broker::NEVER) => Err(ApiError::Internal),
        Fate::Routed(position) if position > 0 => {
            broker.log().wait_durable(position).map_err(|error| {
                tracing::error!(%error, "a published message may be lost");
                ApiError::Internal
            })
        }
        _ => Ok(()),
    }
}

fn payload(fields: &Fields) -> Result<Vec<u8>, ApiError> {
    let Some(Value::String(payload)) = fields.value("payload") else {
        return Err(ApiError::bad_request("payload_not_string"));
    };
    match fields.text("payload_encoding")? {
        Some("string") => Ok(payload.clone().into_bytes()),
        Some("base64") => STANDARD
            .decode(payload)
            .map_err(|_| ApiError::bad_request("payload_not_base64")),
        other => Err(ApiError::bad_request(format!(
            "unsupported_encoding: {}",
            other.unwrap_or_default()
        ))),
    }
}

/// The properties of a message while they are read from JSON.
#[derive(Default)]
struct OwnedProperties {
    texts: Map<String, Value>,
    headers: Option<Vec<u8>>,
    delivery_mode: Option<u8>,
    priority: Option<u8>,
    timestamp: Option<u64>,
}

const TEXTS: [&str; 10] = [
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];

impl OwnedProperties {
    /// Unknown ones and those that are `null` count as absent.
    fn parse(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut properties = Self::default();
        for name in TEXTS {
            match object.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) if text.len() <= 255 => {
                    properties
                        .texts
                        .insert(name.to_owned(), text.as_str().into());
                }
                Some(Value::String(_)) => {
                    let text = format!("property {name} is longer than 255 bytes");
                    return Err(ApiError::bad_request(text));
                }
                Some(other) => {
                    return Err(ApiError::bad_request(format!("not_string: {name} {other}")));
                }
            }
        }
        properties.headers = match object.get("headers") {
            None | Some(Value::Null) => None,
            Some(Value::Object(headers)) => {
                let table = to_table(headers).map_err(ApiError::bad_request)?;
                Some(table_from_fields(&table))
            }
            Some(other) => {
                return Err(ApiError::bad_request(format!(
                    "not_object: headers {other}"
                )));
            }
        };
        properties.delivery_mode = small(object, "delivery_mode")?;
        properties.priority = small(object, "priority")?;
        properties.timestamp = number(object, "timestamp")?;
        Ok(properties)
    }

    fn text(&self, name: &str) -> Option<&[u8]> {
        let text = self.texts.get(name)?.as_str()?;
        Some(text.as_bytes())
    }

    fn borrow(&self) -> Properties<'_> {
        Properties {
            content_type: self.text("content_type"),
            content_encoding: self.text("content_encoding"),
            headers: self.headers.as_deref().map(TableRef::new),
            delivery_mode: self.delivery_mode,
            priority: self.priority,
            correlation_id: self.text("correlation_id"),
            reply_to: self.text("reply_to"),
            expiration: self.text("expiration"),
            message_id: self.text("message_id"),
            timestamp: self.timestamp,
            type_: self.text("type"),
            user_id: self.text("user_id"),
            app_id: self.text("app_id"),
            cluster_id: self.text("cluster_id"),
        }
    }
}

fn number(object: &Map<String, Value>, name: &str) -> Result<Option<u64>, ApiError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(ApiError::bad_request(format!("not_int: {name} {value}"))),
        },
    }
}

fn small(object: &Map<String, Value>, name: &str) -> Result<Option<u8>, ApiError> {
    let Some(number) = number(object, name)? else {
        return Ok(None);
    };
    let small = u8::try_from(number);
    small
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("{name} is at most 255, not {number}")))
}

/// What becomes of the messages that were got.
#[derive(Clone, Copy)]
struct AckMode {
    reject: bool,
    requeue: bool,
}

fn ack_mode(fields: &Fields) -> Result<AckMode, ApiError> {
    // What the field was before it had four values.
    if fields.value("ackmode").is_none() && fields.value("requeue").is_some() {
        let requeue = fields.boolean("requeue", true)?;
        return Ok(AckMode {
            reject: false,
            requeue,
        });
    }
    let (reject, requeue) = match fields.text("ackmode")? {
        Some("ack_requeue_true") => (false, true),
        Some("ack_requeue_false") => (false, false),
        Some("reject_requeue_true") => (true, true),
        Some("reject_requeue_false") => (true, false),
        other => {
            return Err(ApiError::bad_request(format!(
                "unknown ackmode '{}'",
                other.unwrap_or_default()
            )));
        }
    };
    Ok(AckMode { reject, requeue })
}

async fn get(
    State(ctx): State<Context>,
    member: MemberVhost,
    Path((_, name)): Path<(String, String)>,
    Body(fields): Body,
) -> Result<Json<Value>, ApiError> {
    if fields.value("requeue").is_some() {
        fields.require(&["count", "encoding"])?;
    } else {
        fields.require(&["count", "ackmode", "encoding"])?;
    }
    let mode = ack_mode(&fields)?;
    let count = fields.integer("count")?.unwrap_or(0);
    if count < 0 {
        return Err(ApiError::bad_request("count is negative"));
    }
    let base64 = match fields.text("encoding")? {
        Some("auto") => false,
        Some("base64") => true,
        other => {
            return Err(ApiError::bad_request(format!(
                "unsupported_encoding: {}",
                other.unwrap_or_default()
            )));
        }
    };
    let truncate = match fields.integer("truncate")? {
        None => usize::MAX,
        Some(bytes) => {
            usize::try_from(bytes).map_err(|_| ApiError::bad_request("truncate is negative"))?
        }
    };
    let MemberVhost { user, vhost } = member;
    ctx.change(move |broker, turn| {
        let mut session = session(broker, user, &vhost)?;
        let queue = vhost.readable_queue(&mut session, &name)?;
        let mut got: Vec<Entry> = Vec::new();
        let mut answer = Vec::new();
        for _ in 0..count.min(GET_MAX) {
            let Some((entry, left)) = take_one(broker, &queue, turn) else {
                break;
            };
            answer.push(describe(&entry, left, base64, truncate));
            got.push(entry);
        }
        match mode {
            AckMode { requeue: true, .. } => queue.requeue(None, got, turn),
            AckMode { reject: true, .. } => queue.reject(None, got, turn),
            AckMode { .. } => queue.ack(None, &got, turn),
        }
        Ok(Json(Value::Array(answer)))
    })
    .await
}

/// Told when a message has been loaded.
struct Loaded(Mutex<Sender<()>>);

impl HeadWaiter for Loaded {
    fn head_here(&self) {
        // Whoever waited may have given up.
        let _ = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(());
    }
}

/// The next message and how many are left; waits while it is loaded from disk, up to a limit.
fn take_one(broker: &Broker, queue: &Arc<Queue>, turn: &mut Turn) -> Option<(Entry, usize)> {
    loop {
        let (sender, loaded) = channel();
        let waiter: Arc<dyn HeadWaiter> = Arc::new(Loaded(Mutex::new(sender)));
        match queue.get(false, &waiter, turn) {
            Got::Message(taken) => return Some(taken),
            Got::Empty => return None,
            Got::Away => {
                broker.finish(turn);
                loaded.recv_timeout(LOAD_TIMEOUT).ok()?;
            }
        }
    }
}

fn describe(entry: &Entry, left: usize, base64: bool, truncate: usize) -> Value {
    let message = &entry.message;
    let body = message.body();
    let shown = &body[..body.len().min(truncate)];
    let (payload, encoding) = match std::str::from_utf8(shown) {
        Ok(text) if !base64 => (text.to_owned(), "string"),
        _ => (STANDARD.encode(shown), "base64"),
    };
    let header = message.delivered_header();
    let properties = parse_properties(header.get(12..).unwrap_or_default());
    json!({
        "payload_bytes": body.len(),
        "redelivered": entry.redelivered,
        "exchange": message.exchange(),
        "routing_key": message.routing_key(),
        "message_count": left,
        "properties": properties.map(|p| describe_properties(&p)).unwrap_or_default(),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

fn describe_properties(properties: &Properties<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    let mut text = |name: &str, value: Option<&[u8]>| {
        if let Some(value) = value {
            let value = String::from_utf8_lossy(value);
            object.insert(name.to_owned(), Value::from(value));
        }
    };
    text("content_type", properties.content_type);
    text("content_encoding", properties.content_encoding);
    text("correlation_id", properties.correlation_id);
    text("reply_to", properties.reply_to);
    text("expiration", properties.expiration);
    text("message_id", properties.message_id);
    text("type", properties.type_);
    text("user_id", properties.user_id);
    text("app_id", properties.app_id);
    text("cluster_id", properties.cluster_id);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    let headers = properties.headers.map(fields_from_table);
    put(
        "headers",
        headers.map(|table| Value::Object(from_table(&table))),
    );
    put("delivery_mode", properties.delivery_mode.map(Value::from));
    put("priority", properties.priority.map(Value::from));
    put("timestamp", properties.timestamp.map(Value::from));
    object
}
