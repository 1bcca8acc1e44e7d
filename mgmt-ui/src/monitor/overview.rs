//! `GET /api/overview`: the node in one object.

use axum::extract::State;
use warren_broker::ExchangeKind;
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::{EVENTS, NodeStats};

use super::{listeners, visible_connections, written};
use crate::http::{ApiError, Manager, Query, Routes};
use crate::view::details::{DELIVER, FINE, FINE_AND_DISK, put_numbers};
use crate::view::json::Written;
use crate::view::{Json, Listing, Object, message_stats};
use crate::{Context, PRODUCT, RABBITMQ_VERSION};

pub(super) fn routes() -> Routes {
    Routes::new("Overview")
        .get("/overview", "The node in one object", overview)
        .query(
            "lengths_age",
            "How far back samples of queue lengths go, seconds",
        )
        .query("lengths_incr", "Time between them, seconds")
        .query(
            "msg_rates_age",
            "How far back samples of message counters go, seconds",
        )
        .query("msg_rates_incr", "Time between them, seconds")
        .query("disable_stats", "`true`: counts of objects only")
        .query("columns", "Fields to keep, separated by commas")
}

/// Answers with the whole node to those who may monitor it, and with the vhosts they have a
/// permission in to others.
async fn overview(
    State(ctx): State<Context>,
    Manager(user): Manager,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || {
        let listing = Listing::of(&query)?;
        let object = describe(&ctx, &user, &listing);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

fn describe(ctx: &Context, user: &AuthenticatedUser, listing: &Listing) -> Object {
    let mut answer = Object::new();
    answer.put("management_version", ctx.info.version);
    answer.put("rates_mode", rates_mode(ctx));
    answer.put("sample_retention_policies", retention());
    answer.put("exchange_types", exchange_types());
    answer.put("product_version", ctx.info.version);
    answer.put("product_name", PRODUCT);
    answer.put("rabbitmq_version", RABBITMQ_VERSION);
    answer.put("cluster_name", ctx.broker.cluster_name());
    answer.put("cluster_tags", cluster_tags(ctx));
    answer.put("node_tags", Object::new());
    // There is no Erlang; user interfaces print these two all the same.
    answer.put("erlang_version", "n/a");
    answer.put("erlang_full_version", "n/a");
    answer.put("release_series_support_status", "supported");
    answer.put("disable_stats", listing.disable_stats);
    answer.put("enable_queue_totals", listing.queue_totals);
    answer.put(
        "default_queue_type",
        ctx.broker.default_queue_type().to_owned(),
    );
    // Not RabbitMQ's: what a confirm stands for.
    answer.put("durability", ctx.broker.settings().durability.as_str());
    answer.put("is_op_policy_updating_enabled", true);
    if user.may_monitor() {
        whole_node(ctx, listing, &mut answer);
    } else {
        permitted(ctx, user, listing, &mut answer);
    }
    answer
}

/// How much is counted: `detailed` tells pairs of objects apart.
pub(super) fn rates_mode(ctx: &Context) -> &'static str {
    match ctx.broker.stats().sampler().keeps_pairs() {
        true => "detailed",
        false => "basic",
    }
}

/// The global parameter of that name, when it is an object.
fn cluster_tags(ctx: &Context) -> Object {
    let state = ctx.broker.catalog().read();
    let tags = state.global_parameter("cluster_tags");
    tags.and_then(|tags| tags.as_object())
        .map(Object::from)
        .unwrap_or_default()
}

/// Ages of samples in seconds, by kind of object.
fn retention() -> Object {
    let ages = |ages: &[u64]| ages.iter().map(|age| Json::Uint(*age)).collect::<Vec<_>>();
    let mut policies = Object::new();
    policies.put("global", ages(&[600, 3600, 28_800, 86_400]));
    policies.put("basic", ages(&[600, 3600]));
    policies.put("detailed", ages(&[600]));
    policies
}

pub(super) fn exchange_types() -> Vec<Json> {
    let described = ExchangeKind::all().map(|name| {
        let mut kind = Object::new();
        kind.put("name", name);
        let standard = matches!(name, "direct" | "fanout" | "headers" | "topic");
        let text = match standard {
            true => format!("AMQP {name} exchange, as per the AMQP specification"),
            false => format!("Exchange type {name}"),
        };
        kind.put("description", text);
        kind.put("enabled", true);
        kind.into()
    });
    described.collect()
}

fn whole_node(ctx: &Context, listing: &Listing, answer: &mut Object) {
    let totals = ctx.broker.object_totals();
    let stats = &**ctx.broker.stats();
    let node = ctx.broker.settings().node_name.clone();
    let mut objects = Object::new();
    objects.put("connections", totals.connections);
    objects.put("exchanges", totals.exchanges);
    objects.put("queues", totals.queues);
    if listing.disable_stats {
        answer.put("node", node);
        if listing.queue_totals {
            let (ready, unacked) = stats.depth();
            answer.put("queue_totals", plain_totals(ready, unacked));
        }
        answer.put("object_totals", objects);
        return;
    }
    objects.put("channels", totals.channels);
    objects.put("consumers", totals.consumers);
    let families = [FINE_AND_DISK, DELIVER];
    let window = listing.windows.messages;
    // An object even before anything happened: user interfaces look into it.
    let messages = message_stats(stats, &stats.messages(), &families, window);
    answer.put("message_stats", messages.unwrap_or_default());
    answer.put("churn_rates", churn(stats, listing));
    let (ready, unacked) = stats.depth();
    let mut lengths = Object::new();
    let all = [ready, unacked, ready + unacked];
    super::vhosts::put_lengths(&mut lengths, stats, listing.windows.lengths, all);
    answer.put("queue_totals", lengths);
    answer.put("object_totals", objects);
    answer.put("statistics_db_event_queue", 0u64);
    answer.put("node", node);
    answer.put("listeners", listeners::listed(ctx));
    answer.put("contexts", listeners::contexts(ctx, true));
}

fn churn(stats: &NodeStats, listing: &Listing) -> Object {
    let values = stats.churn();
    let numbers: [_; 7] = std::array::from_fn(|index| (NodeStats::CHURN[index], values[index]));
    let mut rates = Object::new();
    let window = listing.windows.lengths;
    put_numbers(&mut rates, stats, window, NodeStats::CHURN_AT, numbers);
    rates
}

/// The same totals over the vhosts a user has a permission in, and the user's own connections.
fn permitted(ctx: &Context, user: &AuthenticatedUser, listing: &Listing, answer: &mut Object) {
    let (mut exchanges, mut queues, mut ready, mut unacked) = (0, 0, 0, 0);
    let mut counts = [0; EVENTS];
    for vhost in ctx.readable_vhosts(user) {
        exchanges += vhost.exchange_count();
        queues += vhost.queue_count();
        ready += vhost.stats().ready();
        unacked += vhost.stats().unacked();
        for (sum, n) in counts.iter_mut().zip(vhost.stats().messages.all()) {
            *sum += n;
        }
    }
    let own = visible_connections(ctx, user, None);
    let mut objects = Object::new();
    objects.put("connections", own.len());
    objects.put("exchanges", exchanges);
    objects.put("queues", queues);
    if !listing.disable_stats {
        let channels = own.iter().map(|c| c.live().channel_count());
        objects.put("channels", channels.sum::<usize>());
        answer.put("message_stats", plain_counts(&counts));
    }
    answer.put("queue_totals", plain_totals(ready, unacked));
    answer.put("object_totals", objects);
}

/// Totals without history: they were never sampled together.
fn plain_totals(ready: u64, unacked: u64) -> Object {
    let mut totals = Object::new();
    totals.put("messages", ready + unacked);
    totals.put("messages_ready", ready);
    totals.put("messages_unacknowledged", unacked);
    totals
}

fn plain_counts(counts: &[u64; EVENTS]) -> Object {
    let mut shown = Object::new();
    for event in [FINE, DELIVER].concat() {
        if counts.iter().any(|n| *n > 0) {
            shown.put(event.name(), counts[event as usize]);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use crate::testing::{GUEST, Node, basic};

    #[tokio::test]
    async fn an_administrator_sees_the_node() {
        let node = Node::start().await;
        let answer = node.get("/api/overview", Some(GUEST)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let overview = answer.json();
        assert_eq!(overview["product_name"], "Warren");
        assert_eq!(overview["durability"], "fsync");
        assert_eq!(overview["product_version"], "9.9.9");
        assert_eq!(overview["rabbitmq_version"], "3.13.7");
        assert_eq!(overview["node"], "warren@test");
        assert_eq!(overview["cluster_name"], "test-cluster");
        assert_eq!(overview["object_totals"]["queues"], 0);
        assert_eq!(overview["object_totals"]["connections"], 0);
        assert!(overview["object_totals"]["exchanges"].as_u64().unwrap() >= 7);
        assert_eq!(overview["queue_totals"]["messages"], 0);
        assert_eq!(overview["listeners"][0]["protocol"], "amqp");
        assert_eq!(overview["listeners"][0]["port"], 5672);
        assert!(overview["contexts"][0]["port"].is_string());
        assert_eq!(overview["exchange_types"].as_array().unwrap().len(), 10);
        assert_eq!(overview["message_stats"], serde_json::json!({}));
    }

    #[tokio::test]
    async fn nothing_in_it_is_null() {
        let node = Node::start().await;
        let text = node.get("/api/overview", Some(GUEST)).await.body;
        assert!(!text.contains("null"), "{text}");
    }

    #[tokio::test]
    async fn others_see_the_vhosts_they_are_permitted() {
        let node = Node::start().await;
        node.add_user("alice", &["management"]);
        let overview = node
            .get("/api/overview", Some(&basic("alice", "pw")))
            .await
            .json();
        assert_eq!(overview["object_totals"]["exchanges"], 0);
        assert!(overview["object_totals"].get("consumers").is_none());
        for field in ["node", "listeners", "contexts", "churn_rates"] {
            assert!(overview.get(field).is_none(), "{field}");
        }
        node.permit("alice", "/");
        let overview = node
            .get("/api/overview", Some(&basic("alice", "pw")))
            .await
            .json();
        assert!(overview["object_totals"]["exchanges"].as_u64().unwrap() >= 7);
    }
}
