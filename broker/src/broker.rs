//! The broker of one node: what vhosts, connections and the HTTP face share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use warren_amqp::ReplyError;
use warren_storage::{DataDir, Durability, MessageLog, OpenError, QueueId};

use crate::admin::{NodeLimits, OpenCounts, VhostDefaults};
use crate::alarms::Alarms;
use crate::audit::{Audit, Change};
use crate::auth::{LoginThrottle, LoopbackUsers, PasswordRules};
use crate::catalog::Catalog;
use crate::held::Held;
use crate::ids::{ConnectionId, ConsumerId};
use crate::intercept::Interceptors;
use crate::notices::Notices;
use crate::pager::{Pager, PagingSettings};
use crate::recovery;
use crate::stats::{Churn, LiveConnection, NodeStats, Sampler};
use crate::timers::Timers;
use crate::tls_details::TlsDetails;
use crate::turn::Turn;
use crate::vhost::Vhost;

/// Settings of the engine; the program reads them from its configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, as shown to operators.
    pub node_name: String,
    /// The cluster's name, as told to clients.
    pub cluster_name: String,
    /// Who may only log in from this host.
    pub loopback_users: LoopbackUsers,
    /// What new passwords must be like, and how they are stored.
    pub passwords: PasswordRules,
    /// Largest message body accepted, bytes.
    pub max_message_size: u64,
    /// What is written on messages that come in.
    pub interceptors: Interceptors,
    /// How often counters are sampled for rates and history, milliseconds.
    pub sample_interval_ms: u64,
    /// When a message counts as durable and may be confirmed. Definitions are always synced.
    pub durability: Durability,
    /// How much there may be of what clients and operators make.
    pub limits: NodeLimits,
    /// How backlogs are kept.
    pub paging: PagingSettings,
    /// The vhost that has the event exchange; without it nothing tells of events.
    pub event_vhost: Option<String>,
    /// What new vhosts begin with.
    pub vhost_defaults: VhostDefaults,
}

/// What vhosts need of the broker.
pub struct Shared {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) pager: Arc<Pager>,
    pub(crate) notices: Arc<Notices>,
    /// Who changed what.
    pub(crate) audit: Audit,
    pub(crate) event_vhost: Option<String>,
    pub(crate) default_queue_type: Option<String>,
    pub(crate) next_durable_queue: AtomicU64,
    pub(crate) next_transient_queue: AtomicU64,
    pub(crate) stats: Arc<NodeStats>,
    pub(crate) limits: NodeLimits,
    /// Queues of all vhosts.
    pub(crate) n_queues: AtomicUsize,
    /// Exchanges of all vhosts.
    pub(crate) n_exchanges: AtomicUsize,
}

/// A live connection as the broker sees it.
pub trait ConnectionHandle: Send + Sync {
    /// The alarms changed: block or unblock publishing.
    fn alarms_changed(&self);
    /// Looks for deliveries that were not acknowledged in time.
    fn check_deliveries(&self, _now_ms: u64) {}
    /// Close it with this error (an operator's wish, a deleted vhost or user).
    fn close(&self, error: ReplyError);
    /// Its name: `peer:port -> local:port`.
    fn name(&self) -> String;
    /// Its user.
    fn user(&self) -> String;
    /// Its vhost.
    fn vhost(&self) -> String;
    /// Its encryption; `None` if it is not encrypted.
    fn tls(&self) -> Option<Arc<TlsDetails>> {
        None
    }
    /// What can be seen of it.
    fn live(&self) -> &Arc<LiveConnection>;
    /// Deliveries on a channel that are not settled.
    fn unacked(&self, channel: u16) -> usize;
    /// Deliveries of a queue it holds, the oldest of each channel first, at most `most` of each.
    fn held_of(&self, _queue: QueueId, _most: usize) -> Vec<Held> {
        Vec::new()
    }
    /// Bytes waiting to be sent.
    fn send_pending(&self) -> usize;
}

/// One node's broker.
pub struct Broker {
    settings: Settings,
    shared: Arc<Shared>,
    log: MessageLog,
    vhosts: DashMap<String, Arc<Vhost>>,
    timers: Timers,
    connections: DashMap<ConnectionId, Arc<dyn ConnectionHandle>>,
    alarms: RwLock<Alarms>,
    alarm_bits: AtomicU8,
    open: Arc<OpenCounts>,
    /// Held while vhosts come and go.
    vhost_changes: Mutex<()>,
    next_id: AtomicU64,
    throttle: LoginThrottle,
    // Held for its lock on the data directory.
    _dir: DataDir,
}

impl Broker {
    /// Opens the data directory, recovers definitions and messages. `prepare` may change the
    /// definitions before queues are rebuilt (first boot, definitions file).
    pub fn open(
        dir: &Path,
        settings: Settings,
        now_ms: u64,
        prepare: impl FnOnce(&Catalog) -> Result<(), String>,
    ) -> Result<Self, BootError> {
        let dir = DataDir::open(dir)?;
        let catalog = Arc::new(Catalog::open(&dir)?);
        prepare(&catalog).map_err(BootError::Definitions)?;
        let first_free = catalog.read().next_queue_id();
        let stats = NodeStats::new(&Sampler::new(settings.sample_interval_ms, now_ms));
        let shared = Arc::new(Shared {
            catalog,
            stats,
            limits: settings.limits,
            n_queues: AtomicUsize::new(0),
            n_exchanges: AtomicUsize::new(0),
            pager: Pager::new(settings.paging),
            notices: Notices::new(),
            audit: Audit::default(),
            event_vhost: settings.event_vhost.clone(),
            default_queue_type: settings.vhost_defaults.queue_type.clone(),
            next_durable_queue: AtomicU64::new(first_free),
            next_transient_queue: AtomicU64::new(1),
        });
        let vhosts = recovery::rebuild_vhosts(&shared, now_ms);
        let durability = settings.durability;
        let log = recovery::recover_messages(&shared, &dir, durability, &vhosts)?;
        let broker = Self {
            settings,
            shared,
            log,
            vhosts,
            timers: Timers::default(),
            connections: DashMap::new(),
            alarms: RwLock::new(Alarms::default()),
            alarm_bits: AtomicU8::new(0),
            open: Arc::default(),
            vhost_changes: Mutex::new(()),
            next_id: AtomicU64::new(1),
            throttle: LoginThrottle::default(),
            _dir: dir,
        };
        recovery::start_timers(&broker, now_ms);
        Ok(broker)
    }

    /// The settings it runs with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The type of queues declared without one, where their vhost does not say.
    pub fn default_queue_type(&self) -> &str {
        let chosen = &self.settings.vhost_defaults.queue_type;
        chosen.as_deref().unwrap_or("classic")
    }

    /// What clients and operators are told the cluster is called: as it was renamed, else as it
    /// was configured.
    pub fn cluster_name(&self) -> String {
        let state = self.shared.catalog.read();
        let named = state.global_parameter("cluster_name");
        let named = named.and_then(|name| name.as_str().map(str::to_owned));
        named.unwrap_or_else(|| self.settings.cluster_name.clone())
    }

    /// The definitions.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.shared.catalog
    }

    /// Who changed what lately, the latest first.
    pub fn changes(&self) -> Vec<Change> {
        self.shared.audit.list()
    }

    /// Notes beside those changes what somebody did to messages or clients.
    pub fn note_action(
        &self,
        action: &'static str,
        (vhost, name): (&str, &str),
        details: String,
        turn: &Turn,
    ) {
        let audit = &self.shared.audit;
        audit.note_action(action, (vhost, name), details, turn);
    }

    /// The commit log.
    pub fn log(&self) -> &MessageLog {
        &self.log
    }

    /// Why nothing can be made durable, at the moment or for good.
    pub fn stalled(&self) -> Option<String> {
        let catalog = self.catalog();
        let (log, failed) = (&self.log, catalog.failure());
        failed
            .or_else(|| log.failure())
            .or_else(|| log.stalled())
            .or_else(|| catalog.stalled())
    }

    pub(crate) fn pager(&self) -> &Arc<Pager> {
        &self.shared.pager
    }

    pub(crate) fn notices(&self) -> &Arc<Notices> {
        &self.shared.notices
    }

    /// Slows down who guesses passwords, over whichever protocol.
    pub fn login_throttle(&self) -> &LoginThrottle {
        &self.throttle
    }

    /// Deadlines of queues.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Comings and goings.
    pub fn counters(&self) -> &Churn {
        &self.shared.stats.churn
    }

    /// Totals of the node and their history.
    pub fn stats(&self) -> &Arc<NodeStats> {
        &self.shared.stats
    }

    /// The vhost of that name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| Arc::clone(&vhost))
    }

    /// All vhosts.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        self.vhosts.iter().map(|vhost| Arc::clone(&vhost)).collect()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn open_counts(&self) -> &Arc<OpenCounts> {
        &self.open
    }

    pub(crate) fn vhost_changes(&self) -> &Mutex<()> {
        &self.vhost_changes
    }

    pub(crate) fn insert_vhost(&self, vhost: Arc<Vhost>) {
        self.vhosts.insert(vhost.name().to_string(), vhost);
    }

    pub(crate) fn take_vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.remove(name).map(|(_, vhost)| vhost)
    }

    /// A new connection identity.
    pub fn new_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// A new consumer identity; later ones are greater.
    pub fn new_consumer_id(&self) -> ConsumerId {
        ConsumerId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers an open connection.
    pub fn add_connection(&self, id: ConnectionId, handle: Arc<dyn ConnectionHandle>) {
        self.counters()
            .connections_opened
            .fetch_add(1, Ordering::Relaxed);
        self.connections.insert(id, handle);
    }

    /// Forgets a connection.
    pub fn remove_connection(&self, id: ConnectionId) {
        if self.connections.remove(&id).is_some() {
            self.counters()
                .connections_closed
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Number of open connections.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// The open connection of that identity.
    pub fn connection(&self, id: ConnectionId) -> Option<Arc<dyn ConnectionHandle>> {
        self.connections.get(&id).map(|handle| Arc::clone(&handle))
    }

    /// All open connections.
    pub fn connections(&self) -> Vec<Arc<dyn ConnectionHandle>> {
        self.connections
            .iter()
            .map(|handle| Arc::clone(&handle))
            .collect()
    }

    /// Whether any alarm is on: one atomic load, for the publish path.
    pub fn alarmed(&self) -> bool {
        self.alarm_bits.load(Ordering::Relaxed) != 0
    }

    /// The alarms that are on.
    pub fn alarms(&self) -> Alarms {
        *self.alarms.read()
    }

    /// Sets the alarms, at `now_ms` (Unix milliseconds); a stalled log is one of the disk. Connections
    /// and the event exchange are told when they changed. `find` is asked in turn with others who set
    /// them, so that the last one sets what was found last.
    pub fn set_alarms(&self, find: impl FnOnce() -> Alarms, now_ms: u64) {
        let mut current = self.alarms.write();
        let mut alarms = find();
        alarms.disk |= self.stalled().is_some();
        let before = std::mem::replace(&mut *current, alarms);
        self.alarm_bits
            .store(u8::from(alarms.any()), Ordering::Relaxed);
        drop(current);
        if before == alarms {
            return;
        }
        self.connections()
            .iter()
            .for_each(|connection| connection.alarms_changed());
        self.tell_alarms(before, alarms, now_ms);
    }

    fn tell_alarms(&self, before: Alarms, after: Alarms, now_ms: u64) {
        for (source, was, is) in [
            ("memory", before.memory, after.memory),
            ("disk", before.disk, after.disk),
        ] {
            if was != is {
                let key = if is { "alarm.set" } else { "alarm.cleared" };
                self.notify(key, None, now_ms, |t| {
                    t.longstr("source", source);
                    t.longstr("node", &self.settings().node_name);
                });
            }
        }
    }

    /// Closes the connections that `which` chooses.
    pub fn close_connections(
        &self,
        error: &ReplyError,
        which: impl Fn(&dyn ConnectionHandle) -> bool,
    ) {
        for connection in self.connections() {
            if which(&*connection) {
                connection.close(error.clone());
            }
        }
    }

    /// Writes and syncs everything; nothing may be published afterwards.
    pub fn close(&self) {
        self.notices().stop();
        self.pager().stop();
        if let Err(error) = self.log.close() {
            tracing::error!(%error, "the commit log did not close cleanly");
        }
        self.shared.catalog.close();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.notices().stop();
        self.pager().stop();
    }
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] OpenError),
    /// The definitions, stored or imported.
    #[error("definitions: {0}")]
    Definitions(String),
}
