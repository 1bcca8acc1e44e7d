//! `GET /api/console/attention`: what an operator should look at now, the worst first.
//!
//! Growth and standstill are seen by comparing with what was seen before, so the watch keeps a few
//! numbers per queue that has messages and per consumer that can take no more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use parking_lot::Mutex;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::{ConnectionState, NodeStats, Sampled, Window};
use warren_broker::{ConsumerInfo, ConsumerLoad, Queue, Vhost};

use crate::Context;
use crate::act::now_ms;
use crate::http::{ApiError, Manager, blocking};

/// A queue that has grown, and never shrunk, for this long is growing.
const GROWING: Duration = Duration::from_secs(120);
/// A consumer that holds all it may and has settled nothing for this long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// What reached no queue matters for so long, milliseconds.
const UNROUTABLE_MS: u64 = 5 * 60 * 1000;

/// So many connections opened and closed within a minute are churn.
const CONNECTIONS_CHURN: u64 = 60;
/// Likewise channels.
const CHANNELS_CHURN: u64 = 300;

/// What was seen of queues and consumers.
#[derive(Default)]
pub(crate) struct Watch {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    queues: HashMap<u64, Trend>,
    consumers: HashMap<u64, Standstill>,
}

#[derive(Clone, Copy)]
struct Trend {
    last: usize,
    since: Instant,
    from: usize,
}

/// Since when a full consumer has settled nothing.
#[derive(Clone, Copy)]
struct Standstill {
    settled: u64,
    since: Instant,
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

    /// Notes how a consumer that can take no more does; whether it has stood still for too long.
    fn stands(&mut self, consumer: u64, settled: u64, now: Instant) -> bool {
        let seen = self.consumers.entry(consumer).or_insert(Standstill {
            settled,
            since: now,
        });
        if seen.settled != settled {
            (seen.settled, seen.since) = (settled, now);
        }
        now.duration_since(seen.since) >= STUCK
    }
}

/// What was found among the queues.
#[derive(Default)]
struct Found {
    waiting: Vec<(usize, String)>,
    growing: Vec<(usize, String)>,
    stuck: Vec<(usize, String)>,
    paused: Vec<(usize, String)>,
    alive: Seen,
}

impl Found {
    fn look(&mut self, queue: &Queue, seen: &mut Seen, now: Instant) {
        let (depth, id) = (queue.depth(), queue.id().0);
        let name = || queue.name().to_owned();
        if queue.paused() {
            self.paused.push((depth.ready, name()));
        }
        if depth.ready == 0 && depth.unacked == 0 {
            return;
        }
        if depth.consumers == 0 && depth.ready > 0 {
            self.waiting.push((depth.ready, name()));
        }
        if let Some(grown) = seen.note(id, depth.ready, now) {
            self.growing.push((grown, name()));
        }
        if let Some(trend) = seen.queues.get(&id) {
            self.alive.queues.insert(id, *trend);
        }
        if depth.unacked == 0 || depth.consumers == 0 {
            return;
        }
        let full = |info: &ConsumerInfo, load: ConsumerLoad| {
            info.prefetch > 0 && load.in_flight >= info.prefetch && !load.paused
        };
        queue.each_consumer_load(|info, load| {
            if !full(info, load) {
                return;
            }
            if seen.stands(info.id.0, load.settled, now) {
                let text = format!("{} on {}", info.tag, queue.name());
                self.stuck.push((load.in_flight as usize, text));
            }
            if let Some(still) = seen.consumers.get(&info.id.0) {
                self.alive.consumers.insert(info.id.0, *still);
            }
        });
    }

    fn items(self, items: &mut Vec<Value>) {
        let Self {
            waiting,
            growing,
            stuck,
            paused,
            alive: _,
        } = self;
        let page = ("consumers", "unacked>0");
        items.extend(about(stuck, "stuck", page, |all, n, name| {
            let are = plural(all, "consumer is", "consumers are");
            (
                format!("{are} stuck"),
                format!(
                    "{name} holds {} unacked, all it may, and has settled nothing for half a minute.",
                    grouped(n)
                ),
            )
        }));
        let grows = |all, n, name: &str| {
            let are = plural(all, "queue is", "queues are");
            (
                format!("{are} growing"),
                format!(
                    "{name} has {} more messages than it had, and has not shrunk since.",
                    grouped(n)
                ),
            )
        };
        items.extend(about(growing, "growing", ("queues", "ready>0"), grows));
        let page = ("queues", "ready>0 no:consumers");
        items.extend(about(waiting, "no-consumers", page, |all, n, name| {
            let have = plural(all, "queue has", "queues have");
            let messages = plural(n, "message", "messages");
            (
                format!("{have} messages and no consumers"),
                format!("{name} holds {messages} nobody takes."),
            )
        }));
        let page = ("queues", "is:paused");
        items.extend(about(paused, "paused", page, |all, n, name| {
            let are = plural(all, "queue is", "queues are");
            let messages = plural(n, "message", "messages");
            (
                format!("{are} paused by hand"),
                format!("{name} holds back {messages}; resume it when you are done."),
            )
        }));
    }
}

/// Answers `{"items":[{"kind","severity","title","detail","page","filter"}]}`: `page` and `filter`
/// lead to the list of what is meant.
pub(crate) async fn attention(
    State(app): State<Context>,
    Manager(user): Manager,
) -> Result<Json<Value>, ApiError> {
    blocking(move || look(&app, &user)).await.map(Json)
}

fn look(app: &Context, user: &AuthenticatedUser) -> Value {
    let mut items = alarms(app);
    let now = Instant::now();
    let vhosts = super::visible_vhosts(app, user);
    let mut found = Found::default();
    let mut seen = app.console.watch.seen.lock();
    for queue in vhosts.iter().flat_map(|vhost| vhost.queues()) {
        found.look(&queue, &mut seen, now);
    }
    if user.may_monitor() {
        // What is gone or well is forgotten; who sees only some forgets none.
        *seen = std::mem::take(&mut found.alive);
    }
    drop(seen);
    items.extend(blocked(app, user));
    found.items(&mut items);
    items.extend(vhosts.iter().filter_map(|vhost| dead_letters(vhost)));
    items.extend(vhosts.iter().filter_map(|vhost| unroutable(vhost)));
    if user.may_monitor() {
        items.extend(churn(minute_of_churn(app)));
    }
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

/// Publishers that an alarm has stopped.
fn blocked(app: &Context, user: &AuthenticatedUser) -> Option<Value> {
    let mut blocked = app.broker.connections();
    blocked.retain(|connection| {
        let live = connection.live();
        live.state() == ConnectionState::Blocked
            && (user.may_monitor() || live.info.user == user.name)
    });
    let first = blocked.first()?.name();
    let are = plural(blocked.len(), "publisher is", "publishers are");
    Some(json!({
        "kind": "blocked",
        "severity": "critical",
        "title": format!("{are} blocked"),
        "detail": format!("{first} has published while an alarm is on and is not read until it clears."),
        "page": "connections",
        "filter": "state:blocked",
    }))
}

/// What died lately, and the queues it went to.
fn dead_letters(vhost: &Vhost) -> Option<Value> {
    let dead = vhost.stats().dead_lately(now_ms());
    let most = dead.first()?;
    let messages: u64 = dead.iter().map(|place| place.messages).sum();
    let mut targets: Vec<&str> = dead.iter().filter_map(|d| d.target.as_deref()).collect();
    targets.sort_unstable();
    targets.dedup();
    let died = match most.reason {
        "rejected" => "rejected by its consumers",
        "expired" => "past their time to live",
        "maxlen" => "pushed out by its length limit",
        _ => "delivered too often",
    };
    let went = match &most.target {
        Some(target) => format!("they go to {target}"),
        None => "they reach no queue".to_owned(),
    };
    let of_it = plural(most.messages as usize, "message", "messages");
    let were = plural(
        messages as usize,
        "message was dead-lettered",
        "messages were dead-lettered",
    );
    Some(json!({
        "kind": "dead-letters",
        "severity": "warning",
        "title": format!("{were} in five minutes"),
        "detail": format!("{} lost {of_it}, {died}; {went}.", most.queue),
        "page": "queues",
        "filter": named(if targets.is_empty() { vec![&most.queue] } else { targets }),
        "vhost": &**vhost.name(),
    }))
}

/// A filter of lists for these names.
fn named(names: Vec<&str>) -> String {
    let names: Vec<String> = names.into_iter().map(regex::escape).collect();
    // A quote would end the word.
    format!("\"name~^({})$\"", names.join("|").replace('"', "."))
}

/// What came and went within the last minute: connections and channels, opened and closed.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    connections: (u64, u64),
    channels: (u64, u64),
}

fn minute_of_churn(app: &Context) -> Minute {
    let stats = app.broker.stats();
    let window = Window {
        age_s: 60,
        incr_s: 5,
    };
    let history = stats.track().history(&**stats, window);
    let change = |name: &str| {
        let index = NodeStats::CHURN.iter().position(|known| *known == name);
        let column = history.column(NodeStats::CHURN_AT + index.unwrap_or_default());
        let (newest, oldest) = (column.clone().next(), column.last());
        let (newest, oldest) = (newest.unwrap_or_default(), oldest.unwrap_or_default());
        newest.saturating_sub(oldest)
    };
    Minute {
        connections: (change("connection_created"), change("connection_closed")),
        channels: (change("channel_created"), change("channel_closed")),
    }
}

/// Clients that come and go instead of staying. What only comes, or only goes, is a start or a
/// stop.
fn churn(minute: Minute) -> Vec<Value> {
    let item = |kind: &str, (opened, closed): (u64, u64), most: u64, filter: &str, advice: &str| {
        let counted = opened.min(closed);
        (counted >= most).then(|| {
            let (opened, closed) = (grouped(opened as usize), grouped(closed as usize));
            json!({
                "kind": format!("{kind}-churn"),
                "severity": "warning",
                "title": format!("{opened} {kind}s opened in a minute"),
                "detail": format!("{closed} were closed in the same minute. {advice}"),
                "page": format!("{kind}s"),
                "filter": filter,
                // The newest of them first.
                "sort": if kind == "connection" { "connected_at" } else { "name" },
            })
        })
    };
    let connections = "Clients should keep one connection open and use it again.";
    let channels = "Clients should keep channels open instead of opening one per message.";
    let mut items = Vec::new();
    items.extend(item(
        "connection",
        minute.connections,
        CONNECTIONS_CHURN,
        "",
        connections,
    ));
    // A connection brings channels of its own: those are counted once.
    let of_channels = minute.channels;
    let of_connections = minute.connections.0.min(minute.connections.1);
    if of_channels.0.min(of_channels.1) > 2 * of_connections {
        items.extend(item("channel", of_channels, CHANNELS_CHURN, "", channels));
    }
    items
}

/// What lately reached no queue.
fn unroutable(vhost: &Vhost) -> Option<Value> {
    let since = now_ms().saturating_sub(UNROUTABLE_MS);
    let mut recent = vhost.stats().unroutable();
    recent.retain(|place| place.last_ms >= since);
    let latest = recent.first()?;
    let exchange = match latest.exchange.as_str() {
        "" => "the default exchange",
        name => name,
    };
    let messages: u64 = recent.iter().map(|place| place.messages).sum();
    let reach = plural(messages as usize, "message", "messages");
    Some(json!({
        "kind": "unroutable",
        "severity": "warning",
        "title": format!("{reach} reached no queue"),
        "detail": format!(
            "The latest went to {exchange} with key \"{}\" in {}.",
            latest.routing_key,
            vhost.name()
        ),
        "page": "route",
        "vhost": &**vhost.name(),
    }))
}

/// An item about objects of which the largest is named; `text` gets how many there are, the size
/// and the name of that one, and answers title and detail.
fn about(
    mut found: Vec<(usize, String)>,
    kind: &str,
    (page, filter): (&str, &str),
    text: impl Fn(usize, usize, &str) -> (String, String),
) -> Option<Value> {
    found.sort_unstable_by(|a, b| b.cmp(a));
    let (n, name) = found.first()?;
    let (title, detail) = text(found.len(), *n, name);
    Some(json!({
        "kind": kind,
        "severity": "warning",
        "title": title,
        "detail": detail,
        "page": page,
        "filter": filter,
    }))
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
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
    fn only_a_consumer_that_settles_nothing_is_stuck() {
        let mut seen = Seen::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!seen.stands(1, 5, at(0)));
        assert!(!seen.stands(1, 5, at(29)));
        assert!(seen.stands(1, 5, at(30)));
        assert!(!seen.stands(1, 6, at(31)));
        assert!(!seen.stands(1, 6, at(60)));
        assert!(seen.stands(1, 6, at(61)));
    }

    #[test]
    fn churn_is_coming_and_going() {
        let kinds = |connections, channels| -> Vec<String> {
            let minute = Minute {
                connections,
                channels,
            };
            let kind = |item: &Value| item["kind"].as_str().unwrap().to_owned();
            churn(minute).iter().map(kind).collect()
        };
        assert_eq!(kinds((59, 500), (299, 500)), [""; 0]);
        assert_eq!(kinds((500, 3), (0, 0)), [""; 0], "a start");
        assert_eq!(kinds((60, 60), (60, 60)), ["connection-churn"]);
        assert_eq!(kinds((0, 0), (300, 300)), ["channel-churn"]);
        assert_eq!(
            kinds((400, 400), (400, 400)),
            ["connection-churn"],
            "their channels come with them"
        );
    }

    #[test]
    fn a_filter_names_exactly_these() {
        assert_eq!(named(vec!["a.b", "c d"]), r#""name~^(a\.b|c d)$""#);
    }

    #[tokio::test]
    async fn dead_letters_are_told_with_where_they_went() {
        let node = crate::testing::Node::start().await;
        let arguments =
            r#"{"arguments":{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"dead"}}"#;
        node.send("PUT", "/api/queues/%2F/dead", "{}").await;
        node.send("PUT", "/api/queues/%2F/work", arguments).await;
        let message =
            r#"{"routing_key":"work","payload":"x","payload_encoding":"string","properties":{}}"#;
        for _ in 0..3 {
            let path = "/api/exchanges/%2F/amq.default/publish";
            assert_eq!(node.send("POST", path, message).await.status, 200);
        }
        let get = r#"{"count":3,"ackmode":"reject_requeue_false","encoding":"auto"}"#;
        node.send("POST", "/api/queues/%2F/work/get", get).await;
        let path = "/api/console/attention";
        let items = node.get(path, Some(crate::testing::GUEST)).await.json();
        let item = items["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["kind"] == "dead-letters")
            .unwrap();
        assert_eq!(
            item["title"],
            "3 messages were dead-lettered in five minutes"
        );
        assert_eq!(
            item["detail"],
            "work lost 3 messages, rejected by its consumers; they go to dead."
        );
        assert_eq!(item["filter"], r#""name~^(dead)$""#);
        let list = "/api/queues?page=1&filter=%22name~%5E(dead)%24%22";
        let list = node.get(list, Some(crate::testing::GUEST)).await.json();
        assert_eq!(list["filtered_count"], 1);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(plural(1_234_567, "queue", "queues"), "1,234,567 queues");
        assert_eq!(plural(1, "queue is", "queues are"), "1 queue is");
    }
}
