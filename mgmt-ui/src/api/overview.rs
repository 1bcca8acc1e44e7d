//! `GET /api/overview`: the node in one object.
//!
//! Rates and message counters are left out until they are measured; absent is what RabbitMQ sends
//! for a node without statistics, and clients cope with it.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::NodeStats;

use crate::http::{ApiError, Manager, Routes, blocking};
use crate::{Context, PRODUCT, RABBITMQ_VERSION};

pub(super) fn routes() -> Routes {
    Routes::new("Overview").get("/overview", "The node or cluster in one object", overview)
}

/// Answers with the whole node to those who may monitor it, and with the vhosts they have a
/// permission in to others.
async fn overview(
    State(ctx): State<Context>,
    Manager(user): Manager,
) -> Result<Json<Value>, ApiError> {
    blocking(move || describe(&ctx, &user)).await.map(Json)
}

fn describe(ctx: &Context, user: &AuthenticatedUser) -> Value {
    let version = ctx.info.version;
    let settings = ctx.broker.settings();
    let mut answer = json!({
        "management_version": version,
        "rates_mode": "none",
        "exchange_types": exchange_types(),
        "product_version": version,
        "product_name": PRODUCT,
        "rabbitmq_version": RABBITMQ_VERSION,
        "cluster_name": settings.cluster_name,
        // There is no Erlang; user interfaces print these two all the same.
        "erlang_version": "n/a",
        "erlang_full_version": "n/a",
        "disable_stats": false,
        "enable_queue_totals": false,
        "default_queue_type": "classic",
        "statistics_db_event_queue": 0,
    });
    let parts = if user.may_monitor() {
        whole_node(ctx)
    } else {
        permitted(ctx, user)
    };
    if let (Value::Object(answer), Value::Object(parts)) = (&mut answer, parts) {
        answer.extend(parts);
    }
    answer
}

fn exchange_types() -> Value {
    let described = ["direct", "fanout", "headers", "topic"].map(|name| {
        let text = format!("AMQP {name} exchange, as per the AMQP specification");
        json!({ "name": name, "description": text, "enabled": true })
    });
    described.as_slice().into()
}

fn whole_node(ctx: &Context) -> Value {
    let totals = ctx.broker.object_totals();
    let (ready, unacked) = ctx.broker.stats().depth();
    json!({
        "node": ctx.broker.settings().node_name,
        "churn_rates": churn(ctx.broker.stats()),
        "queue_totals": queue_totals(ready, unacked),
        "object_totals": {
            "channels": totals.channels,
            "connections": totals.connections,
            "consumers": totals.consumers,
            "exchanges": totals.exchanges,
            "queues": totals.queues,
        },
        "listeners": listeners(ctx),
        "contexts": contexts(ctx),
    })
}

/// The same totals over the vhosts a user has a permission in, and the user's own connections.
fn permitted(ctx: &Context, user: &AuthenticatedUser) -> Value {
    let (mut exchanges, mut queues, mut ready, mut unacked) = (0, 0, 0, 0);
    for vhost in ctx.broker.vhosts() {
        if ctx
            .broker
            .catalog()
            .read()
            .permission(&user.name, vhost.name())
            .is_none()
        {
            continue;
        }
        exchanges += vhost.exchange_count();
        for queue in vhost.queues() {
            let depth = queue.depth();
            queues += 1;
            ready += depth.ready as u64;
            unacked += depth.unacked as u64;
        }
    }
    let own = ctx
        .broker
        .connections()
        .iter()
        .filter(|c| c.user() == user.name)
        .count();
    json!({
        "queue_totals": queue_totals(ready, unacked),
        "object_totals": { "connections": own, "exchanges": exchanges, "queues": queues },
    })
}

fn queue_totals(ready: u64, unacked: u64) -> Value {
    json!({
        "messages": ready.saturating_add(unacked),
        "messages_ready": ready,
        "messages_unacknowledged": unacked,
    })
}

fn churn(stats: &NodeStats) -> Value {
    let named = NodeStats::CHURN.into_iter().zip(stats.churn());
    named
        .map(|(name, n)| (name.to_owned(), n.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn listeners(ctx: &Context) -> Value {
    let node = &ctx.broker.settings().node_name;
    let info = &ctx.info;
    let plain = [
        ("amqp", info.amqp.as_slice()),
        ("http", info.management.as_slice()),
        ("http/prometheus", info.prometheus.as_slice()),
    ];
    let tls = [
        ("amqp/ssl", info.tls.amqp.as_slice()),
        ("https", info.tls.management.as_slice()),
        ("https/prometheus", info.tls.prometheus.as_slice()),
    ];
    let describe = |protocol: &str, addresses: &[SocketAddr], tls: bool| -> Vec<Value> {
        let each = addresses.iter().map(|address| {
            json!({
                "node": node,
                "protocol": protocol,
                "ip_address": address.ip().to_string(),
                "port": address.port(),
                "tls": tls,
            })
        });
        each.collect()
    };
    let plain = plain.map(|(protocol, addresses)| describe(protocol, addresses, false));
    let tls = tls.map(|(protocol, addresses)| describe(protocol, addresses, true));
    plain.into_iter().chain(tls).flatten().collect()
}

fn contexts(ctx: &Context) -> Value {
    let describe = |what: &str, path: &str, address: &SocketAddr| {
        json!({
            "node": ctx.broker.settings().node_name,
            "description": format!("{PRODUCT} {what}"),
            "path": path,
            "ip": address.ip().to_string(),
            // A string, unlike in the listeners: rabbit-hole and the UI rely on it.
            "port": address.port().to_string(),
        })
    };
    let management = ctx
        .info
        .management
        .iter()
        .map(|a| describe("Management", "/", a));
    let path = &ctx.info.prometheus_path;
    let metrics = ctx
        .info
        .prometheus
        .iter()
        .map(|a| describe("Prometheus", path, a));
    management.chain(metrics).collect()
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
        assert_eq!(overview["exchange_types"].as_array().unwrap().len(), 4);
        assert!(overview.get("message_stats").is_none());
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
