//! What a message may cost on its way through a connection, counted and not timed: allocations of
//! the task that handles it. Sockets are not part of it (`tests/integration/syscalls.rs`).

use std::time::{Duration, Instant};

use warren_amqp::protocol::{AMQPClass, basic, confirm};
use warren_amqp::{put_method, short};

use super::peer::Peer;
use crate::server::Context;

/// Messages of one read.
const BATCH: u64 = 500;
/// Reads before counting: buffers have found their sizes then.
const WARM_UP: u64 = 6;
/// Reads that are counted.
const COUNTED: u64 = 10;
/// Allocations one read may need, however many messages it brings: the chunks its messages are
/// kept in, and lists of what it touched.
const PER_READ: u64 = 40;

/// One read's worth of publishes to these queues in turn.
fn publishes(queues: &[&str], persistent: bool) -> Vec<u8> {
    let body = [b'x'; 100];
    let mut bytes = Vec::new();
    for n in 0..BATCH as usize {
        let publish = basic::Publish {
            routing_key: short(queues[n % queues.len()]),
            ..Default::default()
        };
        let publish = AMQPClass::Basic(basic::AMQPMethod::Publish(publish));
        put_method(&mut bytes, 1, &publish);
        let mut header = vec![0, 60, 0, 0];
        header.extend_from_slice(&(body.len() as u64).to_be_bytes());
        header.extend_from_slice(if persistent { &[0x10, 0, 2] } else { &[0, 0] });
        bytes.extend_from_slice(&[2, 0, 1]);
        bytes.extend_from_slice(&(header.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&header);
        bytes.push(0xce);
        warren_amqp::put_body(&mut bytes, 1, 131_072, &body);
    }
    bytes
}

/// Acks of `BATCH` deliveries from tag `first`, one by one.
fn acks(first: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for tag in first..first + BATCH {
        warren_amqp::put_ack(&mut bytes, 1, tag, false);
    }
    bytes
}

/// Counts the allocations of `round` once it runs warm; the rounds are numbered.
fn allocations_per_read(mut round: impl FnMut(u64)) -> u64 {
    (0..WARM_UP).for_each(&mut round);
    let mut counted = 0;
    for n in WARM_UP..WARM_UP + COUNTED {
        counted += allocation_counter::measure(|| round(n)).count_total;
    }
    counted / COUNTED
}

#[test]
fn a_transient_message_is_delivered_without_an_allocation_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = Context::in_dir(dir.path());
    let (mut publisher, mut consumer) = (Peer::open(&context), Peer::open(&context));
    publisher.declare("q", false);
    consumer.consume("q", true);
    let input = publishes(&["q"], false);
    let per_read = allocations_per_read(|_| {
        publisher.receive(&input);
        assert!(consumer.written_bytes() > 100 * BATCH as usize);
    });
    assert!(per_read <= PER_READ, "{per_read} for {BATCH} messages");
}

#[test]
fn messages_for_many_queues_in_turn_cost_no_more_allocations() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = Context::in_dir(dir.path());
    let (mut publisher, mut consumer) = (Peer::open(&context), Peer::open(&context));
    let names: Vec<_> = (0..50).map(|n| format!("q{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for name in &names {
        publisher.declare(name, false);
        consumer.consume(name, true);
    }
    let input = publishes(&names, false);
    let per_read = allocations_per_read(|_| {
        publisher.receive(&input);
        assert!(consumer.written_bytes() > 100 * BATCH as usize);
    });
    assert!(per_read <= PER_READ, "{per_read} for {BATCH} messages");
}

#[test]
fn a_persistent_message_is_confirmed_and_acked_without_an_allocation_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = Context::in_dir(dir.path());
    let (mut publisher, mut consumer) = (Peer::open(&context), Peer::open(&context));
    publisher.declare("q", true);
    publisher.call(
        1,
        &AMQPClass::Confirm(confirm::AMQPMethod::Select(Default::default())),
    );
    consumer.consume("q", false);
    let input = publishes(&["q"], true);
    let rounds: Vec<_> = (0..WARM_UP + COUNTED)
        .map(|n| acks(1 + n * BATCH))
        .collect();
    let per_read = allocations_per_read(|n| {
        publisher.receive(&input);
        assert!(consumer.written_bytes() > 100 * BATCH as usize);
        consumer.receive(&rounds[n as usize]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while publisher.written_bytes() == 0 {
            assert!(Instant::now() < deadline, "no confirm");
            std::thread::sleep(Duration::from_millis(1));
            publisher.connection.settle();
        }
    });
    // The log's records are gathered for its own thread.
    assert!(per_read <= 2 * PER_READ, "{per_read} for {BATCH} messages");
}
