//! `GET /api/console/trace`: messages of a vhost as they pass, as server-sent events; a sample of
//! at most so many a second. For administrators: it shows bodies whoever may read their queues.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde_json::{Value, json};
use warren_broker::{Happening, LiveFilter, LiveTrace, Sighting};

use crate::Context;
use crate::act::now_ms;
use crate::http::{Administrator, ApiError, Query};

/// Messages a second, unless asked for fewer, and at most.
const RATE: u32 = 50;
const RATE_MAX: u32 = 200;
/// How often what has passed is sent.
const PACE: Duration = Duration::from_millis(250);
/// A look ends by itself after so many of those: a forgotten tab costs nothing for ever.
const PACES_MAX: u32 = 4 * 600;

/// Serves events `seen` with `{"at_ms","items":[...],"left_out"}`.
pub(crate) async fn trace(
    State(app): State<Context>,
    Administrator(_): Administrator,
    query: Query,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
    let vhost = text("vhost").unwrap_or("/");
    let vhost = app.broker.vhost(vhost).ok_or(ApiError::NotFound)?;
    let filter = LiveFilter {
        // The default exchange has no name of its own.
        exchange: text("exchange").map(|name| name.replace("amq.default", "")),
        key: text("key").map(str::to_owned),
        queue: text("queue").map(str::to_owned),
    };
    let rate = text("rate").and_then(|rate| rate.parse().ok());
    let rate = rate.unwrap_or(RATE).clamp(1, RATE_MAX);
    let budget = (rate / 4).max(1);
    let trace = LiveTrace::begin(&vhost, filter)
        .ok_or_else(|| ApiError::bad_request("too many look at this virtual host already"))?;
    let events = futures_util::stream::unfold((trace, 0), move |(trace, mut n)| async move {
        loop {
            let (seen, left_out) = trace.take(budget);
            n += 1;
            if n > PACES_MAX {
                return None;
            }
            if n == 1 || !seen.is_empty() || left_out > 0 {
                let items: Vec<Value> = seen.iter().map(shown).collect();
                let data = json!({ "at_ms": now_ms(), "items": items, "left_out": left_out });
                let event = Event::default().event("seen").data(data.to_string());
                return Some((Ok(event), (trace, n)));
            }
            tokio::time::sleep(PACE).await;
        }
    });
    let paced = paced(events);
    Ok(Sse::new(paced).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
}

/// No two events closer than the pace.
fn paced<T>(events: impl Stream<Item = T>) -> impl Stream<Item = T> {
    use futures_util::StreamExt;
    events.then(|event| async {
        tokio::time::sleep(PACE).await;
        event
    })
}

fn shown(seen: &Sighting) -> Value {
    let (what, queues, more) = match &seen.happening {
        Happening::Published(queues) => ("published", queues.clone(), Value::Null),
        Happening::Delivered(queue, again) => {
            ("delivered", vec![queue.clone()], Value::Bool(*again))
        }
        Happening::Died(queue, reason, to) => {
            let more = json!({ "queue": queue, "reason": reason });
            ("died", to.clone(), more)
        }
    };
    json!({
        "what": what,
        "queues": queues,
        "redelivered": more.as_bool(),
        "death": if more.is_object() { more } else { Value::Null },
        "exchange": seen.exchange,
        "routing_key": seen.routing_key,
        "client": seen.client.as_ref().map(|client| json!({
            "connection": client.connection,
            "name": client.name,
            "user": client.user,
            "channel": client.channel,
        })),
        "bytes": seen.bytes,
        "body": String::from_utf8_lossy(&seen.body),
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Node, basic};

    #[tokio::test]
    async fn a_death_is_seen_by_administrators_who_look() {
        let node = Node::start().await;
        let arguments =
            r#"{"arguments":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}}"#;
        node.send("PUT", "/api/queues/%2F/dead", "{}").await;
        node.send("PUT", "/api/queues/%2F/work", arguments).await;
        let vhost = node.broker.vhost("/").unwrap();
        let path = "/api/console/trace?vhost=%2F&queue=dead";
        let mut events = node.events(path).await;
        events.until(r#""items":[]"#).await;
        assert!(!vhost.traced(), "the firehose stays off");
        let message = r#"{"routing_key":"work","payload":"hello","payload_encoding":"string","properties":{}}"#;
        let path = "/api/exchanges/%2F/amq.default/publish";
        node.send("POST", path, message).await;
        let get = r#"{"count":1,"ackmode":"reject_requeue_false","encoding":"auto"}"#;
        node.send("POST", "/api/queues/%2F/work/get", get).await;
        events.until(r#""what":"died""#).await;
        events.until(r#""body":"hello""#).await;
        events.until(r#""reason":"rejected""#).await;

        node.add_user("watcher", &["monitoring"]);
        let watcher = basic("watcher", "pw");
        let refused = node.get("/api/console/trace", Some(&watcher)).await;
        assert_eq!(refused.status, 401);
    }
}
