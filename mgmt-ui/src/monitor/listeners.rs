//! Where what is served.

use std::net::SocketAddr;

use crate::view::{Json, Object};
use crate::{Context, PRODUCT};

/// An address something listens on.
pub(super) struct Listener {
    /// RabbitMQ's name of the protocol.
    pub(super) protocol: &'static str,
    /// Where.
    pub(super) address: SocketAddr,
    /// Over TLS.
    pub(super) tls: bool,
}

/// All listeners: AMQP, this API, metrics.
pub(super) fn all(ctx: &Context) -> Vec<Listener> {
    let info = &ctx.info;
    let mut found = Vec::new();
    let mut add = |protocol, tls, addresses: &[SocketAddr]| {
        found.extend(addresses.iter().map(|address| Listener {
            protocol,
            address: *address,
            tls,
        }));
    };
    add("amqp", false, &info.amqp);
    add("amqp/ssl", true, &info.tls.amqp);
    add("http", false, info.management.as_slice());
    add("https", true, info.tls.management.as_slice());
    add("http/prometheus", false, info.prometheus.as_slice());
    add("https/prometheus", true, info.tls.prometheus.as_slice());
    found
}

/// As the overview lists them.
pub(super) fn listed(ctx: &Context) -> Vec<Json> {
    let node = &ctx.broker.settings().node_name;
    let listed = all(ctx).into_iter().map(|listener| {
        let mut object = Object::new();
        object.put("node", node.clone());
        object.put("protocol", listener.protocol);
        object.put("ip_address", listener.address.ip().to_string());
        object.put("port", listener.address.port());
        object.put("socket_opts", Object::new());
        object.put("tls", listener.tls);
        object.into()
    });
    listed.collect()
}

/// The web contexts: what HTTP is served where.
pub(super) fn contexts(ctx: &Context, with_node: bool) -> Vec<Json> {
    let node = &ctx.broker.settings().node_name;
    let web = all(ctx).into_iter().filter_map(|listener| {
        let (what, path) = match listener.protocol {
            "http" | "https" => ("Management", "/".to_owned()),
            "http/prometheus" | "https/prometheus" => {
                ("Prometheus", ctx.info.prometheus_path.clone())
            }
            _ => return None,
        };
        let mut object = Object::new();
        if with_node {
            object.put("node", node.clone());
        }
        object.put("description", format!("{PRODUCT} {what}"));
        object.put("path", path);
        object.put("cowboy_opts", "[]");
        object.put("ip", listener.address.ip().to_string());
        // A string, unlike in the listeners: rabbit-hole and the UI rely on it.
        object.put("port", listener.address.port().to_string());
        object.put("protocol", listener.protocol);
        object.put("ssl_opts", Vec::new());
        Some(object.into())
    });
    web.collect()
}
