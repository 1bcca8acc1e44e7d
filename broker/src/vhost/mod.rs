//! One virtual host while the node runs: its exchanges, queues and bindings, durable or not.
//!
//! Lookups by name go to concurrent maps and hand out `Arc`s. Every change of the topology
//! (declare, delete, bind, unbind) takes the vhost's topology lock first, so that checks and
//! changes over several objects are one step; durable ones also go through the catalog.
//! Lock order: topology, then catalog, then routing; a queue's own lock is never held here.

mod bindings;
mod delays;
mod events;
mod exchanges;
mod policies;
mod queues;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use warren_amqp::{FieldTable, ReplyError};
use warren_exchanges::{ExchangeKind, RoutingTable};

pub use bindings::BindingRequest;
pub use exchanges::{Exchange, ExchangeRequest};
use policies::VhostPolicies;
pub(crate) use queues::is_durable;
pub use queues::{Declared, QueueRequest, generated_name};

use crate::broker::Shared;
use crate::history::History;
use crate::notices::{EVENT_EXCHANGE, TRACE_EXCHANGE, Viewers};
use crate::queue::{Queue, QueueHandle};
use crate::route::REPLY_TO;
use crate::stats::{ExchangeStats, VhostStats};

/// A virtual host.
pub struct Vhost {
    name: Arc<str>,
    shared: Arc<Shared>,
    exchanges: DashMap<String, Arc<Exchange>>,
    queues: DashMap<String, Arc<Queue>>,
    /// Hidden queues of direct reply-to, by their full pseudo-queue name.
    replies: DashMap<String, Arc<Queue>>,
    /// The hidden queues of delayed exchanges, by exchange.
    delays: DashMap<String, Arc<Queue>>,
    /// What recent-history exchanges remember, by exchange.
    histories: DashMap<String, Arc<History>>,
    /// The state of [`Vhost::draw`].
    drawn: AtomicU64,
    routing: RwLock<RoutingTable<QueueHandle>>,
    generation: AtomicU64,
    pub(crate) topology: Mutex<()>,
    policies: VhostPolicies,
    /// It is deleted: nothing more may be declared in it.
    shut: AtomicBool,
    /// Messages are traced (row O-20).
    traced: AtomicBool,
    /// Somebody looks at messages as they pass.
    watched: AtomicBool,
    /// Either of the two: one question for all that passes.
    tapped: AtomicBool,
    /// Those who look.
    viewers: Viewers,
    /// The event exchange is here.
    hosts_events: bool,
    stats: Arc<VhostStats>,
}

impl Drop for Vhost {
    fn drop(&mut self) {
        self.shared.stats.retire_vhost(&self.name, &self.stats);
        let (queues, exchanges) = (self.queues.len(), self.exchanges.len());
        self.shared.n_queues.fetch_sub(queues, Ordering::Relaxed);
        self.shared
            .n_exchanges
            .fetch_sub(exchanges, Ordering::Relaxed);
    }
}

/// The exchanges every vhost has.
const PREDECLARED: [(&str, ExchangeKind, bool); 7] = [
    ("", ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    (TRACE_EXCHANGE, ExchangeKind::Topic, true),
];

impl Vhost {
    /// An empty vhost with the predeclared exchanges.
    pub(crate) fn new(name: &str, shared: &Arc<Shared>) -> Arc<Self> {
        let vhost = Self {
            name: name.into(),
            shared: Arc::clone(shared),
            exchanges: DashMap::new(),
            queues: DashMap::new(),
            replies: DashMap::new(),
            delays: DashMap::new(),
            histories: DashMap::new(),
            drawn: AtomicU64::new(seed()),
            routing: RwLock::new(RoutingTable::new()),
            generation: AtomicU64::new(1),
            topology: Mutex::new(()),
            policies: VhostPolicies::default(),
            shut: AtomicBool::new(false),
            traced: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            tapped: AtomicBool::new(false),
            viewers: Viewers::default(),
            hosts_events: shared.event_vhost.as_deref() == Some(name),
            stats: shared.stats.add_vhost(name),
        };
        let events = (EVENT_EXCHANGE, ExchangeKind::Topic, true);
        let events = vhost.hosts_events.then_some(events);
        for (name, kind, internal) in PREDECLARED.into_iter().chain(events) {
            vhost.install_exchange(Exchange {
                name: name.to_owned(),
                kind,
                durable: true,
                auto_delete: false,
                internal,
                arguments: FieldTable::default(),
                alternate: None,
                stats: ExchangeStats::new(&vhost.stats),
            });
        }
        Arc::new(vhost)
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is counted in it.
    pub fn stats(&self) -> &Arc<VhostStats> {
        &self.stats
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether what is published and delivered is traced.
    pub fn traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    /// Switches tracing on or off, until the node stops.
    pub fn set_traced(&self, traced: bool) {
        let _changing = self.viewers.changing();
        self.traced.store(traced, Ordering::Relaxed);
        self.tap();
    }

    /// Whether anything is done with what passes: one relaxed load.
    pub(crate) fn tapped(&self) -> bool {
        self.tapped.load(Ordering::Relaxed)
    }

    /// Whether somebody looks at messages as they pass.
    pub(crate) fn watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Says whether somebody looks; for who changes the viewers.
    pub(crate) fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
        self.tap();
    }

    /// Those who look at messages as they pass.
    pub(crate) fn viewers(&self) -> &Viewers {
        &self.viewers
    }

    /// While the viewers are locked.
    fn tap(&self) {
        let tapped = self.traced() || self.watched();
        self.tapped.store(tapped, Ordering::Relaxed);
    }

    /// Moves whenever a remembered route may have become wrong.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The binding tables.
    pub fn routing(&self) -> RwLockReadGuard<'_, RoutingTable<QueueHandle>> {
        self.routing.read()
    }

    /// The exchange of that name, or 404.
    pub fn exchange(&self, name: &str) -> Result<Arc<Exchange>, ReplyError> {
        let found = self
            .exchanges
            .get(name)
            .map(|exchange| Arc::clone(&exchange));
        found.ok_or_else(|| {
            ReplyError::not_found(format!("no exchange '{name}' in vhost '{}'", self.name))
        })
    }

    /// The queue of that name, or 404.
    pub fn queue(&self, name: &str) -> Result<Arc<Queue>, ReplyError> {
        self.find_queue(name).ok_or_else(|| {
            ReplyError::not_found(format!("no queue '{name}' in vhost '{}'", self.name))
        })
    }

    /// The queue of that name, if there is one.
    pub fn find_queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.get(name).map(|queue| Arc::clone(&queue))
    }

    /// Where the default exchange sends `key`: the queue of that name or a reply-to pseudo-queue.
    pub(crate) fn default_target(&self, key: &str) -> Option<Arc<Queue>> {
        self.find_queue(key).or_else(|| {
            if !key.starts_with(REPLY_TO) {
                return None;
            }
            self.replies.get(key).map(|queue| Arc::clone(&queue))
        })
    }

    /// All queues, in no order.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.queues.iter().map(|queue| Arc::clone(&queue)).collect()
    }

    /// Number of queues.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// All exchanges, in no order.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.exchanges
            .iter()
            .map(|exchange| Arc::clone(&exchange))
            .collect()
    }

    /// Number of exchanges.
    pub fn exchange_count(&self) -> usize {
        self.exchanges.len()
    }

    /// Declares nothing more: it is deleted.
    pub(crate) fn shut(&self) {
        let _topology = self.topology.lock();
        self.shut.store(true, Ordering::Release);
    }

    /// A number for a message's lot. Neighbours are no strangers: it is mixed where it is used.
    pub(crate) fn draw(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed)
    }

    /// What the exchange of that name remembers, if it is one that does.
    pub(crate) fn history(&self, exchange: &str) -> Option<Arc<History>> {
        let found = self.histories.get(exchange);
        found.map(|history| Arc::clone(&history))
    }

    /// Remembered routes must be found anew.
    fn bump_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.look_for_listeners();
    }
}

/// Where drawing lots begins; chance enough without system randomness.
fn seed() -> u64 {
    getrandom::u64().unwrap_or(0)
}

/// CR and LF are stripped from names.
fn clean_name(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '\r' | '\n')).collect()
}
