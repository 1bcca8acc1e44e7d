//! A client connection as a state machine: bytes in, bytes into its outbox.
//!
//! The driver (`net::driver`) owns the socket and the clock. It calls, in this order and never
//! concurrently: [`Connection::receive`] with what was read (or [`Connection::body_space`], and
//! [`Connection::body_read`] with what was read to there), [`Connection::settle`] before it
//! writes or sleeps, [`Connection::tick`] now and then, [`Connection::signalled`] with what others
//! asked for, and [`Connection::end`] once, at the end. Nothing in here waits.
//!
//! ```text
//!   Header -> Start -> Tune -> Open -> Running -> Closing | Closed
//!             (handshake.rs)           (channels)
//! ```

pub(crate) mod acks;
mod arriving;
#[cfg(test)]
mod arriving_tests;
mod basic;
#[cfg(test)]
mod budget;
mod channel;
mod closing;
mod confirms;
mod content;
mod dispatch;
mod events;
mod fault;
mod handle;
mod handshake;
#[cfg(test)]
mod peer;
mod settle;
mod topology;
mod tx;
pub(crate) mod unacked;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use warren_amqp::frame;
use warren_amqp::protocol::{AMQPClass, channel as channel_methods};
use warren_amqp::{FieldTable, ReplyError, put_method};
use warren_broker::stats::{ConnectionState, LiveConnection};
use warren_broker::{
    ConnectionId, ConnectionSlot, ConsumerSink, Face, PublishBatch, Queue, RouteCache, Session,
    Tap, Turn, Vhost,
};
use warren_storage::{Position, QueueId};

use self::acks::PendingAcks;
use self::arriving::Arriving;
use self::channel::{Channel, OpenChannel};
use self::fault::Fault;
use crate::clock;
use crate::net::outbox::{Outbox, Signals};
use crate::server::Context;
use crate::tls::Secured;

/// What was read is handled for so long; then the other connections of the worker get a turn. A
/// read may hold some thousand commands, and each may take its time.
const TURN_MAX: Duration = Duration::from_millis(4);

/// So is one that publishes a message larger than this, bytes.
const LARGE_MESSAGE: u64 = 8 * 1024 * 1024;

/// Where a connection is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Waiting for the protocol header.
    Header,
    /// `connection.start` sent.
    Start,
    /// `connection.tune` sent.
    Tune,
    /// `tune-ok` received.
    Open,
    /// Open for channels.
    Running,
    /// `connection.close` sent: everything but close-ok is ignored.
    Closing,
    /// Nothing more is read; the socket goes once the outbox is written.
    Closed,
}

/// What the client said it can do.
#[derive(Clone, Copy, Debug, Default)]
struct Capabilities {
    authentication_failure_close: bool,
    consumer_cancel_notify: bool,
    connection_blocked: bool,
}

/// See the module documentation.
pub(crate) struct Connection {
    context: Arc<Context>,
    id: ConnectionId,
    name: String,
    peer: SocketAddr,
    /// What TLS brought, if there is TLS.
    secured: Option<Box<Secured>>,
    local: SocketAddr,
    /// What the client said about itself and how it logged in, until the connection is open.
    introduced: (FieldTable, String),
    /// What others see of it, once it is open.
    live: Option<Arc<LiveConnection>>,
    /// Traces what it publishes, once it has a vhost.
    tap: Option<Tap>,
    /// Bytes and packets received and sent before.
    early: [u64; 4],
    outbox: Arc<Outbox>,
    phase: Phase,
    capabilities: Capabilities,
    login: Option<warren_broker::auth::AuthenticatedUser>,
    session: Option<Session>,
    vhost: Option<Arc<Vhost>>,
    frame_max: u32,
    channel_max: u16,
    heartbeat_s: u16,
    channels: FxHashMap<u16, Channel>,
    turn: Turn,
    batch: PublishBatch,
    routes: RouteCache,
    acks: PendingAcks,
    /// Channels the client closed, while close-ok is on its way: what it had already sent on them
    /// is discarded (H-11, W-37).
    leaving: Vec<u16>,
    /// Channels with confirms still to be answered.
    confirming: Vec<u16>,
    /// Replies wait until the catalog and the log are durable up to here.
    barrier: (u64, Position),
    exclusive: Vec<Arc<Queue>>,
    /// The queue it began to consume last.
    consumes: Option<QueueId>,
    /// Published since the alarm went on: not read any more.
    blocked: bool,
    blocked_told: bool,
    /// The large body frame of which a part has been handled.
    arriving: Option<Arriving>,
    /// A get that waits for its message: nothing more is handled before it is answered.
    parked: Option<basic::ParkedGet>,
    /// When the socket is dropped whatever happens.
    drop_at: Option<Instant>,
    /// The input cannot be followed any more: whatever comes is discarded.
    deaf: bool,
    /// The turn was over before all that was read was handled.
    cut_short: bool,
    /// Commands of this turn, publishes and acks aside.
    commands: u32,
    /// It has done things of which one may take long.
    ponderous: bool,
    /// Why it ended, for the log.
    ended: Option<String>,
    registered: bool,
    /// Its place among those that are limited in number.
    slot: Option<ConnectionSlot>,
    /// `end` has run.
    over: bool,
}

/// Also when its task ends by a bug: consumers must not stay behind, nor messages unacked.
impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

impl Connection {
    /// A connection that has just been accepted.
    pub(crate) fn new(
        context: Arc<Context>,
        outbox: Arc<Outbox>,
        peer: SocketAddr,
        local: SocketAddr,
        secured: Option<Box<Secured>>,
    ) -> Self {
        let id = context.broker.new_connection_id();
        let frame_max = context.limits.initial_frame_max;
        let log = context.broker.log().clone();
        Self {
            context,
            id,
            name: format!("{peer} -> {local}"),
            peer,
            secured,
            local,
            introduced: Default::default(),
            live: None,
            tap: None,
            early: [0; 4],
            outbox,
            phase: Phase::Header,
            capabilities: Capabilities::default(),
            login: None,
            session: None,
            vhost: None,
            frame_max,
            channel_max: 0,
            heartbeat_s: 0,
            channels: FxHashMap::default(),
            turn: Turn::default().mark_deliveries(&log),
            batch: PublishBatch::of(id),
            routes: RouteCache::default(),
            acks: PendingAcks::default(),
            leaving: Vec::new(),
            confirming: Vec::new(),
            barrier: (0, 0),
            exclusive: Vec::new(),
            consumes: None,
            blocked: false,
            blocked_told: false,
            arriving: None,
            parked: None,
            drop_at: None,
            deaf: false,
            cut_short: false,
            commands: 0,
            ponderous: false,
            ended: None,
            registered: false,
            slot: None,
            over: false,
        }
    }

    /// So many bytes were read from the socket at once.
    pub(crate) fn count_received(&mut self, bytes: usize) {
        match &self.live {
            Some(live) => live.count_received(bytes as u64, 1),
            None => {
                self.early[0] += bytes as u64;
                self.early[1] += 1;
            }
        }
    }

    /// So many bytes were written to the socket at once.
    pub(crate) fn count_sent(&mut self, bytes: usize) {
        match &self.live {
            Some(live) => live.count_sent(bytes as u64, 1),
            None => {
                self.early[2] += bytes as u64;
                self.early[3] += 1;
            }
        }
    }

    /// Says what it is doing; `throttled`: not read because the broker is behind.
    pub(crate) fn show_state(&self, throttled: bool) {
        let Some(live) = &self.live else { return };
        live.set_state(match self.phase {
            Phase::Closing | Phase::Closed => ConnectionState::Closing,
            _ if self.blocked => ConnectionState::Blocked,
            _ if throttled => ConnectionState::Flow,
            _ => ConnectionState::Running,
        });
    }

    /// The vhost it opened.
    pub(crate) fn vhost_name(&self) -> &str {
        self.vhost.as_ref().map_or("", |vhost| vhost.name())
    }

    /// Itself for the log: `(peer -> local, vhost: '/', user: 'guest')`.
    pub(crate) fn described(&self) -> String {
        match &self.session {
            Some(session) => format!(
                "({}, vhost: '{}', user: '{}')",
                self.name,
                self.vhost_name(),
                session.user.name
            ),
            None => format!("({})", self.name),
        }
    }

    /// The negotiated heartbeat interval in seconds; 0 for none.
    pub(crate) fn heartbeat_s(&self) -> u16 {
        self.heartbeat_s
    }

    /// Whether the socket should be read.
    pub(crate) fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && !self.is_paused() && self.durable()
    }

    /// Whether input is left alone for now, because of an alarm or because a get waits for its
    /// message (heartbeats are not expected meanwhile, C-34).
    pub(crate) fn is_paused(&self) -> bool {
        self.blocked || self.parked.is_some()
    }

    /// Whether whole frames were left for another turn.
    pub(crate) fn left_input(&self) -> bool {
        self.cut_short || self.is_paused()
    }

    /// Whether it has declared hundreds of things at once, or published a very large message: it
    /// may do something again that takes long.
    pub(crate) fn is_ponderous(&self) -> bool {
        self.ponderous
    }

    /// Whether replies are held back until something is durable.
    pub(crate) fn holds_replies(&self) -> bool {
        !self.durable()
    }

    /// Whether what was read last went to queues that are behind their consumers; asked once per
    /// read.
    pub(crate) fn take_contended(&mut self) -> bool {
        self.batch.take_contended()
    }

    /// The number of the queue it published to last or began to consume last; 0 for none.
    pub(crate) fn company(&self) -> u64 {
        let published = self.batch.last_queue();
        published.or(self.consumes).map_or(0, |queue| queue.0)
    }

    /// Bytes published and not yet written by the log thread.
    pub(crate) fn log_backlog(&self) -> usize {
        self.context.broker.log().buffered_bytes()
    }

    /// Whether the socket may be closed once everything is written.
    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the handshake is over.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Closing | Phase::Closed)
    }

    /// When the socket is to be dropped whatever happens.
    pub(crate) fn drop_at(&self) -> Option<Instant> {
        self.drop_at
    }

    /// Why it ended, if the state machine ended it.
    pub(crate) fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Handles what was read and returns how much of it was used; the rest is the beginning of
    /// a frame and must be offered again, longer.
    pub(crate) fn receive(&mut self, input: &[u8]) -> usize {
        if self.deaf {
            return input.len();
        }
        self.turn.begin(clock::now_ms());
        if !self.leaving.is_empty() && self.outbox.pending() == 0 {
            self.leaving.clear();
        }
        let mut at = 0;
        if self.phase == Phase::Header {
            match self.receive_header(input) {
                Some(used) => at = used,
                None => {
                    return if self.phase == Phase::Closed {
                        input.len()
                    } else {
                        0
                    };
                }
            }
        }
        let (began, mut frames) = (Instant::now(), 0_u32);
        self.cut_short = false;
        self.commands = 0;
        while self.phase != Phase::Closed && !self.deaf && !self.left_input() {
            frames += 1;
            self.cut_short = frames.is_multiple_of(32) && began.elapsed() > TURN_MAX;
            if self.arriving.is_some() {
                at += self.arrive(&input[at..]);
                if self.arriving.is_some() {
                    break;
                }
                continue;
            }
            match frame::split(&input[at..], self.frame_max) {
                Ok(Some((frame, used))) => {
                    at += used;
                    at += self.frame(&frame, &input[at..]);
                }
                Ok(None) => {
                    at += self.begin_arriving(&input[at..]);
                    break;
                }
                Err(error) => {
                    self.broken_framing(error);
                    at = input.len();
                }
            }
        }
        if self.phase == Phase::Closed || self.deaf {
            input.len()
        } else {
            at
        }
    }

    /// Finishes a turn: publishes and acks gathered, confirms that have become due.
    pub(crate) fn settle(&mut self) {
        self.flush();
        self.answer_confirms();
        self.await_barrier();
    }

    /// Others asked for something.
    pub(crate) fn signalled(&mut self, signals: Signals) {
        self.turn.begin(clock::now_ms());
        for (channel, id, tag) in signals.cancelled {
            self.consumer_cancelled(channel, id, &tag);
        }
        for channel in signals.kick {
            self.kick_channel(channel);
        }
        if signals.alarms {
            self.alarms_changed();
        }
        if signals.head_here {
            self.resume_get();
        }
        for (channel, timeout_ms) in signals.overdue {
            self.not_acked_in_time(channel, timeout_ms);
        }
        if let Some(error) = signals.close
            && matches!(
                self.phase,
                Phase::Running | Phase::Open | Phase::Tune | Phase::Start
            )
        {
            self.close_connection(error.without_method());
        }
    }

    /// There is room in the outbox again: have the queues deliver.
    pub(crate) fn kick_queues(&mut self) {
        self.turn.begin(clock::now_ms());
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            self.kick_channel(number);
        }
        self.context.broker.finish(&mut self.turn);
    }

    /// Gives back what it keeps for the next round of work, if there is none under way.
    pub(crate) fn release_memory(&mut self) {
        if self.batch.is_empty() {
            self.batch = PublishBatch::of(self.id);
        }
        if self.turn.is_idle() {
            self.turn = self.new_turn();
        }
        if self.acks.is_empty() {
            self.acks = PendingAcks::default();
        }
        for channel in self.channels.values_mut() {
            if let Channel::Open(channel) = channel
                && let Some(tx) = &mut channel.tx
                && tx.publishes.is_empty()
            {
                tx.publishes = PublishBatch::default();
            }
        }
        self.routes = RouteCache::default();
        self.leaving.shrink_to_fit();
        self.confirming.shrink_to_fit();
        self.exclusive.shrink_to_fit();
        self.channels.shrink_to_fit();
    }

    /// Winds everything down; the socket is gone or going.
    pub(crate) fn end(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.turn.begin(clock::now_ms());
        self.flush();
        self.close_all_channels();
        self.delete_exclusive_queues();
        if std::mem::take(&mut self.registered) {
            self.tell_closed();
            self.context.broker.remove_connection(self.id);
            self.slot = None;
        }
    }

    /// A turn for its work, in its user's name.
    fn new_turn(&self) -> Turn {
        let turn = Turn::default().mark_deliveries(self.context.broker.log());
        match &self.session {
            Some(session) => turn.on_behalf_of(&session.user.name, Face::Amqp),
            None => turn,
        }
    }

    /// The session and vhost of an open connection.
    fn opened(&mut self) -> Result<(&mut Session, &Arc<Vhost>, &mut Turn), Fault> {
        match (&mut self.session, &self.vhost) {
            (Some(session), Some(vhost)) => Ok((session, vhost, &mut self.turn)),
            _ => Err(ReplyError::internal().into()),
        }
    }

    /// The channel, which the caller knows to be open.
    fn open(&mut self, number: u16) -> Result<&mut OpenChannel, Fault> {
        channel::open(&mut self.channels, number)
    }

    fn send(&self, channel: u16, method: &AMQPClass) {
        self.outbox
            .write(|inner| put_method(&mut inner.out.bytes, channel, method));
    }

    /// Sends a method given as its payload, where amq-protocol cannot say what the wire wants.
    fn send_raw(&self, channel: u16, payload: &[u8]) {
        self.outbox.write(|inner| {
            let out = &mut inner.out.bytes;
            out.push(frame::FRAME_METHOD);
            out.extend_from_slice(&channel.to_be_bytes());
            out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            out.extend_from_slice(payload);
            out.push(frame::FRAME_END);
        });
    }

    fn sink(&self) -> Arc<dyn ConsumerSink> {
        Arc::clone(&self.outbox) as Arc<dyn ConsumerSink>
    }
}

fn unimplemented_method() -> ReplyError {
    ReplyError::command_invalid("unimplemented method")
}

fn close_ok() -> AMQPClass {
    AMQPClass::Channel(channel_methods::AMQPMethod::CloseOk(
        channel_methods::CloseOk {},
    ))
}
