//! A client connection as a state machine: bytes in, bytes into its outbox.
//!
//! The driver (`net::driver`) owns the socket and the clock. It calls, in this order and never
//! concurrently: [`Connection::receive`] with what was read, [`Connection::settle`] before it
//! writes or sleeps, [`Connection::tick`] now and then, [`Connection::signalled`] with what others
//! asked for, and [`Connection::end`] once, at the end. Nothing in here waits.
//!
//! ```text
//!   Header -> Start -> Tune -> Open -> Running -> Closing | Closed
//!             (handshake.rs)           (channels)
//! ```

pub(crate) mod acks;
mod basic;
#[cfg(test)]
mod budget;
mod channel;
mod closing;
mod confirms;
mod content;
mod events;
mod fault;
mod handshake;
mod settle;
mod topology;
mod tx;
pub(crate) mod unacked;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use warren_amqp::frame::{self, Frame, FrameKind};
use warren_amqp::method::{self, method_ids, parse_method};
use warren_amqp::protocol::{AMQPClass, channel as channel_methods};
use warren_amqp::{FieldTable, ReplyError, put_method};
use warren_broker::stats::{ConnectionState, LiveConnection};
use warren_broker::{
    ConnectionHandle, ConnectionId, ConnectionSlot, ConsumerSink, Face, Held, PublishBatch, Queue,
    RouteCache, Session, Tap, TlsDetails, Turn, Vhost,
};
use warren_storage::{Position, QueueId};

use self::acks::PendingAcks;
use self::channel::{Channel, OpenChannel};
use self::fault::Fault;
use crate::clock;
use crate::net::outbox::{Outbox, Signals};
use crate::server::Context;
use crate::tls::Secured;

/// What was read is handled for so long; then the other connections of the worker get a turn. A
/// read may hold some thousand commands, and each may take its time.
const TURN_MAX: Duration = Duration::from_millis(4);

/// A connection with more commands than this in one turn, publishes and acks aside, is ponderous.
const COMMANDS_MAX: u32 = 500;

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

/// What the broker may do with this connection from outside.
struct Handle {
    live: Arc<LiveConnection>,
    tls: Option<Arc<TlsDetails>>,
    outbox: Arc<Outbox>,
    /// How long a delivery may stay unacked by default, milliseconds.
    consumer_timeout_ms: Option<u64>,
}

impl ConnectionHandle for Handle {
    fn check_deliveries(&self, now_ms: u64) {
        self.outbox
            .check_deliveries(now_ms, self.consumer_timeout_ms);
    }

    fn alarms_changed(&self) {
        self.outbox.signal(|signals| signals.alarms = true);
    }

    fn close(&self, error: ReplyError) {
        self.outbox.signal(|signals| signals.close = Some(error));
    }

    fn name(&self) -> String {
        self.live.info.name.clone()
    }

    fn user(&self) -> String {
        self.live.info.user.clone()
    }

    fn vhost(&self) -> String {
        self.live.info.vhost.clone()
    }

    fn live(&self) -> &Arc<LiveConnection> {
        &self.live
    }

    fn unacked(&self, channel: u16) -> usize {
        let mut inner = self.outbox.lock();
        let channel = inner.channel(channel);
        channel.map_or(0, |channel| channel.unacked.len())
    }

    fn held_of(&self, queue: QueueId, most: usize) -> Vec<Held> {
        self.outbox.lock().held_of(queue, most)
    }

    fn send_pending(&self) -> usize {
        self.outbox.pending()
    }

    fn tls(&self) -> Option<Arc<TlsDetails>> {
        self.tls.clone()
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
            match frame::split(&input[at..], self.frame_max) {
                Ok(Some((frame, used))) => {
                    at += used;
                    at += self.frame(&frame, &input[at..]);
                }
                Ok(None) => break,
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

    fn frame(&mut self, frame: &Frame<'_>, rest: &[u8]) -> usize {
        if self.phase == Phase::Closing {
            self.await_close_ok(frame);
            return 0;
        }
        if frame.kind == FrameKind::Heartbeat {
            return 0;
        }
        if frame.channel == 0 {
            self.connection_frame(frame);
            return 0;
        }
        if self.phase != Phase::Running {
            self.fault(
                0,
                (0, 0),
                Fault::drop_late("frame on a channel before the handshake ended"),
            );
            return 0;
        }
        self.channel_frame(frame, rest)
    }

    fn connection_frame(&mut self, frame: &Frame<'_>) {
        self.flush();
        let ids = method_ids(frame.payload).unwrap_or((0, 0));
        let result = if frame.kind == FrameKind::Method {
            self.connection_method(frame.payload)
        } else {
            Err(Fault::Reply(frame::unexpected_on_channel_zero(frame)))
        };
        if let Err(fault) = result {
            self.fault(0, ids, fault);
        }
    }

    /// Handles a frame on a channel; returns how much of `rest` was used along with it.
    fn channel_frame(&mut self, frame: &Frame<'_>, rest: &[u8]) -> usize {
        let number = frame.channel;
        let mut used = 0;
        let (ids, result) = match (self.channels.get(&number), frame.kind) {
            (Some(Channel::Closing), FrameKind::Method) => {
                let ids = method_ids(frame.payload).unwrap_or((0, 0));
                (ids, self.closing_channel_method(number, ids))
            }
            (Some(Channel::Closing), _) => return 0,
            (Some(Channel::Open(_)), FrameKind::Method) => {
                let ids = method_ids(frame.payload).unwrap_or((0, 0));
                (
                    ids,
                    self.channel_method(number, ids, frame.payload, rest, &mut used),
                )
            }
            (Some(Channel::Open(_)), FrameKind::Header) => {
                ((60, 40), self.content_header(number, frame.payload))
            }
            (Some(Channel::Open(_)), _) => ((60, 40), self.content_body(number, frame.payload)),
            (None, _) => {
                let ids = method_ids(frame.payload).filter(|_| frame.kind == FrameKind::Method);
                (
                    ids.unwrap_or((0, 0)),
                    self.first_channel_method(number, frame),
                )
            }
        };
        if let Err(fault) = result {
            self.fault(number, ids, fault);
        }
        used
    }

    /// The first frame on a channel can only open it (H-4).
    fn first_channel_method(&mut self, number: u16, frame: &Frame<'_>) -> Result<(), Fault> {
        if frame.kind == FrameKind::Method {
            let method = self.parse(frame.payload)?;
            if matches!(
                method,
                AMQPClass::Channel(channel_methods::AMQPMethod::Open(_))
            ) {
                self.leaving.retain(|left| *left != number);
                return self.open_channel(number);
            }
        }
        if self.leaving.contains(&number) {
            return Ok(());
        }
        Err(ReplyError::channel_error("expected 'channel.open'").into())
    }

    fn open_channel(&mut self, number: u16) -> Result<(), Fault> {
        let limit = usize::from(self.channel_max);
        if limit != 0 && self.channels.len() >= limit {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({limit})",
                self.channels.len()
            );
            return Err(ReplyError::not_allowed(text).without_method().into());
        }
        let user = self.session.as_ref().map(|session| &session.user.name);
        let slot = self
            .context
            .broker
            .admit_channel(user.ok_or_else(ReplyError::internal)?)
            .map_err(ReplyError::without_method)?;
        if !self.context.take_channel() {
            let text = format!(
                "number of channels opened on node has reached the maximum allowed limit of ({})",
                self.context.limits.channel_max_per_node
            );
            return Err(ReplyError::not_allowed(text).without_method().into());
        }
        let live = self
            .live
            .as_ref()
            .ok_or_else(ReplyError::internal)?
            .open_channel(number);
        let prefetch = self.context.limits.default_prefetch;
        live.prefetch.store(prefetch, Ordering::Relaxed);
        let credit = self.outbox.open_channel(number, &live);
        let channel = OpenChannel::new(credit, prefetch, live, slot);
        self.channels
            .insert(number, Channel::Open(Box::new(channel)));
        self.tell_channel("channel.created", number);
        self.send_raw(number, &[0, 20, 0, 11, 0, 0, 0, 0]);
        Ok(())
    }

    /// A channel is closed on both sides.
    fn forget_channel(&mut self, number: u16) {
        self.channels.remove(&number);
        if let Some(live) = &self.live {
            live.close_channel(number);
        }
        self.context.give_channel();
    }

    /// On a channel we closed, only close-ok and close mean anything (H-7 to H-10).
    fn closing_channel_method(&mut self, number: u16, ids: (u16, u16)) -> Result<(), Fault> {
        match ids {
            (20, 41) => {
                self.forget_channel(number);
            }
            (20, 40) => self.send(number, &close_ok()),
            (20, 10) => return Err(ReplyError::channel_error("second 'channel.open' seen").into()),
            _ => {}
        }
        Ok(())
    }

    fn channel_method(
        &mut self,
        number: u16,
        ids: (u16, u16),
        payload: &[u8],
        rest: &[u8],
        used: &mut usize,
    ) -> Result<(), Fault> {
        let Some(Channel::Open(channel)) = self.channels.get(&number) else {
            return Ok(());
        };
        if let Some(content) = &channel.content {
            return Err(content.interrupted().into());
        }
        match (ids, payload.get(4..)) {
            ((60, method::BASIC_PUBLISH), Some(args)) => self.publish(number, args, rest, used),
            ((60, method::BASIC_ACK), Some(args)) => self.ack(number, method::parse_ack(args)?),
            ((60, method::BASIC_NACK), Some(args)) => self.nack(number, method::parse_nack(args)?),
            ((60, method::BASIC_REJECT), Some(args)) => {
                self.reject(number, method::parse_reject(args)?)
            }
            _ => {
                let method = self.parse(payload)?;
                self.flush();
                self.commands += 1;
                self.ponderous |= self.commands > COMMANDS_MAX;
                self.cold_method(number, method, payload)
            }
        }
    }

    fn cold_method(&mut self, number: u16, method: AMQPClass, payload: &[u8]) -> Result<(), Fault> {
        match method {
            AMQPClass::Channel(method) => self.channel_class(number, method),
            AMQPClass::Exchange(method) => self.exchange_class(number, method),
            AMQPClass::Queue(method) => self.queue_class(number, method),
            AMQPClass::Basic(method) => self.basic_class(number, method, payload),
            AMQPClass::Confirm(method) => self.confirm_class(number, method),
            AMQPClass::Tx(method) => self.tx_class(number, method),
            AMQPClass::Access(method) => self.access_class(number, method),
            AMQPClass::Connection(_) => Err(unimplemented_method().into()),
        }
    }

    fn channel_class(
        &mut self,
        number: u16,
        method: channel_methods::AMQPMethod,
    ) -> Result<(), Fault> {
        use channel_methods::AMQPMethod as M;
        match method {
            M::Open(_) => Err(ReplyError::channel_error("second 'channel.open' seen").into()),
            M::Close(_) => {
                self.close_channel(number);
                self.forget_channel(number);
                self.leaving.push(number);
                self.send(number, &close_ok());
                Ok(())
            }
            // Nothing was closed by us: a stray one is harmless.
            M::CloseOk(_) => Ok(()),
            M::Flow(flow) if flow.active => {
                let ok = channel_methods::FlowOk { active: true };
                self.send(number, &AMQPClass::Channel(M::FlowOk(ok)));
                Ok(())
            }
            M::Flow(_) => Err(ReplyError::not_implemented("active=false").into()),
            _ => Err(unimplemented_method().into()),
        }
    }

    fn parse(&self, payload: &[u8]) -> Result<AMQPClass, Fault> {
        parse_method(payload).map_err(|error| match error {
            method::ColdError::Reply(error) => Fault::Reply(error),
            method::ColdError::UnknownMethod { class, method } => {
                Fault::drop_now(format!("unknown method {class}.{method}"))
            }
        })
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
        match self.channels.get_mut(&number) {
            Some(Channel::Open(channel)) => Ok(channel),
            _ => Err(ReplyError::channel_error("expected 'channel.open'").into()),
        }
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
