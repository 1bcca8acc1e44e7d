//! A thread that consumes: reads much at once, takes the stamps out of the bodies, acknowledges.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

use warren_amqp::frame::{Frame, FrameKind};
use warren_amqp::method::{BASIC_DELIVER, CLASS_BASIC};
use warren_amqp::{method_ids, parse_content_header, put_ack};

use crate::client::{CHANNEL, Connection, Error, text, unexpected};
use crate::measure::Histogram;
use crate::plan::Plan;
use crate::run::Shared;
use crate::tally::{Stamp, Tally};

const CONSUMER_TAG: &str = "c";
/// How often a consumer that gets nothing looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// A consumer, and what it found.
pub(crate) struct Consumer {
    conn: Connection,
    content: Content,
    manual_ack: bool,
    /// Deliveries to gather before they are acknowledged.
    ack_batch: u64,
    /// The newest tag acknowledged.
    acked: u64,
    /// Which queue it consumes.
    pub(crate) queue: usize,
    pub(crate) tally: Tally,
    /// From publish to delivery, of what came in the measured span.
    pub(crate) latency: Histogram,
}

/// The content being received.
#[derive(Default)]
struct Content {
    /// Deliveries received wholly; also the tag of the newest of them.
    complete: u64,
    /// Bytes of body still to come.
    left: u64,
    stamp: Option<Stamp>,
    /// The broker has said that no more will come.
    cancelled: bool,
}

impl Consumer {
    /// Starts consuming: deliveries come from now on.
    pub(crate) fn new(
        mut conn: Connection,
        plan: &Plan,
        queue: usize,
        name: &str,
    ) -> Result<Consumer, Error> {
        let [high, low] = plan.prefetch.to_be_bytes();
        conn.call(CHANNEL, (60, 10), &[0, 0, 0, 0, high, low, 0])?;
        let bits = u8::from(!plan.manual_ack) << 1;
        let consume = [
            &[0, 0],
            &text(name)[..],
            &text(CONSUMER_TAG),
            &[bits, 0, 0, 0, 0],
        ];
        conn.call(CHANNEL, (60, 20), &consume.concat())?;
        let (content, manual_ack) = (Content::default(), plan.manual_ack);
        let (tally, latency) = (Tally::new(plan.producers), Histogram::new());
        Ok(Consumer {
            conn,
            content,
            manual_ack,
            ack_batch: plan.ack_batch.max(1).into(),
            acked: 0,
            queue,
            tally,
            latency,
        })
    }

    /// Consumes until the queue's consumers have got all there is, or the run is given up.
    pub(crate) fn run(mut self, shared: &Shared) -> Result<Consumer, Error> {
        self.conn.set_read_timeout(LOOK)?;
        self.take(shared)?;
        while shared.delivered[self.queue].load(Relaxed) < shared.expected[self.queue].load(Acquire)
        {
            if shared.aborted() {
                return Ok(self);
            }
            if self.conn.fill()? {
                self.take(shared)?;
            } else {
                // Nothing more comes: perhaps because of what is not acknowledged.
                self.acknowledge(1)?;
            }
        }
        self.acknowledge(1)?;
        self.conn
            .tell(CHANNEL, (60, 30), &[&text(CONSUMER_TAG)[..], &[0]].concat())?;
        // Whatever comes before cancel-ok is too much, and counted.
        while !self.content.cancelled && !shared.aborted() {
            if self.conn.fill()? {
                self.take(shared)?;
            }
        }
        Ok(self)
    }

    /// Takes what one read brought.
    fn take(&mut self, shared: &Shared) -> Result<(), Error> {
        let (now_ns, measuring) = (shared.now_ns(), shared.measuring.load(Relaxed));
        let Consumer {
            conn,
            content,
            tally,
            latency,
            ..
        } = self;
        let before = content.complete;
        conn.take_frames(|frame| {
            if content.take(frame)? {
                if let Some(stamp) = content.stamp.filter(|_| measuring) {
                    latency.add(now_ns.saturating_sub(stamp.sent_ns));
                }
                tally.add(content.stamp);
            }
            Ok(())
        })?;
        let came = content.complete - before;
        shared.delivered[self.queue].fetch_add(came, Relaxed);
        self.acknowledge(self.ack_batch)
    }

    /// Acknowledges what has come, if that is at least so many deliveries.
    fn acknowledge(&mut self, at_least: u64) -> Result<(), Error> {
        if self.manual_ack && self.content.complete - self.acked >= at_least {
            self.acked = self.content.complete;
            let mut ack = Vec::new();
            put_ack(&mut ack, CHANNEL, self.acked, true);
            self.conn.send(&ack)?;
        }
        Ok(())
    }
}

impl Content {
    /// Takes a frame; `true` if it completes a message.
    #[inline]
    fn take(&mut self, frame: &Frame<'_>) -> Result<bool, Error> {
        match frame.kind {
            FrameKind::Body => {
                self.stamp = self.stamp.or_else(|| Stamp::read(frame.payload));
                self.left = self.left.saturating_sub(frame.payload.len() as u64);
            }
            FrameKind::Header => {
                self.left = parse_content_header(frame.payload)?.body_size;
                self.stamp = None;
            }
            _ => return self.method(frame.payload).map(|()| false),
        }
        self.complete += u64::from(self.left == 0);
        Ok(self.left == 0)
    }

    /// Deliveries must have the tags 1, 2, 3 ...
    fn method(&mut self, payload: &[u8]) -> Result<(), Error> {
        let is_next = |tag: u64| tag == self.complete + 1;
        match method_ids(payload) {
            Some((CLASS_BASIC, BASIC_DELIVER)) if delivery_tag(payload).is_some_and(is_next) => {}
            Some((CLASS_BASIC, 31)) => self.cancelled = true,
            _ => return Err(unexpected(payload)),
        }
        Ok(())
    }
}

/// The tag of a `basic.deliver`: ids, consumer tag as a short string, delivery tag, and so on.
fn delivery_tag(payload: &[u8]) -> Option<u64> {
    let tag_at = 5 + usize::from(*payload.get(4)?);
    Some(u64::from_be_bytes(*payload.get(tag_at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::frame::split;
    use warren_amqp::{Properties, encode_content_header, put_body, put_deliver_head};

    /// How many messages a delivery with this tag completes.
    fn feed(content: &mut Content, tag: u64, body: &[u8]) -> Result<usize, Error> {
        let (mut bytes, mut complete) = (Vec::new(), 0);
        let header = encode_content_header(body.len() as u64, &Properties::default());
        put_deliver_head(&mut bytes, 1, b"c", tag, false, b"\0\0", &header);
        put_body(&mut bytes, 1, 4096, body);
        let mut rest = &bytes[..];
        while let Some((frame, length)) = split(rest, 4096)? {
            complete += usize::from(content.take(&frame)?);
            rest = &rest[length..];
        }
        Ok(complete)
    }

    #[test]
    fn messages_are_complete_with_their_last_frame() {
        let stamp = Stamp {
            producer: 1,
            sequence: 2,
            sent_ns: 3,
        };
        let (mut content, mut body) = (Content::default(), vec![0; 10_000]);
        stamp.put(&mut body);
        assert_eq!(feed(&mut content, 1, &body).unwrap(), 1);
        assert_eq!(content.stamp, Some(stamp), "the later frames have none");
        assert_eq!(feed(&mut content, 2, b"").unwrap(), 1);
        assert_eq!(content.stamp, None);
        assert!(feed(&mut content, 4, b"x").is_err(), "a tag was left out");
    }
}
