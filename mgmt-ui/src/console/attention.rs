//! `GET /api/console/attention`: what an operator should look at now, the worst first.
//!
//! Growth is seen by comparing with what was seen before, so the watch keeps a few numbers per
//! queue that has messages; it looks at most every few seconds, however many ask.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use parking_lot::Mutex;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;

use crate::Context;
use crate::http::{ApiError, Manager, blocking};

/// A queue that has grown, and never shrunk, for this long is growing.
const GROWING: Duration = Duration::from_secs(120);
/// How often the queues are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What was seen of the queues.
#[derive(Default)]
pub(crate) struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    queues: HashMap<u64, Trend>,
}

#[derive(Clone, Copy)]
struct Trend {
    last: usize,
    since: Instant,
    from: usize,
}

impl Seen {
    /// Notes a depth; how much the queue has grown by, once it has grown for long enough.
    fn note(&mut self, queue: u64, depth: usize, now: Instant) -> Option<usize> {
        let trend = self.queues.entry(queue).or_insert(Trend {
            last: depth,
            since: now,
            from: depth,
        });
        if depth < trend.last || depth == 0 {
            (trend.since, trend.from) = (now, depth);
        }
        trend.last = depth;
        let grown = depth.saturating_sub(trend.from);
        (grown > 0 && now.duration_since(trend.since) >= GROWING).then_some(grown)
    }
}

/// Answers `{"items":[{"kind","severity","title","detail","page"?}]}`.
pub(crate) async fn attention(
    State(app): State<Context>,
    Manager(user): Manager,
) -> Result<Json<Value>, ApiError> {
    blocking(move || look(&app, &user)).await.map(Json)
}

fn look(app: &Context, user: &AuthenticatedUser) -> Value {
    let mut items = alarms(app);
    let now = Instant::now();
    let mut seen = app.console.watch.seen.lock();
    if seen
        .looked
        .is_none_or(|looked| now.duration_since(looked) >= LOOK)
    {
        seen.looked = Some(now);
    }
    let mut waiting: Vec<(usize, String)> = Vec::new();
    let mut growing: Vec<(usize, String)> = Vec::new();
    let mut alive = HashMap::new();
    for queue in super::visible_vhosts(app, user)
        .iter()
        .flat_map(|vhost| vhost.queues())
    {
        let depth = queue.depth();
        if depth.ready == 0 && depth.unacked == 0 {
            continue;
        }
        if depth.consumers == 0 && depth.ready > 0 {
            waiting.push((depth.ready, queue.name().to_owned()));
        }
        if let Some(grown) = seen.note(queue.id().0, depth.ready, now) {
            growing.push((grown, queue.name().to_owned()));
        }
        if let Some(trend) = seen.queues.get(&queue.id().0) {
            alive.insert(queue.id().0, *trend);
        }
    }
    if user.may_monitor() {
        // Queues that are gone or empty are forgotten; who sees only some forgets none.
        seen.queues = alive;
    }
    drop(seen);
    items.extend(about(
        growing,
        "growing",
        |n| format!("{} growing", queues(n, "is", "are")),
        |name, n| {
            format!(
                "{name} has {} more messages than it had, and has not shrunk since.",
                grouped(n)
            )
        },
    ));
    items.extend(about(
        waiting,
        "no-consumers",
        |n| format!("{} messages and no consumers", queues(n, "has", "have")),
        |name, n| format!("{name} holds {} messages nobody takes.", grouped(n)),
    ));
    json!({ "items": items })
}

fn alarms(app: &Context) -> Vec<Value> {
    let alarms = app.broker.alarms();
    alarms
        .resources()
        .map(|resource| {
            json!({
                "kind": format!("{resource}-alarm"),
                "severity": "critical",
                "title": format!("{} alarm", if resource == "memory" { "Memory" } else { "Disk" }),
                "detail": "Publishers are blocked until it clears; consumers are served.",
                "page": "node",
            })
        })
        .collect()
}

fn about(
    mut found: Vec<(usize, String)>,
    kind: &str,
    title: impl Fn(usize) -> String,
    detail: impl Fn(&str, usize) -> String,
) -> Option<Value> {
    found.sort_unstable_by(|a, b| b.cmp(a));
    let (n, name) = found.first()?;
    Some(json!({
        "kind": kind,
        "severity": "warning",
        "title": title(found.len()),
        "detail": detail(name, *n),
        "page": "queues",
    }))
}

fn queues(n: usize, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 queue {one}")
    } else {
        format!("{} queues {many}", grouped(n))
    }
}

fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steady_growth_counts() {
        let mut seen = Seen::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(seen.note(1, 10, at(0)), None);
        assert_eq!(seen.note(1, 20, at(60)), None);
        assert_eq!(seen.note(1, 30, at(120)), Some(20));
        assert_eq!(seen.note(1, 25, at(130)), None);
        assert_eq!(seen.note(1, 25, at(300)), None);
        assert_eq!(seen.note(1, 26, at(310)), Some(1));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(queues(1, "is", "are"), "1 queue is");
    }
}
