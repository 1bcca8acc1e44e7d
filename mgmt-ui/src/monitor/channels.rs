//! `GET /api/channels`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::{ConnectionState, LiveChannel, Sampled};
use warren_broker::{ConnectionHandle, Vhost};

use super::queues::put_processes;
use super::{breakdown, connections, consumers, listed, visible_connections, written};
use crate::Context;
use crate::http::{ApiError, Manager, Path, Query, Routes, VhostScope};
use crate::utc::timestamp;
use crate::view::details::{DELIVER, FINE};
use crate::view::json::Written;
use crate::view::{Listing, Object, Row, message_stats};

pub(super) fn routes() -> Routes {
    Routes::new("Channels")
        .get("/channels", "All channels one may see", list)
        .get("/channels/{name}", "One channel", one)
        .get("/vhosts/{vhost}/channels", "Channels of a vhost", of_vhost)
}

async fn list(
    State(ctx): State<Context>,
    Manager(user): Manager,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || Ok(rows(&ctx, &user, None))).await
}

async fn of_vhost(
    State(ctx): State<Context>,
    scope: VhostScope,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let vhost = scope.vhosts.first().ok_or(ApiError::NotFound)?;
        Ok(rows(&ctx, &scope.user, Some(vhost)))
    })
    .await
}

async fn one(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    query: Query,
) -> Result<Written, ApiError> {
    written(move || {
        let row = find(&ctx, &user, &name)?;
        let listing = Listing::of(&query)?;
        let mut object = row.render(&listing);
        let consumers = consumers::of_channel(&ctx, &row.connection, row.live.number);
        object.put("consumer_details", consumers);
        let vhost = &row.connection.live().info.vhost;
        breakdown::of_channel(&ctx, vhost, &row.live, &mut object);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

/// The channel of that name, `<connection> (<number>)`.
fn find(ctx: &Context, user: &AuthenticatedUser, name: &str) -> Result<ChannelRow, ApiError> {
    let parts = name
        .strip_suffix(')')
        .and_then(|name| name.rsplit_once(" ("));
    let (connection, number) = parts.ok_or(ApiError::NotFound)?;
    let number: u16 = number.parse().map_err(|_| ApiError::NotFound)?;
    let connection = connections::find(ctx, user, connection)?;
    let live = connection.live().channel(number);
    Ok(ChannelRow {
        ctx: ctx.clone(),
        live: live.ok_or(ApiError::NotFound)?,
        connection,
    })
}

fn rows(ctx: &Context, user: &AuthenticatedUser, vhost: Option<&Vhost>) -> Vec<ChannelRow> {
    let connections = visible_connections(ctx, user, vhost);
    let channels = connections.iter();
    channels
        .flat_map(|connection| of_connection(ctx, connection))
        .collect()
}

pub(super) fn of_connection(
    ctx: &Context,
    connection: &Arc<dyn ConnectionHandle>,
) -> Vec<ChannelRow> {
    let channels = connection.live().channels().into_iter();
    let row = |live| ChannelRow {
        ctx: ctx.clone(),
        connection: Arc::clone(connection),
        live,
    };
    channels.map(row).collect()
}

pub(super) struct ChannelRow {
    ctx: Context,
    connection: Arc<dyn ConnectionHandle>,
    live: Arc<LiveChannel>,
}

impl ChannelRow {
    fn state(&self) -> &'static str {
        match self.connection.live().state() {
            ConnectionState::Flow => "flow",
            ConnectionState::Closing => "closing",
            ConnectionState::Running | ConnectionState::Blocked => "running",
        }
    }

    fn numbers(&self, object: &mut Object, listing: &Listing) {
        let live = &self.live;
        object.put("acks_uncommitted", live.acks_uncommitted.load(Relaxed));
        object.put("confirm", live.confirm.load(Relaxed));
        object.put("transactional", live.transactional.load(Relaxed));
        object.put("consumer_count", live.consumer_count());
        object.put("prefetch_count", live.prefetch.load(Relaxed));
        let global = live.global_prefetch.load(Relaxed);
        object.put("global_prefetch_count", global);
        let unacked = self.connection.unacked(live.number);
        object.put("messages_unacknowledged", unacked);
        object.put("messages_unconfirmed", live.unconfirmed.load(Relaxed));
        object.put("messages_uncommitted", live.uncommitted.load(Relaxed));
        object.put("pending_raft_commands", 0u64);
        object.put("cached_segments", 0u64);
        object.put("state", self.state());
        if let Some(since) = live.track().idle_since_ms() {
            object.put("idle_since", timestamp(since));
        }
        if listing.disable_stats {
            return;
        }
        let counts = live.messages().all();
        let window = listing.windows.messages;
        if let Some(stats) = message_stats(&**live, &counts, &[FINE, DELIVER], window) {
            object.put("message_stats", stats);
        }
        put_processes(object);
    }
}

impl Row for ChannelRow {
    fn name(&self) -> Cow<'_, str> {
        let connection = &self.connection.live().info.name;
        Cow::Owned(format!("{connection} ({})", self.live.number))
    }

    fn also_named(&self) -> Option<String> {
        self.connection.live().info.given_name()
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.connection.live().info, &other.connection.live().info);
        let (m, n) = (self.live.number, other.live.number);
        (&a.name, a.id, m).cmp(&(&b.name, b.id, n))
    }

    fn render(&self, listing: &Listing) -> Object {
        let info = &self.connection.live().info;
        let mut object = Object::new();
        object.put("name", self.name().into_owned());
        object.put("number", self.live.number);
        object.put("node", self.ctx.broker.settings().node_name.clone());
        object.put("user", info.user.clone());
        object.put("user_who_performed_action", info.user.clone());
        object.put("vhost", info.vhost.clone());
        let mut connection = Object::new();
        connection.put("name", info.name.clone());
        connection.put("peer_host", info.peer.ip().to_string());
        connection.put("peer_port", info.peer.port());
        object.put("connection_details", connection);
        // Not RabbitMQ's: what its client calls itself.
        if let Some(name) = info.given_name() {
            object.put("user_provided_name", name);
        }
        self.numbers(&mut object, listing);
        object
    }
}
