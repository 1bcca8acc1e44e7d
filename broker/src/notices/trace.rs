//! The firehose: copies of what is published and delivered in a vhost (rows O-20, O-21).

use std::sync::Arc;

use warren_amqp::{Properties, TableBuilder, parse_content_header, parse_properties};

use super::{Happening, Notice, Passing, TRACE_EXCHANGE};
use crate::broker::Shared;
use crate::dead_letter::extra_keys;
use crate::message::{Chunk, Message, Meta};
use crate::queue::{Entry, Queue};
use crate::route::{Route, address_strs};
use crate::stats::LiveConnection;
use crate::vhost::Vhost;

/// What a connection has at hand to trace what goes through it.
pub struct Tap {
    vhost: Arc<Vhost>,
    connection: Arc<LiveConnection>,
}

/// A message that was published or delivered while tracing was on.
pub(super) struct Traced {
    pub(super) vhost: Arc<Vhost>,
    connection: String,
    user: String,
    channel: u16,
    pub(super) message: Message,
    way: Way,
}

/// Which way it went.
enum Way {
    /// In, and to these queues.
    Published(Vec<String>),
    /// Out of this queue, again or for the first time.
    Delivered(String, bool),
}

impl Tap {
    /// The tap of a connection in its vhost.
    pub fn new(vhost: &Arc<Vhost>, connection: &Arc<LiveConnection>) -> Self {
        Self {
            vhost: Arc::clone(vhost),
            connection: Arc::clone(connection),
        }
    }

    /// Whether anything is to be traced: one relaxed load.
    pub fn is_open(&self) -> bool {
        self.vhost.tapped()
    }

    /// A message was published; `parts` are address, content header payload and body.
    pub fn published(&self, channel: u16, route: &Route, parts: [&[u8]; 3]) {
        let [address, header, body] = parts;
        if self.vhost.watched() {
            let (exchange, routing_key) = address_strs(address);
            let queues = || Happening::Published(names_of(route));
            self.seen(channel, (exchange, routing_key, body), queues);
        }
        if !self.vhost.traced() {
            return;
        }
        let chunk = Chunk::single(address, header, body, Meta::default(), 0);
        let way = Way::Published(names_of(route));
        self.push(channel, Message::new(&chunk, 0), way);
    }

    /// A message goes to a client of this connection.
    pub fn delivered(&self, channel: u16, queue: &Queue, entry: &Entry) {
        if self.vhost.watched() {
            let message = &entry.message;
            let (exchange, key) = (message.exchange(), message.routing_key());
            let told = || Happening::Delivered(queue.name().to_owned(), entry.redelivered);
            self.seen(channel, (exchange, key, message.body()), told);
        }
        if !self.vhost.traced() {
            return;
        }
        let way = Way::Delivered(queue.name().to_owned(), entry.redelivered);
        self.push(channel, entry.message.clone(), way);
    }

    /// Shows it to those who look.
    fn seen(
        &self,
        channel: u16,
        (exchange, routing_key, body): (&str, &str, &[u8]),
        what: impl Fn() -> Happening,
    ) {
        let passing = Passing {
            exchange,
            routing_key,
            body,
            client: Some((&self.connection.info, channel)),
        };
        self.vhost.viewers().see(passing, what);
    }

    fn push(&self, channel: u16, message: Message, way: Way) {
        // What the firehose says is not traced itself.
        if message.exchange() == TRACE_EXCHANGE {
            return;
        }
        let info = &self.connection.info;
        let shared: &Shared = self.vhost.shared();
        shared.notices.push(Notice::Traced(Traced {
            vhost: Arc::clone(&self.vhost),
            connection: info.name.clone(),
            user: info.user.clone(),
            channel,
            message,
            way,
        }));
    }
}

/// The queues of a route, without those that only delay.
fn names_of(route: &Route) -> Vec<String> {
    let queues = route.targets().iter();
    let queues = queues.filter(|queue| !queue.is_delay_store());
    queues.map(|queue| queue.name().to_owned()).collect()
}

impl Traced {
    pub(super) fn weight(&self) -> usize {
        self.message.total_len() + 256
    }

    /// `publish.<exchange>` or `deliver.<queue>`.
    pub(super) fn key(&self) -> String {
        let mut key = match &self.way {
            Way::Published(_) => format!("publish.{}", self.message.exchange()),
            Way::Delivered(queue, _) => format!("deliver.{queue}"),
        };
        // Names of 255 bytes leave no room for what stands before them.
        while key.len() > 255 {
            key.pop();
        }
        key
    }

    /// The headers of the copy.
    pub(super) fn headers(&self, node: &str) -> Vec<u8> {
        let message = &self.message;
        let properties = parse_content_header(message.header())
            .and_then(|header| parse_properties(header.properties))
            .unwrap_or_default();
        let extra = extra_keys(properties.headers).ok().flatten();
        let mut keys = vec![message.routing_key()];
        if let Some(extra) = &extra {
            keys.extend(extra.cc.iter().chain(&extra.bcc).map(String::as_str));
        }
        let mut table = TableBuilder::new();
        table.longstr("exchange_name", message.exchange());
        table.array_of_longstr("routing_keys", &keys);
        table.table("properties", properties_table(&properties));
        table.longstr("node", node);
        if let Way::Delivered(_, redelivered) = &self.way {
            table.int("redelivered", i32::from(*redelivered));
        }
        table.longstr("vhost", &**self.vhost.name());
        table.longstr("connection", &self.connection);
        table.int("channel", i32::from(self.channel));
        table.longstr("user", &self.user);
        if let Way::Published(queues) = &self.way {
            table.array_of_longstr("routed_queues", queues);
        }
        table.finish()
    }
}

/// The properties that are there, by RabbitMQ's names of them.
fn properties_table(p: &Properties<'_>) -> Vec<u8> {
    let mut table = TableBuilder::new();
    let texts = [
        ("content_type", p.content_type),
        ("content_encoding", p.content_encoding),
    ];
    let more = [
        ("correlation_id", p.correlation_id),
        ("reply_to", p.reply_to),
        ("expiration", p.expiration),
        ("message_id", p.message_id),
    ];
    let last = [
        ("type", p.type_),
        ("user_id", p.user_id),
        ("app_id", p.app_id),
        ("cluster_id", p.cluster_id),
    ];
    let put = |table: &mut TableBuilder, texts: &[(&str, Option<&[u8]>)]| {
        for (name, text) in texts {
            if let Some(text) = text {
                table.longstr(name, text);
            }
        }
    };
    put(&mut table, &texts);
    if let Some(headers) = p.headers {
        table.table("headers", headers.as_bytes());
    }
    for (name, number) in [("delivery_mode", p.delivery_mode), ("priority", p.priority)] {
        if let Some(number) = number {
            table.int(name, i32::from(number));
        }
    }
    put(&mut table, &more);
    if let Some(seconds) = p.timestamp {
        table.long("timestamp", i64::try_from(seconds).unwrap_or(i64::MAX));
    }
    put(&mut table, &last);
    table.finish()
}
