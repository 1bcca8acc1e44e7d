//! A client for tests of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use warren_amqp::protocol::{AMQPClass, basic, channel, connection as conn, queue};
use warren_amqp::{put_method, short};

use super::Connection;
use crate::net::outbox::Outbox;
use crate::net::write_buf::WriteBuf;
use crate::server::Context;

/// A client without a socket.
pub(super) struct Peer {
    pub(super) connection: Connection,
    outbox: Arc<Outbox>,
    written: WriteBuf,
}

/// Bytes that did not come to where they belong at once.
#[derive(Default)]
pub(super) struct Copies {
    /// Handed to the connection in a buffer.
    pub(super) buffered: usize,
    /// Kept from one read for the next, at most.
    pub(super) kept_max: usize,
}

impl Peer {
    /// With channel 1 open.
    pub(super) fn open(context: &Arc<Context>) -> Self {
        let outbox = Outbox::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 5672));
        let context = Arc::clone(context);
        let connection = Connection::new(context, Arc::clone(&outbox), address, address, None);
        let mut peer = Self {
            connection,
            outbox,
            written: WriteBuf::default(),
        };
        peer.receive(b"AMQP\0\0\x09\x01");
        let start_ok = conn::StartOk {
            mechanism: short("PLAIN"),
            response: "\0guest\0guest".into(),
            locale: short("en_US"),
            client_properties: Default::default(),
        };
        let tune_ok = conn::TuneOk {
            channel_max: 16,
            frame_max: 131_072,
            heartbeat: 0,
        };
        let open = conn::Open {
            virtual_host: short("/"),
        };
        peer.call(
            0,
            &AMQPClass::Connection(conn::AMQPMethod::StartOk(start_ok)),
        );
        peer.call(0, &AMQPClass::Connection(conn::AMQPMethod::TuneOk(tune_ok)));
        peer.call(0, &AMQPClass::Connection(conn::AMQPMethod::Open(open)));
        peer.call(
            1,
            &AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        );
        assert!(peer.connection.is_running());
        peer
    }

    pub(super) fn call(&mut self, channel: u16, method: &AMQPClass) {
        let mut bytes = Vec::new();
        put_method(&mut bytes, channel, method);
        self.receive(&bytes);
        self.written_bytes();
    }

    /// As the driver does for one read.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let mut used = self.connection.receive(bytes);
        while self.connection.left_input() {
            used += self.connection.receive(&bytes[used..]);
        }
        assert_eq!(used, bytes.len());
        self.connection.settle();
    }

    /// As the driver does for what comes in reads of so many bytes at most.
    pub(super) fn read(
        &mut self,
        mut input: &[u8],
        mut reads: impl Iterator<Item = usize>,
    ) -> Copies {
        let (mut partial, mut copies) = (Vec::new(), Copies::default());
        while !input.is_empty() {
            let read = reads.next().expect("endless").min(input.len());
            let space = self.connection.body_space().filter(|_| partial.is_empty());
            let n = match space {
                Some((space, max)) => {
                    let (n, capacity) = (read.min(max), space.capacity());
                    space.extend_from_slice(&input[..n]);
                    assert!(n > 0 && space.capacity() == capacity, "there was room");
                    self.connection.body_read(n, &mut partial);
                    n
                }
                None => {
                    partial.extend_from_slice(&input[..read]);
                    read
                }
            };
            input = &input[n..];
            copies.buffered += partial.len();
            loop {
                let used = self.connection.receive(&partial);
                partial.drain(..used);
                self.connection.settle();
                if !self.connection.left_input() {
                    break;
                }
            }
            copies.kept_max = copies.kept_max.max(partial.len());
        }
        assert!(partial.is_empty());
        copies
    }

    /// What is written while there is something to write.
    pub(super) fn written(&mut self) -> Vec<u8> {
        let context = TaskContext::from_waker(Waker::noop());
        let mut bytes = Vec::new();
        loop {
            self.outbox.take(&mut self.written, &context, false);
            if self.written.is_empty() {
                return bytes;
            }
            let before = bytes.len();
            let (slices, n) = self.written.slices();
            slices[..n]
                .iter()
                .for_each(|slice| bytes.extend_from_slice(slice));
            let n = bytes.len() - before;
            self.written.advance(n);
            if self.outbox.written(n) {
                self.connection.kick_queues();
            }
        }
    }

    /// Writes what waits, to nowhere; says how much that was.
    pub(super) fn written_bytes(&mut self) -> usize {
        let context = TaskContext::from_waker(Waker::noop());
        self.outbox.take(&mut self.written, &context, false);
        let n = self.written.len();
        self.written.advance(n);
        self.outbox.written(n);
        n
    }

    pub(super) fn declare(&mut self, name: &str, durable: bool) {
        let declare = queue::Declare {
            queue: short(name),
            durable,
            ..Default::default()
        };
        self.call(1, &AMQPClass::Queue(queue::AMQPMethod::Declare(declare)));
    }

    pub(super) fn consume(&mut self, queue: &str, no_ack: bool) {
        let consume = basic::Consume {
            queue: short(queue),
            no_ack,
            ..Default::default()
        };
        self.call(1, &AMQPClass::Basic(basic::AMQPMethod::Consume(consume)));
    }
}
