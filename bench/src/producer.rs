//! A thread that publishes: messages lie ready as frames, only their stamps are written anew.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use warren_amqp::frame::{FRAME_HEAD, FrameKind};
use warren_amqp::method::{BASIC_ACK, CLASS_BASIC};
use warren_amqp::{
    Properties, encode_content_header, make_address, method_ids, parse_ack, put_body,
};

use crate::client::{CHANNEL, Connection, Error, put_frame, silence, unexpected};
use crate::plan::Plan;
use crate::run::Shared;
use crate::tally::Stamp;

/// About how much is written at once.
const TAPE_BYTES: usize = 64 * 1024;
/// How long to wait for consumers that are too far behind.
const PAUSE: Duration = Duration::from_micros(50);

/// The frames of a few messages, one after the other.
struct Tape {
    frames: Vec<u8>,
    /// Bytes of one message.
    stride: usize,
    /// Where its body begins.
    body_at: usize,
    /// Where the number in its routing key begins, and how many numbers there are.
    keys: Option<(usize, u64)>,
}

impl Tape {
    fn new(plan: &Plan, (exchange, routing_key): (&str, &str), frame_max: u32) -> Tape {
        let (mut message, mut publish) = (Vec::new(), vec![0, 60, 0, 40, 0, 0]);
        make_address(&mut publish, exchange, routing_key);
        publish.push(0);
        put_frame(&mut message, FrameKind::Method, CHANNEL, &publish);
        let delivery_mode = Some(1 + u8::from(plan.persistent));
        let properties = Properties {
            delivery_mode,
            ..Properties::default()
        };
        let header = encode_content_header(plan.size.into(), &properties);
        put_frame(&mut message, FrameKind::Header, CHANNEL, &header);
        let body_at = message.len() + FRAME_HEAD;
        let keys = (plan.keys > 1).then(|| (number_at(exchange, routing_key), plan.keys.into()));
        put_body(
            &mut message,
            CHANNEL,
            frame_max,
            &vec![b'w'; plan.size as usize],
        );
        let frames = message.repeat((TAPE_BYTES / message.len()).max(1));
        Tape {
            frames,
            stride: message.len(),
            body_at,
            keys,
        }
    }

    /// So many messages, from `first` on.
    fn stamped(&mut self, count: usize, mut stamp: Stamp) -> &[u8] {
        let frames = &mut self.frames[..count * self.stride];
        for message in frames.chunks_exact_mut(self.stride) {
            stamp.put(&mut message[self.body_at..]);
            if let Some((at, keys)) = self.keys {
                put_number(&mut message[at..at + KEY_DIGITS], stamp.sequence % keys);
            }
            stamp.sequence += 1;
        }
        frames
    }
}

/// Digits of the number in a routing key.
const KEY_DIGITS: usize = 5;

/// Where the first digit of a routing key stands in the message's first frame.
fn number_at(exchange: &str, routing_key: &str) -> usize {
    let before = routing_key.find(|c: char| c.is_ascii_digit());
    // Class, method and a reserved number, then exchange and key with a length octet each.
    FRAME_HEAD + 6 + 1 + exchange.len() + 1 + before.unwrap_or(0)
}

fn put_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A channel's publishes from the oldest unconfirmed one on; confirms come in any order.
#[derive(Default)]
struct Confirms {
    /// All up to this tag are confirmed.
    low: u64,
    /// For each tag after `low`: confirmed, ahead of an older one?
    after: VecDeque<bool>,
    /// How many in `after` are not.
    open: usize,
}

impl Confirms {
    fn published(&mut self, count: usize) {
        self.after.resize(self.after.len() + count, false);
        self.open += count;
    }

    /// Takes a confirm; `false` if it is for a message never published.
    fn confirm(&mut self, tag: u64, multiple: bool) -> bool {
        if tag == 0 || tag > self.low + self.after.len() as u64 {
            return false;
        }
        while multiple && self.low < tag {
            self.drop_oldest();
        }
        let at = tag.checked_sub(self.low + 1);
        if let Some(confirmed) = at.and_then(|at| self.after.get_mut(at as usize)) {
            self.open -= usize::from(!*confirmed);
            *confirmed = true;
        }
        while self.after.front() == Some(&true) {
            self.drop_oldest();
        }
        true
    }

    fn drop_oldest(&mut self) {
        self.low += 1;
        self.open -= usize::from(self.after.pop_front() == Some(false));
    }
}

/// A producer ready to run.
pub(crate) struct Producer {
    conn: Connection,
    tape: Tape,
    index: u16,
    sent: u64,
    /// How many it may send in all.
    quota: u64,
    /// How many may be unconfirmed; 0 = no confirms.
    window: usize,
    confirms: Confirms,
    max_ahead: u64,
    /// Messages a second at most; 0 = any number.
    rate: u32,
}

impl Producer {
    /// Prepares a connection to publish to an exchange with a routing key.
    pub(crate) fn new(
        mut conn: Connection,
        plan: &Plan,
        address: (&str, &str),
        index: u16,
        quota: u64,
    ) -> Result<Producer, Error> {
        if plan.confirm > 0 {
            conn.call(CHANNEL, (85, 10), &[0])?;
        }
        let tape = Tape::new(plan, address, conn.frame_max);
        let (window, max_ahead) = (plan.confirm.into(), plan.max_ahead);
        Ok(Producer {
            conn,
            tape,
            index,
            sent: 0,
            quota,
            window,
            confirms: Confirms::default(),
            max_ahead,
            rate: plan.rate,
        })
    }

    /// Publishes until told to stop or the quota is reached; returns how many were sent.
    pub(crate) fn run(mut self, shared: &Shared) -> Result<u64, Error> {
        let batch = self.tape.frames.len() / self.tape.stride;
        let start_ns = shared.now_ns();
        while self.sent < self.quota && !shared.stop.load(Relaxed) && !shared.aborted() {
            if self.max_ahead > 0 && shared.ahead() > self.max_ahead {
                thread::sleep(PAUSE);
            } else if self.due(shared.now_ns() - start_ns) == 0 {
                // What was confirmed meanwhile is read before it is waited for.
                thread::sleep(PAUSE);
            } else if self.window > 0 && self.confirms.open == self.window {
                self.await_confirms(shared)?;
            } else {
                let room = if self.window > 0 {
                    self.window - self.confirms.open
                } else {
                    batch
                };
                let due = self.due(shared.now_ns() - start_ns);
                let count = (self.quota - self.sent)
                    .min(room.min(batch) as u64)
                    .min(due);
                self.publish(count, shared)?;
            }
        }
        while self.confirms.open > 0 {
            self.await_confirms(shared)?;
        }
        self.conn.close()?;
        Ok(self.sent)
    }

    /// How many messages the rate allows now, so long after the start.
    fn due(&self, elapsed_ns: u64) -> u64 {
        if self.rate == 0 {
            return u64::MAX;
        }
        let allowed = u128::from(elapsed_ns) * u128::from(self.rate) / 1_000_000_000;
        (allowed as u64).saturating_sub(self.sent)
    }

    fn publish(&mut self, count: u64, shared: &Shared) -> Result<(), Error> {
        let stamp = Stamp {
            producer: self.index,
            sequence: self.sent,
            sent_ns: shared.now_ns(),
        };
        self.conn.send(self.tape.stamped(count as usize, stamp))?;
        self.sent += count;
        if self.window > 0 {
            self.confirms.published(count as usize);
        }
        self.show(shared);
        Ok(())
    }

    /// Published is what the broker has confirmed, or without confirms what the socket took.
    fn show(&self, shared: &Shared) {
        let published = self.sent - self.confirms.open as u64;
        shared.published[usize::from(self.index)].store(published, Relaxed);
    }

    fn await_confirms(&mut self, shared: &Shared) -> Result<(), Error> {
        if !self.conn.fill()? {
            return Err(silence());
        }
        let confirms = &mut self.confirms;
        self.conn.take_frames(|frame| {
            if method_ids(frame.payload) == Some((CLASS_BASIC, BASIC_ACK)) {
                let ack = parse_ack(&frame.payload[4..])?;
                if confirms.confirm(ack.delivery_tag, ack.multiple) {
                    return Ok(());
                }
            }
            Err(unexpected(frame.payload))
        })?;
        self.show(shared);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_amqp::frame::split;
    use warren_amqp::method::parse_publish;
    use warren_amqp::split_address;

    #[test]
    fn a_tape_is_frames_with_rising_stamps() {
        let flags = ["warren-bench", "--size", "5000"].map(str::to_owned);
        let plan = Plan::from_flags(flags.to_vec()).unwrap();
        let mut tape = Tape::new(&plan, ("", "q"), 4096);
        let mut rest = tape.stamped(
            2,
            Stamp {
                producer: 3,
                sequence: 70,
                sent_ns: 9,
            },
        );
        let (mut kinds, mut sequences) = (Vec::new(), Vec::new());
        while let Some((frame, length)) = split(rest, 4096).unwrap() {
            if kinds.last() == Some(&FrameKind::Header) {
                sequences.extend(Stamp::read(frame.payload).map(|stamp| stamp.sequence));
            }
            kinds.push(frame.kind);
            rest = &rest[length..];
        }
        assert_eq!(
            (kinds.len(), sequences),
            (8, vec![70, 71]),
            "two frames for each body"
        );
    }

    #[test]
    fn keys_come_in_turn() {
        let flags = ["warren-bench", "--topic", "12", "--keys", "12"].map(str::to_owned);
        let plan = Plan::from_flags(flags.to_vec()).unwrap();
        let mut tape = Tape::new(&plan, ("ex-1", "bench.00000.x"), 4096);
        let stamp = Stamp {
            producer: 0,
            sequence: 10,
            sent_ns: 0,
        };
        let mut rest = tape.stamped(3, stamp);
        let mut keys = Vec::new();
        while let Some((frame, length)) = split(rest, 4096).unwrap() {
            if frame.kind == FrameKind::Method {
                let publish = parse_publish(&frame.payload[4..]).unwrap();
                keys.push(split_address(publish.address).1.to_vec());
            }
            rest = &rest[length..];
        }
        let expected = ["bench.00010.x", "bench.00011.x", "bench.00000.x"];
        assert_eq!(keys, expected.map(|key| key.as_bytes().to_vec()));
    }

    #[test]
    fn confirms_come_singly_together_and_out_of_order() {
        let mut confirms = Confirms::default();
        confirms.published(10);
        // (tag, multiple) -> all confirmed up to, still open
        for (tag, multiple, low, open) in [
            (3, false, 0, 9),
            (1, false, 1, 8),
            (2, false, 3, 7),
            (7, false, 3, 6),
            (8, true, 8, 2),
            (5, true, 8, 2),
            (10, true, 10, 0),
        ] {
            assert!(confirms.confirm(tag, multiple));
            assert_eq!((confirms.low, confirms.open), (low, open), "after {tag}");
        }
        assert!(!confirms.confirm(11, false) && !confirms.confirm(0, false));
    }
}
