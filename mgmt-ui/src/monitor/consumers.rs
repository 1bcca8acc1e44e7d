//! `GET /api/consumers`, and consumers as parts of queues and channels.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use warren_broker::arguments::parse_consumer_arguments;
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::LiveConnection;
use warren_broker::{ConnectionHandle, ConsumerId, ConsumerInfo, ConsumerLoad, Queue, Vhost};

use super::listed;
use crate::Context;
use crate::http::{ApiError, Manager, Query, Routes, VhostScope};
use crate::view::json::Written;
use crate::view::{Json, Listing, Object, Row};

pub(super) fn routes() -> Routes {
    Routes::new("Consumers")
        .get("/consumers", "All consumers", list)
        .get("/consumers/{vhost}", "Consumers of a vhost", of_vhost)
}

async fn list(
    State(ctx): State<Context>,
    Manager(user): Manager,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let mut vhosts = ctx.broker.vhosts();
        vhosts.retain(|vhost| user.may_monitor() || ctx.may_read(&user, vhost.name()));
        Ok(of_vhosts(&ctx, &user, &vhosts))
    })
    .await
}

async fn of_vhost(
    State(ctx): State<Context>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    let rows = move || Ok(of_vhosts(&ctx, &scope.user, &scope.vhosts));
    listed(query, rows).await
}

/// Consumers of the vhosts' queues: all for those who monitor, else those on their own
/// connections.
fn of_vhosts(ctx: &Context, user: &AuthenticatedUser, vhosts: &[Arc<Vhost>]) -> Vec<ConsumerRow> {
    let queues = vhosts.iter().flat_map(|vhost| vhost.queues());
    let mut rows: Vec<ConsumerRow> = queues.flat_map(|queue| rows(ctx, &queue)).collect();
    if !user.may_monitor() {
        rows.retain(|row| {
            let connection = row.connection.as_ref();
            connection.is_some_and(|connection| connection.info.user == user.name)
        });
    }
    rows
}

/// The consumers of a queue, as it shows them.
pub(super) fn of_queue(ctx: &Context, queue: &Arc<Queue>) -> Vec<Json> {
    let rows = rows(ctx, queue);
    rows.iter().map(|row| row.shown().into()).collect()
}

/// The consumers of a channel, as it shows them.
pub(super) fn of_channel(
    ctx: &Context,
    connection: &Arc<dyn ConnectionHandle>,
    channel: u16,
) -> Vec<Json> {
    let Some(live) = connection.live().channel(channel) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (id, queue) in live.consumers() {
        let active = queue.active_consumer();
        queue.each_consumer_load(|consumer, load| {
            if consumer.id == id {
                let connection = Some(Arc::clone(connection.live()));
                let row = ConsumerRow::new(ctx, &queue, (consumer, load), active, connection);
                all.push(row.shown().into());
            }
        });
    }
    all
}

fn rows(ctx: &Context, queue: &Arc<Queue>) -> Vec<ConsumerRow> {
    let active = queue.active_consumer();
    let mut consumers = Vec::new();
    queue.each_consumer_load(|consumer, load| consumers.push((consumer.clone(), load)));
    let rows = consumers.iter().map(|(consumer, load)| {
        let connection = ctx.broker.connection(consumer.connection);
        let connection = connection.map(|connection| Arc::clone(connection.live()));
        ConsumerRow::new(ctx, queue, (consumer, *load), active, connection)
    });
    rows.collect()
}

struct ConsumerRow {
    queue: Arc<Queue>,
    info: ConsumerInfo,
    load: ConsumerLoad,
    /// Gone when the consumer is on its way out.
    connection: Option<Arc<LiveConnection>>,
    /// Another one is served until it leaves.
    waiting: bool,
    single_active: bool,
    ctx: Context,
}

impl ConsumerRow {
    fn new(
        ctx: &Context,
        queue: &Arc<Queue>,
        (info, load): (&ConsumerInfo, ConsumerLoad),
        active: Option<ConsumerId>,
        connection: Option<Arc<LiveConnection>>,
    ) -> Self {
        Self {
            queue: Arc::clone(queue),
            info: info.clone(),
            load,
            connection,
            waiting: active.is_some_and(|active| active != info.id),
            single_active: active == Some(info.id),
            ctx: ctx.clone(),
        }
    }

    /// How long a delivery may stay unacknowledged, milliseconds: the consumer's own argument goes
    /// before the queue's, that before the node's.
    fn timeout_ms(&self) -> Option<u64> {
        let definition = self.queue.definition();
        let (name, vhost) = (&definition.name, &definition.vhost);
        let arguments = parse_consumer_arguments(name, vhost, &self.info.arguments);
        arguments
            .ok()
            .and_then(|arguments| arguments.timeout_ms)
            .or(self.queue.consumer_timeout_ms())
            .or(self.ctx.info.facts.consumer_timeout_ms)
    }

    fn shown(&self) -> Object {
        let info = &self.info;
        let mut object = Object::new();
        object.put("arguments", &info.arguments);
        object.put("channel_details", self.channel_details());
        object.put("ack_required", !info.no_ack);
        object.put("active", !self.waiting);
        let status = match (self.waiting, self.single_active) {
            (true, _) => "waiting",
            (_, true) => "single_active",
            _ => "up",
        };
        object.put("activity_status", status);
        object.put("consumer_tag", info.tag.clone());
        // Clients expect a number: none stands for no timeout.
        object.put("consumer_timeout", self.timeout_ms().unwrap_or(0));
        object.put("exclusive", info.exclusive);
        object.put("prefetch_count", info.prefetch);
        // Not fields of RabbitMQ's: what it holds, and that an operator holds back more.
        object.put("unacked", self.load.in_flight);
        if self.load.paused {
            object.put("paused", true);
        }
        let mut queue = Object::new();
        queue.put("name", self.queue.name().to_owned());
        queue.put("vhost", self.queue.definition().vhost.to_string());
        object.put("queue", queue);
        object
    }

    fn channel_details(&self) -> Object {
        match &self.connection {
            Some(connection) => channel_details(&self.ctx, connection, self.info.channel),
            None => Object::new(),
        }
    }
}

/// A channel as parts of other objects name it.
pub(super) fn channel_details(ctx: &Context, connection: &LiveConnection, number: u16) -> Object {
    let info = &connection.info;
    let mut details = Object::new();
    details.put("name", format!("{} ({number})", info.name));
    details.put("number", number);
    details.put("connection_name", info.name.clone());
    // Not RabbitMQ's: what the client calls itself.
    if let Some(name) = info.given_name() {
        details.put("user_provided_name", name);
    }
    details.put("node", ctx.broker.settings().node_name.clone());
    details.put("peer_host", info.peer.ip().to_string());
    details.put("peer_port", info.peer.port());
    details.put("user", info.user.clone());
    details
}

impl Row for ConsumerRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.info.tag)
    }

    fn also_named(&self) -> Option<String> {
        self.connection.as_ref()?.info.given_name()
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |row: &Self| {
            let definition = row.queue.definition();
            (
                definition.vhost.to_string(),
                definition.name.clone(),
                row.info.id,
            )
        };
        key(self).cmp(&key(other))
    }

    fn render(&self, _: &Listing) -> Object {
        self.shown()
    }
}
