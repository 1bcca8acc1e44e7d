//! `GET /api/console/events?topic=<GET path>&...`: the answers of API paths as server-sent events,
//! each sent again when it has changed. One stream serves all that a page shows.
//!
//! A topic is asked for by a request of its own within the process, with the cookie or the
//! credentials of the stream: what a user may see is decided in one place.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use tower::ServiceExt;

use crate::Context;
use crate::http::auth::{Peer, Unattended};
use crate::http::{ApiError, Manager};

/// Topics of one stream at most.
const TOPICS_MAX: usize = 24;
/// An answer larger than this is not sent.
const ANSWER_MAX: usize = 4 << 20;
/// How often the topics are asked for.
const TICK: Duration = Duration::from_secs(1);
/// Lists and details, every so many ticks; overviews every one.
const SLOW: u32 = 2;

struct Topic {
    path: String,
    every: u32,
    last: Option<u64>,
}

struct Stream_ {
    app: Context,
    headers: HeaderMap,
    peer: Option<Peer>,
    topics: Vec<Topic>,
    tick: u32,
    at: usize,
}

/// Serves the stream.
pub(crate) async fn events(
    State(app): State<Context>,
    Manager(_): Manager,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>>, ApiError> {
    let topics = topics(query.as_deref().unwrap_or_default()).ok_or(ApiError::NotFound)?;
    let stream = Stream_ {
        app,
        headers: credentials(request.headers()),
        peer: request.extensions().get::<Peer>().copied(),
        topics,
        tick: 0,
        at: 0,
    };
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok(event), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
}

fn topics(query: &str) -> Option<Vec<Topic>> {
    let mut topics = Vec::new();
    for pair in query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("topic="))
    {
        let path = percent_encoding::percent_decode_str(&pair.replace('+', " "))
            .decode_utf8()
            .ok()?
            .into_owned();
        let allowed = path.starts_with("/api/") && !path.starts_with("/api/console/events");
        if !allowed || topics.len() == TOPICS_MAX {
            return None;
        }
        let fast = path.starts_with("/api/overview") || path.starts_with("/api/console/jobs");
        topics.push(Topic {
            path,
            every: if fast { 1 } else { SLOW },
            last: None,
        });
    }
    // A stream of nothing would never wait.
    (!topics.is_empty()).then_some(topics)
}

/// What says who asks.
fn credentials(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "authorization" | "cookie"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Stream_ {
    /// The next event; none when the login is no longer good.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.at == self.topics.len() {
                self.at = 0;
                self.tick = self.tick.wrapping_add(1);
                tokio::time::sleep(TICK).await;
            }
            let index = self.at;
            self.at += 1;
            let topic = &self.topics[index];
            if topic.last.is_some() && !self.tick.is_multiple_of(topic.every) {
                continue;
            }
            let (status, body) = self.ask(&topic.path).await;
            if status == StatusCode::UNAUTHORIZED && body.is_empty() {
                return None;
            }
            let mut hasher = DefaultHasher::new();
            (status.as_u16(), &body).hash(&mut hasher);
            let hash = Some(hasher.finish());
            let topic = &mut self.topics[index];
            if topic.last == hash {
                continue;
            }
            topic.last = hash;
            return Some(event(&topic.path, status, &body));
        }
    }

    async fn ask(&self, path: &str) -> (StatusCode, String) {
        let failed = (StatusCode::BAD_REQUEST, String::new());
        let Some(router) = self.app.router.get() else {
            return failed;
        };
        let Ok(mut request) = Request::get(path).body(Body::empty()) else {
            return failed;
        };
        *request.headers_mut() = self.headers.clone();
        request.extensions_mut().insert(Unattended);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let Ok(response) = router.clone().oneshot(request).await;
        let status = response.status();
        match axum::body::to_bytes(response.into_body(), ANSWER_MAX).await {
            Ok(bytes) => (status, String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
        }
    }
}

fn event(path: &str, status: StatusCode, body: &str) -> Event {
    let topic = serde_json::Value::from(path);
    if status.is_success() && !body.is_empty() {
        return Event::default()
            .event("data")
            .data(format!("{{\"topic\":{topic},\"data\":{body}}}"));
    }
    let reason = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|body| body["reason"].as_str().map(str::to_owned))
        .unwrap_or_else(|| status.to_string());
    let gone = serde_json::json!({ "topic": path, "status": status.as_u16(), "reason": reason });
    Event::default().event("gone").data(gone.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_api_paths() {
        let found = topics("topic=%2Fapi%2Foverview%3Fa%3D1&topic=/api/queues%3Fpage%3D1").unwrap();
        let found: Vec<_> = found.iter().map(|t| (t.path.as_str(), t.every)).collect();
        assert_eq!(
            found,
            [("/api/overview?a=1", 1), ("/api/queues?page=1", SLOW)]
        );
        assert!(topics("").is_none());
        assert!(topics("topic=%2Fconsole%2Fapp.css").is_none());
        assert!(topics("topic=%2Fapi%2Fconsole%2Fevents").is_none());
        assert!(topics(&"topic=/api/x&".repeat(TOPICS_MAX + 1)).is_none());
    }

    #[test]
    fn only_credentials_go_on() {
        let headers = HeaderMap::from_iter([
            ("cookie".parse().unwrap(), "a=b".parse().unwrap()),
            ("last-event-id".parse().unwrap(), "1".parse().unwrap()),
        ]);
        assert_eq!(credentials(&headers).len(), 1);
    }
}
