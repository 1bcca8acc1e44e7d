//! What listeners of the event exchange are told about connections, channels and consumers
//! (row O-23). Costs nothing while nobody listens.

use warren_amqp::{TableBuilder, table_from_fields};
use warren_broker::ConsumerInfo;

use super::Connection;
use crate::clock;

impl Connection {
    /// An event of this connection's, done by its user.
    fn tell(&self, key: &'static str, fill: impl FnOnce(&mut TableBuilder)) {
        let user = self.session.as_ref().map(|session| &*session.user.name);
        let broker = &self.context.broker;
        broker.notify(key, user, clock::now_ms(), fill);
    }

    pub(super) fn tell_opened(&self) {
        let Some(live) = &self.live else { return };
        let info = &live.info;
        self.tell("connection.created", |t| {
            t.longstr("name", &info.name);
            t.longstr("user", &info.user);
            t.longstr("vhost", &info.vhost);
            t.longstr("host", info.local.ip().to_string());
            t.int("port", i32::from(info.local.port()));
            t.longstr("peer_host", info.peer.ip().to_string());
            t.int("peer_port", i32::from(info.peer.port()));
            t.bool("ssl", self.secured.is_some());
            t.longstr("protocol", "AMQP 0-9-1");
            t.longstr("auth_mechanism", &info.auth_mechanism);
            t.int("timeout", i32::from(info.heartbeat_s));
            t.long("frame_max", i64::from(info.frame_max));
            t.int("channel_max", i32::from(info.channel_max));
            t.table(
                "client_properties",
                table_from_fields(&info.client_properties),
            );
            t.long(
                "connected_at",
                i64::try_from(info.connected_at_ms).unwrap_or(i64::MAX),
            );
        });
    }

    pub(super) fn tell_closed(&self) {
        self.tell("connection.closed", |t| {
            t.longstr("name", &self.name);
            t.longstr("vhost", self.vhost_name());
        });
    }

    /// `refused` says why nobody was let in.
    pub(super) fn tell_login(&self, user: &str, mechanism: &str, refused: Option<&str>) {
        let key = match refused {
            None => "user.authentication.success",
            Some(_) => "user.authentication.failure",
        };
        self.tell(key, |t| {
            t.longstr("name", user);
            t.longstr("connection_type", "network");
            t.longstr("connection_name", &self.name);
            t.longstr("auth_mechanism", mechanism);
            t.longstr("peer_host", self.peer.ip().to_string());
            t.int("peer_port", i32::from(self.peer.port()));
            t.bool("ssl", self.secured.is_some());
            if let Some(reason) = refused {
                t.longstr("error", reason);
            }
        });
    }

    pub(super) fn tell_channel(&self, key: &'static str, number: u16) {
        self.tell(key, |t| {
            t.longstr("name", format!("{} ({number})", self.name));
            t.longstr("connection", &self.name);
            t.int("number", i32::from(number));
            t.longstr("vhost", self.vhost_name());
        });
    }

    pub(super) fn tell_consumer_created(&self, info: &ConsumerInfo, queue: &str) {
        self.tell("consumer.created", |t| {
            t.longstr("consumer_tag", &info.tag);
            t.longstr("queue", queue);
            t.longstr("vhost", self.vhost_name());
            t.longstr("channel", format!("{} ({})", self.name, info.channel));
            t.bool("exclusive", info.exclusive);
            t.bool("ack_required", !info.no_ack);
            t.long("prefetch_count", i64::from(info.prefetch));
            t.table("arguments", table_from_fields(&info.arguments));
        });
    }

    pub(super) fn tell_consumer_deleted(&self, number: u16, tag: &str, queue: &str) {
        self.tell("consumer.deleted", |t| {
            t.longstr("consumer_tag", tag);
            t.longstr("queue", queue);
            t.longstr("vhost", self.vhost_name());
            t.longstr("channel", format!("{} ({number})", self.name));
        });
    }
}
