//! The peer: a socket, what was said over it, and what is expected next.
//!
//! Every wait has a limit ([`PATIENCE`]); a test that fails prints the dialogue so far.

use super::{AMQPClass, Frame, METHOD, Method, Request, channel, connection, encode, frame};
use crate::harness::tls::TlsSocket;
use std::{
    collections::VecDeque,
    fmt::Debug,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// How long an expected frame may take: generous, because it only decides when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How many lines of dialogue a failing test prints.
const TRANSCRIPT_LINES: usize = 60;
/// How much of each.
const TRANSCRIPT_COLUMNS: usize = 300;

/// What the bytes go over.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsSocket>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.write_all(bytes),
            Wire::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

pub(crate) struct Peer {
    stream: Wire,
    input: Vec<u8>,
    /// Payload of the newest method frame, for what `amq-protocol` drops (reserved fields).
    last_payload: Vec<u8>,
    frame_max: u32,
    transcript: VecDeque<String>,
    quiet: bool,
}

/// What listening for a while gave.
#[derive(Debug)]
pub(crate) enum Event {
    Frame(Frame),
    /// The broker hung up, orderly or not.
    Gone,
    Nothing,
}

impl Peer {
    /// A TCP connection over which nothing has been said.
    pub(crate) fn connect(addr: SocketAddr) -> Peer {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)
            .unwrap_or_else(|e| panic!("cannot connect to {addr}: {e}"));
        stream.set_nodelay(true).expect("a socket option");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a socket option");
        Peer::over(Wire::Plain(stream))
    }

    /// A TLS connection over which nothing has been said.
    pub(crate) fn over_tls(stream: TlsSocket) -> Peer {
        Peer::over(Wire::Tls(Box::new(stream)))
    }

    fn over(stream: Wire) -> Peer {
        Peer {
            stream,
            input: Vec::new(),
            last_payload: Vec::new(),
            frame_max: 4096,
            transcript: VecDeque::new(),
            quiet: false,
        }
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max
    }

    pub(crate) fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.note(|| {
            format!(
                "-> {} bytes {:?}",
                bytes.len(),
                &bytes[..bytes.len().min(40)]
            )
        });
        self.write(bytes);
    }

    pub(crate) fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let head = &payload[..payload.len().min(40)];
        self.note(|| {
            format!(
                "-> [{channel}] type {kind}, {} bytes {head:?}",
                payload.len()
            )
        });
        self.write(&encode(kind, channel, payload));
    }

    pub(crate) fn send(&mut self, channel: u16, method: impl Method) {
        self.send_class(channel, method.into_class());
    }

    pub(crate) fn send_class(&mut self, channel: u16, method: AMQPClass) {
        self.note(|| format!("-> [{channel}] {method:?}"));
        self.write(&encode(METHOD, channel, &frame::method_payload(&method)));
    }

    /// A method given as bytes: class id, method id, arguments.
    pub(crate) fn send_raw_method(&mut self, channel: u16, class: u16, method: u16, args: &[u8]) {
        let mut payload = [class.to_be_bytes(), method.to_be_bytes()].concat();
        payload.extend(args);
        self.send_frame(METHOD, channel, &payload);
    }

    /// Like `send_bytes`, for a broker that may already have hung up.
    pub(crate) fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Listens for at most `time`, for a broker that may hang up at any moment.
    pub(crate) fn listen(&mut self, time: Duration) -> Event {
        self.read_until(Instant::now() + time)
    }

    /// Keeps no transcript from now on: for peers that say a lot.
    pub(crate) fn quiet(&mut self) {
        self.quiet = true;
        self.transcript.clear();
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(e) = self.stream.write_all(bytes) {
            panic!("cannot write {} bytes to the broker: {e}", bytes.len());
        }
    }

    /// Sends a synchronous method and waits for its answer.
    pub(crate) fn call<R: Request>(&mut self, channel: u16, request: R) -> R::Reply {
        self.send(channel, request);
        self.expect(channel)
    }

    /// The next frame, not counting heartbeats.
    pub(crate) fn next_frame(&mut self) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read_until(deadline) {
                Event::Frame(Frame::Heartbeat) => {}
                Event::Frame(frame) => return frame,
                Event::Gone => panic!("the broker hung up, a frame was expected"),
                Event::Nothing => panic!("no frame came within {PATIENCE:?}"),
            }
        }
    }

    /// The next frame that comes within `time`, heartbeats included; `None` if none does.
    pub(crate) fn frame_within(&mut self, time: Duration) -> Option<Frame> {
        match self.read_until(Instant::now() + time) {
            Event::Frame(frame) => Some(frame),
            Event::Gone => panic!("the broker hung up"),
            Event::Nothing => None,
        }
    }

    /// The next frame must be method `M` on this channel.
    pub(crate) fn expect<M: Method>(&mut self, channel: u16) -> M {
        let wanted = std::any::type_name::<M>();
        match self.next_frame() {
            Frame::Method(c, class) if c == channel => M::from_class(class)
                .unwrap_or_else(|other| panic!("expected {wanted} on {channel}, got {other:?}")),
            other => panic!("expected {wanted} on channel {channel}, got {other:?}"),
        }
    }

    /// Class id, method id and arguments of the newest method, as bytes.
    pub(crate) fn last_payload(&self) -> &[u8] {
        &self.last_payload
    }

    /// channel.close with exactly this code, text and (class, method); answered with close-ok.
    pub(crate) fn expect_channel_error(&mut self, ch: u16, code: u16, text: &str, at: (u16, u16)) {
        let close: channel::Close = self.expect(ch);
        let got = (
            close.reply_code,
            close.reply_text.as_str(),
            (close.class_id, close.method_id),
        );
        assert_eq!(got, (code, text, at), "channel.close");
        self.send(ch, channel::CloseOk {});
    }

    /// connection.close with exactly this code, text and (class, method); answered with close-ok,
    /// upon which the broker hangs up.
    pub(crate) fn expect_connection_error(&mut self, code: u16, text: &str, at: (u16, u16)) {
        self.expect_connection_close(code, text, at);
        let close_ok = frame::method_payload(&connection::CloseOk {}.into_class());
        self.try_send_bytes(&encode(METHOD, 0, &close_ok));
        self.expect_eof();
    }

    /// connection.close with this code and a text that contains `part`; answered as above.
    pub(crate) fn expect_connection_error_like(&mut self, code: u16, part: &str) {
        let close: connection::Close = self.expect(0);
        let text = close.reply_text.as_str();
        assert!(
            close.reply_code == code && text.contains(part),
            "{code} {part:?}: {close:?}"
        );
        let close_ok = frame::method_payload(&connection::CloseOk {}.into_class());
        self.try_send_bytes(&encode(METHOD, 0, &close_ok));
        self.expect_eof();
    }

    /// connection.close as above, not answered.
    pub(crate) fn expect_connection_close(&mut self, code: u16, text: &str, at: (u16, u16)) {
        let close: connection::Close = self.expect(0);
        let got = (
            close.reply_code,
            close.reply_text.as_str(),
            (close.class_id, close.method_id),
        );
        assert_eq!(got, (code, text, at), "connection.close");
    }

    /// The broker hangs up (an orderly end or a reset), saying nothing more.
    pub(crate) fn expect_eof(&mut self) {
        self.expect_eof_within(PATIENCE);
    }

    pub(crate) fn expect_eof_within(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            match self.read_until(deadline) {
                Event::Gone => return,
                Event::Frame(Frame::Heartbeat) => {}
                Event::Frame(frame) => panic!("expected the end, got {frame:?}"),
                Event::Nothing => panic!("the broker did not hang up within {time:?}"),
            }
        }
    }

    /// Nothing but heartbeats comes for a while. Can miss a fault, never invent one.
    pub(crate) fn expect_nothing_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            match self.read_until(deadline) {
                Event::Nothing => return,
                Event::Frame(Frame::Heartbeat) => {}
                Event::Frame(frame) => panic!("expected nothing, got {frame:?}"),
                Event::Gone => panic!("expected nothing, but the broker hung up"),
            }
        }
    }

    /// `expect_nothing_for` a time that usually suffices for a wrong frame to arrive.
    pub(crate) fn expect_nothing(&mut self) {
        self.expect_nothing_for(Duration::from_millis(150));
    }

    /// The connection still works: a fresh channel opens and closes.
    pub(crate) fn expect_alive(&mut self) {
        self.call(99, channel::Open {});
        self.call(99, super::close_channel());
    }

    /// All bytes until the broker hangs up, frames or not.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        self.stream
            .socket()
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        let mut bytes = std::mem::take(&mut self.input);
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(n) => bytes.extend(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(e) => panic!("reading to the end: {e}, after {bytes:?}"),
            }
        }
    }

    /// Closes our half of the connection.
    pub(crate) fn half_close(&mut self) {
        // The broker may have been quicker to hang up.
        self.stream.socket().shutdown(Shutdown::Write).ok();
    }

    fn read_until(&mut self, deadline: Instant) -> Event {
        loop {
            if let Some(payload) = method_in_front(&self.input) {
                self.last_payload = payload;
            }
            if let Some(frame) = frame::take(&mut self.input) {
                self.note_frame(&frame);
                return Event::Frame(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Event::Nothing;
            }
            self.stream
                .socket()
                .set_read_timeout(Some(left))
                .expect("a socket option");
            let mut buffer = [0; 65536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.ended(),
                Ok(n) => self.input.extend(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return self.ended(),
                // TLS that ends without a word.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return self.ended(),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("reading from the broker: {e}"),
            }
        }
    }

    fn ended(&mut self) -> Event {
        self.note(|| "<- end of connection".to_owned());
        Event::Gone
    }

    fn note_frame(&mut self, frame: &Frame) {
        self.note(|| match frame {
            Frame::Method(channel, method) => format!("<- [{channel}] {method:?}"),
            Frame::Header(channel, header) => format!("<- [{channel}] {header:?}"),
            Frame::Body(channel, body) => format!("<- [{channel}] body, {} bytes", body.len()),
            Frame::Heartbeat => "<- heartbeat".to_owned(),
        });
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.quiet {
            return;
        }
        let mut line = line();
        if let Some((cut, _)) = line.char_indices().nth(TRANSCRIPT_COLUMNS) {
            line.replace_range(cut.., "...");
        }
        if self.transcript.len() == TRANSCRIPT_LINES {
            self.transcript.pop_front();
        }
        self.transcript.push_back(line);
    }
}

/// The payload when a whole method frame stands in front of `input`.
fn method_in_front(input: &[u8]) -> Option<Vec<u8>> {
    let size = u32::from_be_bytes(input.get(3..7)?.try_into().ok()?) as usize;
    (input[0] == METHOD).then(|| input.get(7..7 + size).map(<[u8]>::to_vec))?
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the dialogue from {:?}:", self.stream.socket().local_addr());
            for line in &self.transcript {
                eprintln!("  {line}");
            }
        }
    }
}

/// `expected` unless the broker under test is RabbitMQ 3.10, which is known to do `on_3_10`.
///
/// Warren follows the 3.13 and 4.x texts, and is kinder in a few places; RabbitMQ 3.10 is the
/// oracle we can install.
pub(crate) fn differs_on_rabbitmq_3_10<T: Debug>(expected: T, on_3_10: T) -> T {
    if crate::harness::is_oracle() {
        on_3_10
    } else {
        expected
    }
}
