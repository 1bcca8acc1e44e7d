//! The task of one connection: reads, has the state machine work, writes, keeps time.
//!
//! One task does both directions. Reading goes through a buffer shared by all connections of a
//! worker thread, the payloads of large body frames aside; only the beginning of an incomplete
//! frame is kept per connection, so an idle connection holds next to no memory. Everything one read
//! brings is handled and answered with one write.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::time::Sleep;

use super::bell::Silence;
use super::outbox::Outbox;
use super::pace::Pace;
use super::transport::Transport;
use super::workers::Seat;
use super::write_buf::WriteBuf;
use crate::connection::Connection;

/// Bytes read from a socket in one go.
const READ_BYTES: usize = 256 * 1024;

/// The same for a publisher whose queue is behind its consumers: they share the threads with it,
/// and get their turns sooner when its own are short. Measured with ten publishers and ten acking
/// consumers on one queue: 1.5 million messages per CPU-second instead of 0.4 million, because the
/// backlog stays small enough for memory. It holds nobody up who has the machine to himself.
const CROWDED_READ_BYTES: usize = 16 * 1024;

/// After a read of less than this the task goes on without giving others a turn first: a turn asks
/// the system once more who is ready, and with light traffic there is nobody.
const SMALL_READ: usize = 4 * 1024;

/// Our own replies waiting for a client that does not read: beyond this it is not read either.
const REPLIES_MAX: usize = 4 * 1024 * 1024;

/// Messages waiting for the log thread: beyond this publishers are not read (back-pressure).
pub(crate) const LOG_BACKLOG_MAX: usize = 64 * 1024 * 1024;

/// How often a throttled connection looks again.
const THROTTLE_PAUSE: Duration = Duration::from_millis(5);

/// How long a closed connection may take to read its last bytes.
const LINGER: Duration = Duration::from_secs(5);

/// How long nothing must have happened before a connection gives its buffers back.
const IDLE: Duration = Duration::from_secs(2);

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What woke the task up for good.
enum Step {
    /// Something was read and handled; give others a turn.
    Worked,
    /// Another worker has more time.
    Moving,
    /// The connection is over.
    Over(String),
}

/// Why [`Driver::run`] returned.
pub(crate) enum Run {
    /// The connection is over, and why.
    Over(String),
    /// It is to go on elsewhere.
    Moving,
}

/// A connection with its socket.
pub(crate) struct Driver<S> {
    stream: S,
    connection: Connection,
    outbox: Arc<Outbox>,
    seat: Arc<Seat>,
    /// What was read and not handled: the beginning of a frame, or more when `stalled`.
    partial: Vec<u8>,
    /// Input was left for a while: whole frames may wait in `partial`.
    stalled: bool,
    writing: WriteBuf,
    /// How quickly the client answers; while it logs in.
    pace: Option<Pace>,
    /// The stream has taken bytes that it may not have handed to the socket yet.
    unflushed: bool,
    /// Something was read or written since `idle_check` was set.
    active: bool,
    /// When to look whether the connection idles; none while it does.
    idle_check: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    beat: Beat,
    accepted: Instant,
    handshake_timeout: Duration,
    closed_at: Option<Instant>,
}

/// What the clock says.
enum Time {
    /// Nothing is due.
    Quiet,
    /// A heartbeat waits to be written.
    Beat,
    /// It is time to go.
    Over(String),
}

/// What the heartbeat rules need to know (C-32 to C-34).
#[derive(Default)]
struct Beat {
    /// When to look next; none before the heartbeat is negotiated.
    next: Option<Instant>,
    received: bool,
    /// Half intervals without a byte from the peer.
    silent: u32,
}

/// Half intervals of silence after which a peer is gone: between 2 and 3 whole ones.
const SILENT_HALVES: u32 = 5;

impl<S: Transport> Driver<S> {
    /// Drives `connection` over `stream`.
    pub(crate) fn new(
        stream: S,
        connection: Connection,
        outbox: Arc<Outbox>,
        seat: Arc<Seat>,
        handshake_timeout: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            connection,
            outbox,
            seat,
            partial: Vec::new(),
            stalled: false,
            writing: WriteBuf::default(),
            pace: Some(Pace::default()),
            unflushed: false,
            active: true,
            idle_check: None,
            timer: Box::pin(tokio::time::sleep_until((now + handshake_timeout).into())),
            beat: Beat::default(),
            accepted: now,
            handshake_timeout,
            closed_at: None,
        }
    }

    /// Runs until the connection is over or has to move. A box, because a task keeps room for
    /// every place a value is moved to.
    pub(crate) async fn run(mut self: Box<Self>) -> (Box<Self>, Run) {
        let mut moving = self.arrive();
        loop {
            let reason = match moving {
                Ok(false) => match poll_fn(|context| self.timed_step(context)).await {
                    Step::Worked => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Step::Moving => {
                        moving = self.stream.socket().leave().map(|()| true);
                        continue;
                    }
                    Step::Over(reason) => reason,
                },
                Ok(true) => return (self, Run::Moving),
                Err(error) => error.to_string(),
            };
            self.connection.end();
            return (self, Run::Over(reason));
        }
    }

    /// Makes the socket and the timer known to the worker this runs on.
    fn arrive(&mut self) -> io::Result<bool> {
        self.stream.socket().arrive()?;
        let deadline = self.timer.deadline();
        self.timer = Box::pin(tokio::time::sleep_until(deadline));
        Ok(false)
    }

    /// Its place.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// The connection it drives.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn timed_step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        if self.seat.wants_to_move() {
            return Poll::Ready(Step::Moving);
        }
        let started = Instant::now();
        let silence = Silence::keep();
        let step = self.step(context);
        drop(silence);
        self.seat
            .worked(started.elapsed(), self.connection.company());
        if self.connection.is_ponderous() {
            self.seat.step_aside();
        }
        step
    }

    fn step(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        loop {
            self.connection.settle();
            let hold = self.connection.holds_replies();
            if let Some(signals) = self.outbox.take(&mut self.writing, context, hold) {
                self.connection.signalled(signals);
                continue;
            }
            match self.write(context) {
                Err(error) => return Poll::Ready(Step::Over(error.to_string())),
                Ok(true) => continue,
                Ok(false) => {}
            }
            match self.keep_time(context) {
                Time::Over(reason) => return Poll::Ready(Step::Over(reason)),
                Time::Beat => continue,
                Time::Quiet => {}
            }
            if self.connection.is_closed() {
                if self.outbox.pending() == 0 {
                    return self.shut_down(context);
                }
                // Nothing but writing is left; `write` has registered for it.
                return Poll::Pending;
            }
            let throttled = self.connection.wants_input() && self.throttled(context);
            self.connection.show_state(throttled);
            if !self.connection.wants_input() || throttled {
                // Who is not read cannot show that it is alive (C-34).
                self.beat.received = true;
                return Poll::Pending;
            }
            if std::mem::take(&mut self.stalled) {
                self.resume();
                return Poll::Ready(Step::Worked);
            }
            return match ready!(self.read(context)) {
                Ok(0) => {
                    let reason = self.connection.ended().map_or_else(
                        || "client unexpectedly closed TCP connection".to_owned(),
                        str::to_owned,
                    );
                    Poll::Ready(Step::Over(reason))
                }
                // The socket is empty: look at once whether there is more to do, then sleep.
                Ok(n) if n < SMALL_READ => continue,
                Ok(_) => Poll::Ready(Step::Worked),
                Err(error) => Poll::Ready(Step::Over(error.to_string())),
            };
        }
    }

    /// Writes what waits. True when more has come into the outbox or queues were kicked, so that
    /// everything should be looked at again.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut kick = false;
        while !self.writing.is_empty() {
            let (slices, n) = self.writing.slices();
            let result = match Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..n])
            {
                Poll::Pending => break,
                Poll::Ready(result) => result?,
            };
            if result == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.unflushed = true;
            self.active = true;
            if let Some(pace) = &mut self.pace {
                pace.asked(Instant::now());
            }
            self.writing.advance(result);
            self.connection.count_sent(result);
            kick |= self.outbox.written(result);
        }
        // Nothing to do for a plain socket; TLS keeps back what the socket did not take.
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        if kick {
            self.connection.kick_queues();
        }
        let drained = self.writing.is_empty();
        Ok(drained && self.outbox.pending() > 0 && !self.connection.holds_replies())
    }

    /// Reads some and has everything complete handled.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let quantum = match self.connection.take_contended() {
            true if self.partial.len() < CROWDED_READ_BYTES => CROWDED_READ_BYTES,
            _ => READ_BYTES,
        };
        let mut n = match self.read_body(context) {
            Some(result) => ready!(result)?,
            None => ready!(self.read_frames(quantum, context))?,
        };
        // An end or an error comes again the next time.
        while (1..quantum).contains(&n) {
            match self.read_body(context) {
                Some(Poll::Ready(Ok(more))) if more > 0 => n += more,
                _ => break,
            }
        }
        if n > 0 {
            self.beat.received = true;
            self.active = true;
            if self.pace.is_some() {
                self.note_pace();
            }
        }
        Poll::Ready(Ok(n))
    }

    /// Reads the payload of a large body frame, if that is what comes next, to where it belongs.
    fn read_body(&mut self, context: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        if S::SMALL_READS || !self.partial.is_empty() {
            return None;
        }
        let (space, max) = self.connection.body_space()?;
        let mut stream = (&mut self.stream).take(max as u64);
        let n = match pin!(stream.read_buf(space)).poll(context) {
            Poll::Ready(Ok(n)) => n,
            other => return Some(other),
        };
        self.connection.count_received(n);
        self.connection.body_read(n, &mut self.partial);
        if !self.partial.is_empty() {
            self.resume();
        }
        Some(Poll::Ready(Ok(n)))
    }

    /// Reads to the shared buffer.
    fn read_frames(
        &mut self,
        quantum: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let kept = self.partial.len();
            // A frame larger than the buffer: it must fit with room to read on.
            if buffer.len() < kept + READ_BYTES / 2 {
                buffer.resize(kept + READ_BYTES, 0);
            }
            buffer[..kept].copy_from_slice(&self.partial);
            let end = buffer.len().min(kept + quantum);
            let mut space = ReadBuf::new(&mut buffer[kept..end]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut space))?;
            while S::SMALL_READS && (1..READ_BYTES / 2).contains(&space.filled().len()) {
                let before = space.filled().len();
                // An end or an error comes again the next time.
                let more = Pin::new(&mut self.stream).poll_read(context, &mut space);
                if more.is_pending() || space.filled().len() == before {
                    break;
                }
            }
            let n = space.filled().len();
            if n > 0 {
                self.connection.count_received(n);
                let input = &buffer[..kept + n];
                let used = self.connection.receive(input);
                self.keep(&input[used..]);
            }
            Poll::Ready(Ok(n))
        })
    }

    /// The client has answered; once it is logged in it is known how far away it is. What follows
    /// from that waits until it does more than open a channel: many never do.
    fn note_pace(&mut self) {
        let Some(pace) = &mut self.pace else { return };
        pace.answered(Instant::now());
        if !self.connection.is_running() || !pace.is_more_than_login() {
            return;
        }
        if let Some(buffers) = pace.buffers()
            && let Err(error) = self.stream.socket().limit_buffers(&buffers)
        {
            tracing::debug!(%error, "socket buffers");
        }
        self.pace = None;
    }

    /// Handles what was left when the connection paused.
    fn resume(&mut self) {
        let used = self.connection.receive(&self.partial);
        self.partial.drain(..used);
        self.kept();
    }

    fn keep(&mut self, rest: &[u8]) {
        self.partial.clear();
        self.partial.extend_from_slice(rest);
        self.kept();
    }

    fn kept(&mut self) {
        self.stalled = self.connection.left_input();
        if self.partial.is_empty() && self.partial.capacity() > 4096 {
            self.partial = Vec::new();
        }
    }

    /// Whether reading must wait because somebody behind us is slower.
    fn throttled(&mut self, context: &mut Context<'_>) -> bool {
        let behind =
            self.outbox.pending() > REPLIES_MAX || self.connection.log_backlog() > LOG_BACKLOG_MAX;
        if behind {
            self.sleep_until(Instant::now() + THROTTLE_PAUSE, context);
        }
        behind
    }

    /// Handshake timeout, heartbeats, the end of a closing connection.
    fn keep_time(&mut self, context: &mut Context<'_>) -> Time {
        let now = Instant::now();
        if !self.connection.is_running() && now >= self.accepted + self.handshake_timeout {
            return Time::Over("handshake timeout".to_owned());
        }
        if self.connection.drop_at().is_some_and(|at| now >= at) {
            let ended = self.connection.ended().unwrap_or("closed");
            return Time::Over(ended.to_owned());
        }
        if self.connection.is_closed() {
            let since = *self.closed_at.get_or_insert(now);
            if now >= since + LINGER {
                return Time::Over("client did not read the end".to_owned());
            }
        }
        self.check_idle(now);
        let beat = self.heartbeat(now);
        if let Some(wake) = self.next_wake() {
            self.sleep_until(wake, context);
        }
        beat
    }

    fn next_wake(&self) -> Option<Instant> {
        let handshake =
            (!self.connection.is_running()).then_some(self.accepted + self.handshake_timeout);
        let linger = self.closed_at.map(|at| at + LINGER);
        let drop_at = self.connection.drop_at();
        [handshake, linger, drop_at, self.beat.next, self.idle_check]
            .into_iter()
            .flatten()
            .min()
    }

    fn sleep_until(&mut self, at: Instant, context: &mut Context<'_>) {
        if self.timer.deadline() != at.into() {
            self.timer.as_mut().reset(at.into());
        }
        // Due already: come back at once.
        if self.timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }

    fn heartbeat(&mut self, now: Instant) -> Time {
        let interval = u64::from(self.connection.heartbeat_s());
        if interval == 0 || self.connection.is_closed() {
            self.beat.next = None;
            return Time::Quiet;
        }
        let half = Duration::from_millis(interval * 500);
        let next = *self.beat.next.get_or_insert(now + half);
        if now < next {
            return Time::Quiet;
        }
        self.beat.next = Some(now + half);
        let alive = std::mem::take(&mut self.beat.received) || self.connection.is_paused();
        self.beat.silent = if alive { 0 } else { self.beat.silent + 1 };
        if self.beat.silent >= SILENT_HALVES {
            return Time::Over(format!(
                "missed heartbeats from client, timeout: {interval}s"
            ));
        }
        // Sent also when other bytes went out meanwhile: simpler, and as cheap.
        self.outbox
            .write(|inner| warren_amqp::frame::put_heartbeat(&mut inner.out.bytes));
        Time::Beat
    }

    /// Notices that nothing has happened for a while. Costs a busy connection a look at its timer
    /// every so often, an idle one nothing.
    fn check_idle(&mut self, now: Instant) {
        match self.idle_check {
            Some(at) if now < at => {}
            Some(_) if !self.active => {
                self.idle_check = None;
                self.release_memory();
            }
            None if !self.active => {}
            _ => {
                self.active = false;
                self.idle_check = Some(now + IDLE);
            }
        }
    }

    /// An idle connection gives its buffers back.
    fn release_memory(&mut self) {
        if self.writing.is_empty() && self.writing.capacity() > 0 {
            self.writing = WriteBuf::default();
        }
        self.partial.shrink_to_fit();
        self.connection.release_memory();
        self.outbox.shrink();
    }

    fn shut_down(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        let done = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        let reason = match done {
            Ok(()) => self
                .connection
                .ended()
                .unwrap_or("closed by the client")
                .to_owned(),
            Err(error) => error.to_string(),
        };
        Poll::Ready(Step::Over(reason))
    }
}
