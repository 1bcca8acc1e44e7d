//! How often the broker goes to the system for a message: reads and writes of its sockets, which
//! it counts itself. Allocations are counted beside the code (`src/connection/budget.rs`).

use serde_json::Value;
use warren_amqp::protocol::AMQPClass;

use crate::dialogue::*;
use crate::harness::{Broker, http_get};

const MESSAGES: usize = 20_000;

/// Reads and writes of all connections.
fn counted(broker: &mut Broker) -> u64 {
    let (status, body) = http_get(broker.management_addr(), "/api/connections", Some("guest"));
    assert_eq!(status, 200, "{body}");
    let list: Vec<Value> = serde_json::from_str(&body).unwrap();
    let count = |connection: &Value, key: &str| connection[key].as_u64().unwrap();
    list.iter()
        .map(|one| count(one, "recv_cnt") + count(one, "send_cnt"))
        .sum()
}

fn publishes(q: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publish = AMQPClass::Basic(basic::AMQPMethod::Publish(publish("", q)));
    for _ in 0..MESSAGES {
        warren_amqp::put_method(&mut bytes, 1, &publish);
        bytes.extend_from_slice(&[2, 0, 1, 0, 0, 0, 14]);
        bytes.extend_from_slice(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0xce]);
        warren_amqp::put_body(&mut bytes, 1, 131_072, &[b'x'; 100]);
    }
    bytes
}

#[test]
fn many_messages_share_a_read_and_a_write() {
    let mut broker = Broker::start_with(&[], &["--management-addr", "127.0.0.1:0"]);
    let (mut consumer, mut publisher) = (broker.client(), broker.client());
    consumer.call(1, declare("q"));
    let consume = basic::Consume {
        no_ack: true,
        ..consume("q", "t")
    };
    consumer.call(1, consume);
    let before = counted(&mut broker);
    let sent = std::thread::spawn(move || {
        publisher.send_bytes(&publishes("q"));
        publisher
    });
    for _ in 0..MESSAGES {
        consumer.expect_deliver(1);
    }
    let _publisher = sent.join().unwrap();
    let calls = counted(&mut broker) - before;
    // Far more than it takes when nothing else goes on: about one for 250 messages.
    assert!(calls * 10 < MESSAGES as u64, "{calls} reads and writes");
}
