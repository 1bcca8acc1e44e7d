//! Open connections and their channels as an observer sees them. Each connection's task keeps its
//! own up to date with plain stores; nobody waits for anybody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use warren_amqp::{AMQPValue, FieldTable};

use super::counters::{Event, ExchangeStats, MessageStats, Octets, VhostStats, add};
use super::pairs::{Pairs, key_of};
use super::sampler::{Sampled, Track};
use crate::ids::{ConnectionId, ConsumerId};
use crate::queue::Queue;

/// What is fixed about an open connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Unique in this node.
    pub id: ConnectionId,
    /// `peer:port -> local:port`.
    pub name: String,
    /// The client's address.
    pub peer: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
    /// Its user.
    pub user: String,
    /// Its vhost.
    pub vhost: String,
    /// What the client said about itself.
    pub client_properties: FieldTable,
    /// The SASL mechanism it logged in with.
    pub auth_mechanism: String,
    /// Negotiated frame size, bytes; 0 for unlimited.
    pub frame_max: u32,
    /// Negotiated channels; 0 for unlimited.
    pub channel_max: u16,
    /// Negotiated heartbeat, seconds; 0 for none.
    pub heartbeat_s: u16,
    /// When it was opened, Unix milliseconds.
    pub connected_at_ms: u64,
}

impl ConnectionInfo {
    /// What its client calls itself, if it says so.
    pub fn given_name(&self) -> Option<String> {
        match self.client_properties.inner().get("connection_name")? {
            AMQPValue::LongString(name) => {
                Some(String::from_utf8_lossy(name.as_bytes()).into_owned())
            }
            _ => None,
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionState {
    /// Reading and writing.
    Running,
    /// Not read because the broker is behind.
    Flow,
    /// Published while an alarm is on: not read until it is off.
    Blocked,
    /// Closing.
    Closing,
}

impl ConnectionState {
    fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Flow,
            2 => Self::Blocked,
            3 => Self::Closing,
            _ => Self::Running,
        }
    }

    /// As the API says it. A running connection blocks with its next publish while an alarm is
    /// on.
    pub fn name(self, alarmed: bool) -> &'static str {
        match self {
            Self::Running if alarmed => "blocking",
            Self::Running => "running",
            Self::Flow => "flow",
            Self::Blocked => "blocked",
            Self::Closing => "closing",
        }
    }
}

/// An open connection.
pub struct LiveConnection {
    /// What is fixed about it.
    pub info: ConnectionInfo,
    octets: Octets,
    state: AtomicU8,
    channels: Mutex<BTreeMap<u16, Arc<LiveChannel>>>,
    vhost: Arc<VhostStats>,
    track: Track,
}

impl LiveConnection {
    /// A connection to the vhost these counters belong to.
    pub fn new(info: ConnectionInfo, vhost: &Arc<VhostStats>) -> Arc<Self> {
        Arc::new(Self {
            info,
            octets: Octets::default(),
            state: AtomicU8::new(ConnectionState::Running as u8),
            channels: Mutex::default(),
            vhost: Arc::clone(vhost),
            track: Track::new(vhost.sampler()),
        })
    }

    /// Counts one or more reads from the socket.
    pub fn count_received(self: &Arc<Self>, bytes: u64, reads: u64) {
        add(&self.octets.received, bytes);
        add(&self.octets.reads, reads);
        self.track.touched(self);
        self.vhost.count_octets(bytes, 0);
    }

    /// Counts one or more writes to the socket.
    pub fn count_sent(self: &Arc<Self>, bytes: u64, writes: u64) {
        add(&self.octets.sent, bytes);
        add(&self.octets.writes, writes);
        self.track.touched(self);
        self.vhost.count_octets(0, bytes);
    }

    /// Bytes and packets so far.
    pub fn octets(&self) -> &Octets {
        &self.octets
    }

    /// Says what it is doing.
    pub fn set_state(&self, state: ConnectionState) {
        if self.state.load(Ordering::Relaxed) != state as u8 {
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    /// What it is doing.
    pub fn state(&self) -> ConnectionState {
        ConnectionState::from_number(self.state.load(Ordering::Relaxed))
    }

    /// A channel was opened.
    pub fn open_channel(&self, number: u16) -> Arc<LiveChannel> {
        let channel = LiveChannel::new(number, &self.vhost);
        self.channels.lock().insert(number, Arc::clone(&channel));
        channel
    }

    /// A channel is gone.
    pub fn close_channel(&self, number: u16) {
        self.channels.lock().remove(&number);
    }

    /// Its open channels, by number.
    pub fn channels(&self) -> Vec<Arc<LiveChannel>> {
        self.channels.lock().values().map(Arc::clone).collect()
    }

    /// The channel of that number.
    pub fn channel(&self, number: u16) -> Option<Arc<LiveChannel>> {
        self.channels.lock().get(&number).map(Arc::clone)
    }

    /// Number of open channels.
    pub fn channel_count(&self) -> usize {
        self.channels.lock().len()
    }
}

impl Sampled for LiveConnection {
    fn track(&self) -> &Track {
        &self.track
    }

    /// Bytes received and sent.
    fn read(&self, values: &mut Vec<u64>) {
        let octets = [&self.octets.received, &self.octets.sent];
        values.extend(octets.map(|n| n.load(Ordering::Relaxed)));
    }
}

/// An open channel.
pub struct LiveChannel {
    /// Its number on its connection.
    pub number: u16,
    /// Prefetch of consumers started from now on; 0 is unlimited.
    pub prefetch: AtomicU32,
    /// Prefetch shared by all consumers of the channel; 0 is unlimited.
    pub global_prefetch: AtomicU32,
    /// In confirm mode.
    pub confirm: AtomicBool,
    /// In transaction mode.
    pub transactional: AtomicBool,
    /// Publishes not confirmed yet.
    pub unconfirmed: AtomicU64,
    /// Publishes not committed yet.
    pub uncommitted: AtomicU64,
    /// Settlements not committed yet.
    pub acks_uncommitted: AtomicU64,
    messages: MessageStats,
    consumers: Mutex<Vec<(ConsumerId, Weak<Queue>)>>,
    publishes: Pairs<ExchangeStats>,
    deliveries: Pairs<Queue>,
    vhost: Arc<VhostStats>,
    track: Track,
}

impl LiveChannel {
    fn new(number: u16, vhost: &Arc<VhostStats>) -> Arc<Self> {
        Arc::new(Self {
            number,
            prefetch: AtomicU32::new(0),
            global_prefetch: AtomicU32::new(0),
            confirm: AtomicBool::new(false),
            transactional: AtomicBool::new(false),
            unconfirmed: AtomicU64::new(0),
            uncommitted: AtomicU64::new(0),
            acks_uncommitted: AtomicU64::new(0),
            messages: MessageStats::default(),
            consumers: Mutex::default(),
            publishes: Pairs::default(),
            deliveries: Pairs::default(),
            vhost: Arc::clone(vhost),
            track: Track::new(vhost.sampler()),
        })
    }

    /// Counts what happened on the channel; its vhost has counted it elsewhere.
    pub fn count(self: &Arc<Self>, event: Event, n: u64) {
        if n > 0 {
            self.messages.add(event, n);
            self.track.touched(self);
        }
    }

    /// Counts what was published to an exchange, if rates are kept in detail.
    pub fn count_to(&self, exchange: &Arc<ExchangeStats>, counts: &[(Event, u64)]) {
        let other = (key_of(exchange), exchange);
        self.publishes.count(self.track.sampler(), other, counts);
    }

    /// Counts what passed between the channel and a queue, if rates are kept in detail.
    pub fn count_from(&self, queue: &Arc<Queue>, counts: &[(Event, u64)]) {
        let other = (queue.id().0, queue);
        self.deliveries.count(self.track.sampler(), other, counts);
    }

    /// What it published, by exchange.
    pub fn publishes(&self) -> &Pairs<ExchangeStats> {
        &self.publishes
    }

    /// What it was served and acknowledged, by queue.
    pub fn deliveries(&self) -> &Pairs<Queue> {
        &self.deliveries
    }

    /// Counts confirms sent, on the channel and its vhost.
    pub fn count_confirmed(self: &Arc<Self>, n: u64) {
        self.count(Event::Confirm, n);
        self.vhost.count(Event::Confirm, n);
    }

    /// What happened on it.
    pub fn messages(&self) -> &MessageStats {
        &self.messages
    }

    /// Notes a consumer.
    pub fn add_consumer(&self, id: ConsumerId, queue: &Arc<Queue>) {
        self.consumers.lock().push((id, Arc::downgrade(queue)));
    }

    /// Forgets a consumer.
    pub fn remove_consumer(&self, id: ConsumerId) {
        self.consumers.lock().retain(|(known, _)| *known != id);
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.consumers.lock().len()
    }

    /// Its consumers and their queues.
    pub fn consumers(&self) -> Vec<(ConsumerId, Arc<Queue>)> {
        let consumers = self.consumers.lock();
        let live = consumers
            .iter()
            .filter_map(|(id, queue)| queue.upgrade().map(|queue| (*id, queue)));
        live.collect()
    }
}

impl Sampled for LiveChannel {
    fn track(&self) -> &Track {
        &self.track
    }

    fn read(&self, values: &mut Vec<u64>) {
        values.extend(self.messages.all());
    }
}
