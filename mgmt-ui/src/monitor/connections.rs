//! `GET /api/connections`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use warren_broker::auth::AuthenticatedUser;
use warren_broker::stats::LiveConnection;
use warren_broker::{ConnectionHandle, Vhost};

use super::queues::put_processes;
use super::{channels, listed, visible_connections, written};
use crate::Context;
use crate::http::{ApiError, Manager, Path, Query, Routes, VhostScope};
use crate::view::details::put_numbers;
use crate::view::json::Written;
use crate::view::{Key, Listing, Object, Row};

pub(super) fn routes() -> Routes {
    Routes::new("Connections")
        .get("/connections", "All connections one may see", list)
        .get("/connections/{name}", "One connection", one)
        .get(
            "/connections/{name}/channels",
            "Channels of a connection",
            its_channels,
        )
        .get(
            "/connections/{name}/sessions",
            "AMQP 1.0 sessions of a connection",
            its_sessions,
        )
        .get(
            "/connections/username/{name}",
            "Connections of a user",
            of_user,
        )
        .get(
            "/vhosts/{vhost}/connections",
            "Connections to a vhost",
            of_vhost,
        )
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
        let connection = find(&ctx, &user, &name)?;
        let listing = Listing::of(&query)?;
        let object = ConnectionRow::new(&ctx, connection).render(&listing);
        Ok(Written(listing.one(object).to_bytes()))
    })
    .await
}

async fn its_channels(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        let connection = find(&ctx, &user, &name)?;
        Ok(channels::of_connection(&ctx, &connection))
    })
    .await
}

/// There is no AMQP 1.0 here, so there are none.
async fn its_sessions(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
) -> Result<Written, ApiError> {
    find(&ctx, &user, &name).map(|_| Written(b"[]".to_vec()))
}

async fn of_user(
    State(ctx): State<Context>,
    Manager(user): Manager,
    Path(name): Path<String>,
    query: Query,
) -> Result<Written, ApiError> {
    listed(query, move || {
        if !user.may_monitor() && user.name != name {
            return Err(ApiError::NotAuthorised(
                "User not authorised to access object",
            ));
        }
        let mut connections = visible_connections(&ctx, &user, None);
        connections.retain(|connection| connection.live().info.user == name);
        let rows = connections.into_iter().map(|connection| OfUser {
            node: ctx.broker.settings().node_name.clone(),
            live: Arc::clone(connection.live()),
        });
        Ok(rows.collect())
    })
    .await
}

fn rows(ctx: &Context, user: &AuthenticatedUser, vhost: Option<&Vhost>) -> Vec<ConnectionRow> {
    let connections = visible_connections(ctx, user, vhost).into_iter();
    connections
        .map(|connection| ConnectionRow::new(ctx, connection))
        .collect()
}

/// The connection of that name, for its owner and those who monitor.
pub(super) fn find(
    ctx: &Context,
    user: &AuthenticatedUser,
    name: &str,
) -> Result<Arc<dyn ConnectionHandle>, ApiError> {
    let mut all = ctx.broker.connections().into_iter();
    let found = all
        .find(|connection| connection.live().info.name == name)
        .ok_or(ApiError::NotFound)?;
    if user.may_monitor() || found.live().info.user == user.name {
        return Ok(found);
    }
    Err(ApiError::NotAuthorised(
        "User not authorised to access object",
    ))
}

struct ConnectionRow {
    ctx: Context,
    handle: Arc<dyn ConnectionHandle>,
}

impl ConnectionRow {
    fn new(ctx: &Context, handle: Arc<dyn ConnectionHandle>) -> Self {
        Self {
            ctx: ctx.clone(),
            handle,
        }
    }

    fn live(&self) -> &LiveConnection {
        self.handle.live()
    }

    fn state(&self) -> &'static str {
        self.live().state().name(self.ctx.broker.alarmed())
    }

    fn traffic(&self, object: &mut Object, listing: &Listing) {
        let octets = self.live().octets();
        let numbers = [
            ("recv_oct", octets.received.load(Relaxed)),
            ("send_oct", octets.sent.load(Relaxed)),
        ];
        put_numbers(object, self.live(), listing.windows.data, 0, numbers);
        object.put("recv_cnt", octets.reads.load(Relaxed));
        object.put("send_cnt", octets.writes.load(Relaxed));
        object.put("send_pend", self.handle.send_pending());
        object.put("channels", self.live().channel_count());
        object.put("state", self.state());
        put_processes(object);
    }

    /// Empty words without TLS: clients expect words.
    fn tls(&self, object: &mut Object) {
        let tls = self.handle.tls();
        let tls = tls.as_deref();
        object.put("ssl", tls.is_some());
        let words = tls.map_or([""; 4], |tls| {
            [tls.protocol, tls.cipher, tls.hash, tls.key_exchange]
        });
        let names = ["ssl_protocol", "ssl_cipher", "ssl_hash", "ssl_key_exchange"];
        for (name, word) in names.into_iter().zip(words) {
            object.put(name, word);
        }
        let certificate = tls.and_then(|tls| tls.peer_certificate.as_ref());
        let words = certificate.map_or_else(Default::default, |certificate| {
            let (subject, issuer) = (&certificate.subject, &certificate.issuer);
            [subject, issuer, &certificate.validity].map(String::clone)
        });
        let names = [
            "peer_cert_subject",
            "peer_cert_issuer",
            "peer_cert_validity",
        ];
        for (name, word) in names.into_iter().zip(words) {
            object.put(name, word);
        }
    }
}

impl Row for ConnectionRow {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.live().info.name)
    }

    fn also_named(&self) -> Option<String> {
        self.live().info.given_name()
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.live().info, &other.live().info);
        (&a.name, a.id).cmp(&(&b.name, b.id))
    }

    fn key(&self, path: &str) -> Option<Key> {
        let info = &self.live().info;
        let octets = self.live().octets();
        match path {
            "name" => Some(Key::Text(info.name.clone())),
            "user" => Some(Key::Text(info.user.clone())),
            "vhost" => Some(Key::Text(info.vhost.clone())),
            "state" => Some(Key::Text(self.state().to_owned())),
            "channels" => Some(Key::Number(self.live().channel_count() as f64)),
            "connected_at" => Some(Key::Number(info.connected_at_ms as f64)),
            "recv_oct" => Some(Key::Number(octets.received.load(Relaxed) as f64)),
            "send_oct" => Some(Key::Number(octets.sent.load(Relaxed) as f64)),
            _ => None,
        }
    }

    fn render(&self, listing: &Listing) -> Object {
        let info = &self.live().info;
        let mut object = Object::new();
        object.put("name", info.name.clone());
        object.put("node", self.ctx.broker.settings().node_name.clone());
        object.put("user", info.user.clone());
        object.put("user_who_performed_action", info.user.clone());
        object.put("vhost", info.vhost.clone());
        object.put("protocol", "AMQP 0-9-1");
        object.put("type", "network");
        object.put("connected_at", info.connected_at_ms);
        object.put("host", info.local.ip().to_string());
        object.put("port", info.local.port());
        object.put("peer_host", info.peer.ip().to_string());
        object.put("peer_port", info.peer.port());
        object.put("auth_mechanism", info.auth_mechanism.clone());
        object.put("channel_max", info.channel_max);
        object.put("frame_max", info.frame_max);
        object.put("timeout", info.heartbeat_s);
        object.put("client_properties", &info.client_properties);
        if let Some(name) = info.given_name() {
            object.put("user_provided_name", name);
        }
        self.tls(&mut object);
        if !listing.disable_stats {
            self.traffic(&mut object, listing);
        }
        object
    }
}

/// A connection as the list of a user's connections shows it.
struct OfUser {
    node: String,
    live: Arc<LiveConnection>,
}

impl Row for OfUser {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.live.info.name)
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.live.info, &other.live.info);
        (&a.name, a.id).cmp(&(&b.name, b.id))
    }

    fn render(&self, _: &Listing) -> Object {
        let info = &self.live.info;
        let mut object = Object::new();
        object.put("name", info.name.clone());
        object.put("vhost", info.vhost.clone());
        object.put("user", info.user.clone());
        object.put("node", self.node.clone());
        object
    }
}
