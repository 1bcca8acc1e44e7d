//! Messages: publishing them in one call, and reading deliver, get-ok and return with the header
//! and body that follow.

use super::{
    AMQPClass, BODY, BasicProperties, ContentHeader, FieldTable, Frame, HEADER, LongString, Method,
    PATIENCE, Peer, ack, basic, get, header_payload, publish,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// What came with a deliver, get-ok or return.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message<M> {
    pub(crate) method: M,
    pub(crate) header: ContentHeader,
    pub(crate) body: Vec<u8>,
    /// Payload sizes of the body frames, in order.
    pub(crate) frames: Vec<usize>,
}

impl<M> Message<M> {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }

    pub(crate) fn properties(&self) -> BasicProperties {
        self.header.properties()
    }

    /// The headers property; empty when there is none.
    pub(crate) fn headers(&self) -> FieldTable {
        self.properties().headers().clone().unwrap_or_default()
    }
}

/// No properties at all.
pub(crate) fn properties() -> BasicProperties {
    BasicProperties::default()
}

impl Peer {
    /// Publishes on channel 1 without properties.
    pub(crate) fn publish(&mut self, exchange: &str, key: &str, body: &str) {
        self.publish_with(1, publish(exchange, key), &properties(), body.as_bytes());
    }

    /// Publishes to the default exchange on channel 1.
    pub(crate) fn put(&mut self, queue: &str, body: &str) {
        self.publish("", queue, body);
    }

    pub(crate) fn publish_with(
        &mut self,
        channel: u16,
        method: basic::Publish,
        properties: &BasicProperties,
        body: &[u8],
    ) {
        self.send(channel, method);
        self.send_content(channel, properties, body);
    }

    /// Header and body frames, the body cut at the negotiated size.
    pub(crate) fn send_content(&mut self, channel: u16, properties: &BasicProperties, body: &[u8]) {
        self.send_frame(
            HEADER,
            channel,
            &header_payload(body.len() as u64, properties),
        );
        for chunk in body.chunks(self.frame_max() as usize - 8) {
            self.send_frame(BODY, channel, chunk);
        }
    }

    /// Reads a whole message whose method is `M`.
    pub(crate) fn expect_message<M: Method>(&mut self, channel: u16) -> Message<M> {
        let method = self.expect(channel);
        self.expect_content(channel, method)
    }

    /// Reads the header and body that belong to `method`.
    pub(crate) fn expect_content<M>(&mut self, channel: u16, method: M) -> Message<M> {
        let header = match self.next_frame() {
            Frame::Header(c, header) if c == channel => header,
            other => panic!("expected a header on channel {channel}, got {other:?}"),
        };
        let mut body = Vec::new();
        let mut frames = Vec::new();
        while (body.len() as u64) < header.body_size {
            match self.next_frame() {
                Frame::Body(c, part) if c == channel => {
                    frames.push(part.len());
                    body.extend(part);
                }
                other => panic!("expected a body on channel {channel}, got {other:?}"),
            }
        }
        assert_eq!(
            body.len() as u64,
            header.body_size,
            "body frames add up to the header's size"
        );
        Message {
            method,
            header,
            body,
            frames,
        }
    }

    pub(crate) fn expect_deliver(&mut self, channel: u16) -> Message<basic::Deliver> {
        self.expect_message(channel)
    }

    /// Expects deliveries on channel 1 with exactly these bodies, in this order; gives their tags.
    pub(crate) fn expect_bodies(&mut self, bodies: &[&str]) -> Vec<u64> {
        let mut tags = Vec::new();
        for body in bodies {
            let delivery = self.expect_deliver(1);
            assert_eq!(delivery.text(), *body, "delivery {}", tags.len());
            tags.push(delivery.method.delivery_tag);
        }
        tags
    }

    /// `basic.get` on channel 1; `None` for get-empty.
    pub(crate) fn get(&mut self, queue: &str) -> Option<Message<basic::GetOk>> {
        self.get_on(1, get(queue))
    }

    pub(crate) fn get_on(
        &mut self,
        channel: u16,
        get: basic::Get,
    ) -> Option<Message<basic::GetOk>> {
        self.send(channel, get);
        match self.next_frame() {
            Frame::Method(c, AMQPClass::Basic(basic::AMQPMethod::GetOk(ok))) if c == channel => {
                Some(self.expect_content(channel, ok))
            }
            Frame::Method(c, AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_))) if c == channel => {
                None
            }
            other => panic!("expected get-ok or get-empty, got {other:?}"),
        }
    }

    /// Gets until there is a message, for what takes the broker a moment.
    pub(crate) fn get_eventually(&mut self, queue: &str) -> Message<basic::GetOk> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(got) = self.get(queue) {
                return got;
            }
            assert!(Instant::now() < deadline, "{queue} stayed empty");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gets and acks the next message on channel 1, expected to be `body`.
    pub(crate) fn take(&mut self, queue: &str, body: &str) -> Message<basic::GetOk> {
        let got = self
            .get(queue)
            .unwrap_or_else(|| panic!("{queue} is empty, wanted {body:?}"));
        assert_eq!(got.text(), body);
        self.send(1, ack(got.method.delivery_tag));
        got
    }

    /// Bodies of all that is ready in `queue`, taken and acked.
    pub(crate) fn drain(&mut self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(got) = self.get_on(
            1,
            basic::Get {
                no_ack: true,
                ..get(queue)
            },
        ) {
            bodies.push(got.text().to_owned());
        }
        bodies
    }
}

/// Properties with headers.
pub(crate) fn with_headers(headers: FieldTable) -> BasicProperties {
    properties().with_headers(headers)
}

/// The text of a long string.
pub(crate) fn text(value: &LongString) -> &str {
    str::from_utf8(value.as_bytes()).expect("a text")
}
