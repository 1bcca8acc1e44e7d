//! Large bodies in whatever pieces: they arrive whole, are hardly copied, and their frames are
//! checked as others are.

use std::collections::VecDeque;

use proptest::prelude::*;
use warren_amqp::frame::{self, FrameKind};
use warren_amqp::protocol::{AMQPClass, basic, channel};
use warren_amqp::{put_method, short};

use super::arriving::BEYOND_MAX;
use super::peer::Peer;
use crate::net::outbox::Signals;
use crate::server::Context;

const FRAME_MAX: u32 = 131_072;
const CHANNELS: u16 = 3;

/// The frames of a publish to `q`; payloads of these sizes, as long as there is something left.
fn frames(channel: u16, body: &[u8], sizes: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    let publish = basic::Publish {
        routing_key: short("q"),
        ..Default::default()
    };
    let mut method = Vec::new();
    let publish = AMQPClass::Basic(basic::AMQPMethod::Publish(publish));
    put_method(&mut method, channel, &publish);
    let mut header = vec![2, 0, channel as u8, 0, 0, 0, 14, 0, 60, 0, 0];
    header.extend_from_slice(&(body.len() as u64).to_be_bytes());
    header.extend_from_slice(&[0, 0, frame::FRAME_END]);
    let mut frames = vec![method, header];
    let (mut sizes, mut rest) = (sizes.into_iter(), body);
    while !rest.is_empty() {
        let size = sizes.next().expect("endless").min(rest.len());
        let mut frame = Vec::new();
        warren_amqp::put_body(&mut frame, channel, FRAME_MAX, &rest[..size]);
        frames.push(frame);
        rest = &rest[size..];
    }
    frames
}

fn body(number: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| (at / 251 * 7 + at + number) as u8)
        .collect()
}

/// The bodies among what was written to a consumer.
fn bodies(mut written: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some((frame, used)) = frame::split(written, FRAME_MAX).expect("frames") {
        match frame.kind {
            FrameKind::Header => bodies.push(Vec::new()),
            FrameKind::Body => bodies
                .last_mut()
                .expect("a header")
                .extend_from_slice(frame.payload),
            _ => {}
        }
        written = &written[used..];
    }
    assert!(written.is_empty());
    bodies
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![1..20_usize, 3_000..6_000_usize, 60_000..400_000_usize]
}

#[derive(Clone, Debug)]
struct Load {
    /// Channel, size and sizes of its frames.
    messages: Vec<(u16, usize, Vec<usize>)>,
    /// Whose frame is next.
    order: Vec<u16>,
    reads: Vec<usize>,
}

fn load() -> impl Strategy<Value = Load> {
    let frame = size().prop_map(|size| size.min(FRAME_MAX as usize - 8));
    let message = (1..=CHANNELS, size(), prop::collection::vec(frame, 1..4));
    let messages = prop::collection::vec(message, 1..8);
    let order = prop::collection::vec(1..=CHANNELS, 1..30);
    let reads = prop::collection::vec(size(), 1..8);
    (messages, order, reads).prop_map(|(messages, order, reads)| Load {
        messages,
        order,
        reads,
    })
}

/// All that the publisher sends, and the bodies in the order in which they are complete.
fn stream(load: &Load) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut channels = vec![VecDeque::new(); usize::from(CHANNELS) + 1];
    for (number, (channel, size, sizes)) in load.messages.iter().enumerate() {
        let body = body(number, *size);
        let mut frames = VecDeque::from(frames(*channel, &body, sizes.iter().copied().cycle()));
        let last = frames.pop_back();
        let queue = &mut channels[usize::from(*channel)];
        queue.extend(frames.into_iter().map(|frame| (frame, None)));
        queue.extend(last.map(|frame| (frame, Some(body))));
    }
    let (mut bytes, mut complete) = (Vec::new(), Vec::new());
    for channel in load.order.iter().cycle() {
        if let Some((frame, body)) = channels[usize::from(*channel)].pop_front() {
            bytes.extend(frame);
            complete.extend(body);
        } else if let Some(other) = channels.iter_mut().find(|frames| !frames.is_empty()) {
            let (frame, body) = other.pop_front().expect("not empty");
            bytes.extend(frame);
            complete.extend(body);
        } else {
            break;
        }
    }
    (bytes, complete)
}

fn publisher_and_consumer() -> (tempfile::TempDir, Peer, Peer) {
    let dir = tempfile::tempdir().expect("a directory");
    let context = Context::in_dir(dir.path());
    let (mut publisher, mut consumer) = (Peer::open(&context), Peer::open(&context));
    for number in 2..=CHANNELS {
        let open = channel::AMQPMethod::Open(channel::Open {});
        publisher.call(number, &AMQPClass::Channel(open));
    }
    publisher.declare("q", false);
    consumer.consume("q", true);
    (dir, publisher, consumer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However what is sent is cut into frames and reads, messages arrive whole and in order, and
    /// next to nothing is kept from one read for the next.
    #[test]
    fn bodies_arrive_whole(load in load()) {
        let (_dir, mut publisher, mut consumer) = publisher_and_consumer();
        let (bytes, sent) = stream(&load);
        let copies = publisher.read(&bytes, load.reads.iter().copied().cycle());
        let got = bodies(&consumer.written());
        prop_assert_eq!(got.len(), sent.len());
        prop_assert!(got == sent, "bodies differ");
        prop_assert!(copies.kept_max < 4096 + frame::FRAME_OVERHEAD);
    }
}

/// What reads of 256 KiB bring of messages of `size` bytes: bytes copied on the way to where they
/// belong, and bytes allocated, for each.
fn per_message(messages: usize, size: usize) -> (usize, usize) {
    let (_dir, mut publisher, mut consumer) = publisher_and_consumer();
    let body = body(0, size);
    let message = frames(1, &body, std::iter::repeat(FRAME_MAX as usize - 8)).concat();
    let input = message.repeat(messages);
    let mut copied = 0;
    let allocated = allocation_counter::measure(|| {
        let copies = publisher.read(&input, std::iter::repeat(256 * 1024));
        copied = copies.buffered;
        assert!(consumer.written_bytes() > size);
        while consumer.written_bytes() > 0 {
            consumer.connection.kick_queues();
        }
    });
    (copied / messages, allocated.bytes_total as usize / messages)
}

#[test]
fn of_a_mebibyte_only_the_edges_of_its_frames_are_copied() {
    let (copied, allocated) = per_message(8, 1 << 20);
    // Nine frames, and the first read.
    assert!(copied < 10 * BEYOND_MAX + 256 * 1024 / 8, "{copied}");
    assert!(allocated < (1 << 20) + 64 * 1024, "{allocated}");
}

#[test]
fn of_many_mebibytes_little_more_is_copied() {
    let size = 20 << 20;
    let (copied, allocated) = per_message(1, size);
    assert!(copied < size / 16, "{copied}");
    // The first mebibyte, the first sixteen, and all.
    assert!(allocated < size + (18 << 20), "{allocated}");
}

#[test]
fn small_frames_are_copied_once() {
    let size = 64 * 1024;
    let (copied, allocated) = per_message(32, size);
    assert!(copied < size + 1024, "{copied}");
    assert!(allocated < 2 * size, "{allocated}");
}

#[test]
fn a_frame_must_end_as_it_should() {
    for cut in [1, 9_000, 10_007] {
        let (_dir, mut publisher, _consumer) = publisher_and_consumer();
        let frames = frames(1, &[b'x'; 10_000], [10_000]);
        publisher.receive(&frames[..2].concat());
        let mut last = frames[2].clone();
        *last.last_mut().expect("the end") = 7;
        let (first, second) = last.split_at(cut);
        let used = publisher.connection.receive(first);
        publisher
            .connection
            .receive(&[&first[used..], second].concat());
        publisher.connection.settle();
        let written = publisher.written();
        let close = "FRAME_ERROR - type 3, first 16 octets = <<\"xxxxxxxxxxxxxxxx\">>: \
                     {invalid_frame_end_marker,7}";
        assert!(String::from_utf8_lossy(&written).contains(close), "{cut}");
    }
}

/// As when a delivery on the channel was not acked in time.
#[test]
fn what_arrives_on_a_channel_that_was_closed_meanwhile_is_discarded() {
    let (_dir, mut publisher, _consumer) = publisher_and_consumer();
    let frames = frames(1, &[b'x'; 20_000], [10_000, 10_000]);
    publisher.receive(&frames[..2].concat());
    let (first, second) = frames[2].split_at(5_000);
    publisher.receive(first);
    publisher.connection.signalled(Signals {
        overdue: vec![(1, 1000)],
        ..Signals::default()
    });
    publisher.receive(second);
    publisher.receive(&frames[3]);
    let written = publisher.written();
    let (close, used) = frame::split(&written, FRAME_MAX).unwrap().unwrap();
    assert_eq!(
        (close.channel, &close.payload[..4]),
        (1, &[0, 20, 0, 40][..])
    );
    assert_eq!(used, written.len(), "nothing but one channel.close");
    assert!(publisher.connection.wants_input());
}
