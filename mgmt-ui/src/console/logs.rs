//! `GET /api/console/logs`: the last lines of the node's log, and, to who accepts server-sent
//! events, each new one as it is written.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Context;
use crate::http::{ApiError, Monitor, Query};
use crate::{LogLine, ProgramLog, Severity, write_time};

/// Lines of an answer, or of the beginning of a stream, unless another number is asked for.
const LINES: usize = 1000;
/// New lines are sent together, so often.
const PACE: Duration = Duration::from_millis(250);

/// Answers `{"items":[...]}` or a stream of events `lines` with the same.
pub(crate) async fn logs(
    State(app): State<Context>,
    Monitor(_): Monitor,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let severity = query.get("level").filter(|level| !level.is_empty());
    let severity = severity.map_or(Some(Severity::Debug), Severity::parse);
    let severity =
        severity.ok_or_else(|| ApiError::bad_request("level is error, warning, info or debug"))?;
    let most = query.get("limit").filter(|limit| !limit.is_empty());
    let most = most.map_or(Ok(LINES), str::parse);
    let most = most.map_err(|_| ApiError::bad_request("limit is a number of lines"))?;
    let text = query.get("text").unwrap_or_default().to_lowercase();
    let log = app.info.program.log();
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accepted.is_some_and(|accept| accept.contains("text/event-stream")) {
        let (lines, _) = log.after(0, severity, &text, most);
        return Ok(Json(shown(&lines)).into_response());
    }
    let reader = Reader {
        news: log.watch(),
        log,
        severity,
        text,
        first: Some(most),
        sent: 0,
    };
    let events = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(20));
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

struct Reader {
    log: Arc<ProgramLog>,
    news: watch::Receiver<u64>,
    severity: Severity,
    text: String,
    /// How many lines the stream begins with; `None` once it has begun.
    first: Option<usize>,
    /// The last line that was looked at.
    sent: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let first = self.first.take();
            if first.is_none() {
                self.news.changed().await.ok()?;
                tokio::time::sleep(PACE).await;
                self.news.mark_unchanged();
            }
            let most = first.unwrap_or(LINES);
            let (lines, last) = self.log.after(self.sent, self.severity, &self.text, most);
            self.sent = last;
            if first.is_some() || !lines.is_empty() {
                let data = shown(&lines).to_string();
                return Some(Event::default().event("lines").data(data));
            }
        }
    }
}

fn shown(lines: &[LogLine]) -> Value {
    let lines = lines.iter().map(|line| {
        let mut time = String::new();
        // Strings take everything.
        let _ = write_time(&mut time, line.at);
        json!({
            "number": line.number,
            "at_ms": line.at.as_millis() as u64,
            "time": time,
            "level": line.severity.name(),
            "text": &*line.text,
        })
    });
    json!({ "items": lines.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GUEST, Node, basic};

    #[tokio::test]
    async fn lines_are_listed_and_followed() {
        let node = Node::start().await;
        let log = node.info().program.log();
        let add = |severity, text| log.add(Duration::from_micros(1_000_001), severity, text);
        add(Severity::Info, "first");
        add(Severity::Error, "second");
        let all = node.get("/api/console/logs", Some(GUEST)).await.json();
        assert_eq!(all["items"][0]["text"], "first");
        assert_eq!(all["items"][0]["at_ms"], 1000);
        assert_eq!(all["items"][0]["time"], "1970-01-01 00:00:01.000001+00:00");
        let last = "/api/console/logs?limit=1";
        let last = node.get(last, Some(GUEST)).await.json();
        assert_eq!(last["items"].as_array().unwrap().len(), 1);
        assert_eq!(last["items"][0]["text"], "second");
        let none = node.get("/api/console/logs?limit=x", Some(GUEST)).await;
        assert_eq!(none.status, 400);
        let bad = "/api/console/logs?level=error";
        let bad = node.get(bad, Some(GUEST)).await.json();
        assert_eq!(bad["items"].as_array().unwrap().len(), 1);
        let none = node.get("/api/console/logs?level=x", Some(GUEST)).await;
        assert_eq!(none.status, 400);
        node.add_user("plain", &["management"]);
        let plain = basic("plain", "pw");
        let refused = node.get("/api/console/logs", Some(&plain)).await;
        assert_eq!(refused.status, 401);

        let mut events = node.events("/api/console/logs?text=THIRD").await;
        events.until(r#"{"items":[]}"#).await;
        let mut new = node.events("/api/console/logs?limit=0").await;
        new.until(r#"{"items":[]}"#).await;
        add(Severity::Warning, "the third");
        for events in [&mut events, &mut new] {
            let all = events.until("the third").await;
            assert!(!all.contains("second"), "{all}");
        }
    }
}
