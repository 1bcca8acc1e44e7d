//! Keys of the AMQP listeners and of the limits of connections, channels and messages.

use std::time::Duration;

use super::Key;
use crate::config::value::{
    BadValue, boolean, bytes, listen_address, number, number_or_infinity, put,
};

/// The largest body RabbitMQ can be told to accept; our storage is tested up to it.
const MAX_MESSAGE_SIZE: u64 = 536_870_912;

const LIMIT: &str = "a number from 1 to 4294967295, or `infinity`";
const BUFFER: &str = "bytes, 1 to 2147483647, with units such as `64kB` or `1MiB`";
pub(super) const ADDRESS: &str =
    "`PORT`, `HOST:PORT` or `[IPV6]:PORT`; port 0 lets the system choose";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "listeners.tcp.default",
        default: "5672",
        accepts: ADDRESS,
        doc: "Where AMQP is served. A port alone means every interface, IPv6 and IPv4.",
        set: |d, _, v| {
            d.listeners.insert("default".to_owned(), listen_address(v)?);
            Ok(())
        },
    },
    Key {
        name: "listeners.tcp.<n>",
        default: "(none)",
        accepts: ADDRESS,
        doc: "Further listeners. When any listener is named, only the named ones are opened.",
        set: |d, name, v| {
            d.listeners.insert(name.to_owned(), listen_address(v)?);
            Ok(())
        },
    },
    Key {
        name: "listeners.tcp",
        default: "(listening)",
        accepts: "`none`",
        doc: "`none` opens no AMQP listener at all.",
        set: |d, _, v| match v {
            "none" => put(&mut d.no_listeners, Ok(true)),
            _ => Err(BadValue::Form),
        },
    },
    Key {
        name: "proxy_protocol",
        default: "false",
        accepts: "`true` or `false`",
        doc: "Whether connections to the AMQP listeners, TLS or not, begin with a PROXY protocol \
              header (version 1 or 2). Clients without one are then turned away.",
        set: |d, _, v| put(&mut d.config.proxy_protocol, boolean(v)),
    },
    Key {
        name: "tcp_listen_options.backlog",
        default: "128",
        accepts: "a number from 1 to 65535",
        doc: "Connections the system keeps waiting until they are accepted.",
        set: |d, _, v| put(&mut d.config.tcp.backlog, number(v, 1, 65535)),
    },
    Key {
        name: "tcp_listen_options.nodelay",
        default: "true",
        accepts: "`true` or `false`",
        doc: "TCP_NODELAY: small frames are sent at once.",
        set: |d, _, v| put(&mut d.config.tcp.nodelay, boolean(v)),
    },
    Key {
        name: "tcp_listen_options.keepalive",
        default: "false",
        accepts: "`true` or `false`",
        doc: "SO_KEEPALIVE: the system probes idle connections.",
        set: |d, _, v| put(&mut d.config.tcp.keepalive, boolean(v)),
    },
    Key {
        name: "tcp_listen_options.sndbuf",
        default: "(the system's)",
        accepts: BUFFER,
        doc: "Size of a connection's send buffer in the system. Unless this or `recbuf` is set, clients that answer within 2 ms get 512 KiB to receive and 256 KiB to send, others what the system thinks best.",
        set: |d, _, v| put(&mut d.config.tcp.sndbuf_bytes, buffer(v)),
    },
    Key {
        name: "tcp_listen_options.recbuf",
        default: "(the system's)",
        accepts: BUFFER,
        doc: "Size of a connection's receive buffer in the system.",
        set: |d, _, v| put(&mut d.config.tcp.recbuf_bytes, buffer(v)),
    },
    Key {
        name: "heartbeat",
        default: "60",
        accepts: "seconds, 0 to 65535; 0 proposes no heartbeats",
        doc: "Heartbeat proposed to clients.",
        set: |d, _, v| put(&mut d.config.limits.heartbeat_s, number(v, 0, u16::MAX)),
    },
    Key {
        name: "frame_max",
        default: "131072",
        accepts: "bytes, 4096 to 2147483647, or 0 for no limit",
        doc: "Largest frame proposed to clients.",
        set: |d, _, v| put(&mut d.config.limits.frame_max, frame_max(v)),
    },
    Key {
        name: "initial_frame_max",
        default: "4096",
        accepts: "bytes, 4096 to 2147483647",
        doc: "Largest frame accepted before a client has logged in and tuned.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.initial_frame_max,
                number(v, 4096, i32::MAX.unsigned_abs()),
            )
        },
    },
    Key {
        name: "channel_max",
        default: "2047",
        accepts: "a number from 0 to 65535; 0 means no limit below 65535",
        doc: "Channels per connection proposed to clients.",
        set: |d, _, v| put(&mut d.config.limits.channel_max, number(v, 0, u16::MAX)),
    },
    Key {
        name: "connection_max",
        default: "infinity",
        accepts: "a number from 0 to 4294967295, or `infinity`",
        doc: "AMQP connections the node accepts at the same time.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.connection_max,
                number_or_infinity(v, 0),
            )
        },
    },
    Key {
        name: "max_connections",
        default: "infinity",
        accepts: "a number from 0 to 4294967295, or `infinity`",
        doc: "Another name of `connection_max`.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.connection_max,
                number_or_infinity(v, 0),
            )
        },
    },
    Key {
        name: "channel_max_per_node",
        default: "infinity",
        accepts: LIMIT,
        doc: "Channels the node has open at the same time, over all connections.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.channel_max_per_node,
                number_or_infinity(v, 1),
            )
        },
    },
    Key {
        name: "consumer_max_per_channel",
        default: "infinity",
        accepts: LIMIT,
        doc: "Consumers on one channel.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.consumer_max_per_channel,
                number_or_infinity(v, 1),
            )
        },
    },
    Key {
        name: "vhost_max",
        default: "infinity",
        accepts: LIMIT,
        doc: "Vhosts of the node.",
        set: |d, _, v| put(&mut d.config.node_limits.vhosts, count_or_infinity(v)),
    },
    Key {
        name: "cluster_queue_limit",
        default: "infinity",
        accepts: LIMIT,
        doc: "Queues of all vhosts together.",
        set: |d, _, v| put(&mut d.config.node_limits.queues, count_or_infinity(v)),
    },
    Key {
        name: "cluster_exchange_limit",
        default: "infinity",
        accepts: LIMIT,
        doc: "Exchanges of all vhosts together, those the broker makes included.",
        set: |d, _, v| put(&mut d.config.node_limits.exchanges, count_or_infinity(v)),
    },
    Key {
        name: "consumer_timeout",
        default: "1800000",
        accepts: "milliseconds, 1 to 4294967295, or `infinity`",
        doc: "Time a delivery may stay unacknowledged before its channel is closed with 406.",
        set: |d, _, v| {
            put(
                &mut d.config.limits.consumer_timeout_ms,
                number_or_infinity(v, 1),
            )
        },
    },
    Key {
        name: "max_message_size",
        default: "134217728",
        accepts: "bytes, 1 to 536870912, with units such as `16MiB`",
        doc: "Largest message body. A larger one closes the channel with 406.",
        set: |d, _, v| {
            let size = bytes(v).and_then(|size| match size {
                1..=MAX_MESSAGE_SIZE => Ok(size),
                _ => Err(BadValue::Form),
            });
            put(&mut d.config.limits.max_message_size, size)
        },
    },
    Key {
        name: "message_interceptors.incoming.set_header_timestamp.overwrite",
        default: "(off)",
        accepts: "`true` or `false`",
        doc: "Messages get the header `timestamp_in_ms` and the property `timestamp` when they come \
              in; whether in place of those they have.",
        set: |d, _, v| put(&mut d.config.interceptors.timestamp, boolean(v).map(Some)),
    },
    Key {
        name: "message_interceptors.incoming.set_header_routing_node.overwrite",
        default: "(off)",
        accepts: "`true` or `false`",
        doc: "Messages get the header `x-routed-by`, the node's name, when they come in; whether in \
              place of the one they have.",
        set: |d, _, v| {
            put(
                &mut d.config.interceptors.routing_node,
                boolean(v).map(Some),
            )
        },
    },
    Key {
        name: "handshake_timeout",
        default: "10000",
        accepts: "milliseconds, 1 to 4294967295",
        doc: "Time a client has from connecting until its connection is open.",
        set: |d, _, v| {
            let time = number(v, 1, u32::MAX).map(|ms| Duration::from_millis(ms.into()));
            put(&mut d.config.limits.handshake_timeout, time)
        },
    },
];

fn count_or_infinity(text: &str) -> Result<Option<usize>, BadValue> {
    let limit: Option<u32> = number_or_infinity(text, 1)?;
    Ok(limit.map(|limit| limit as usize))
}

fn frame_max(text: &str) -> Result<u32, BadValue> {
    match number(text, 0, i32::MAX.unsigned_abs())? {
        1..4096 => Err(BadValue::Form),
        size => Ok(size),
    }
}

fn buffer(text: &str) -> Result<Option<u32>, BadValue> {
    match u32::try_from(bytes(text)?) {
        Ok(size) if size >= 1 && size <= i32::MAX.unsigned_abs() => Ok(Some(size)),
        _ => Err(BadValue::Form),
    }
}
