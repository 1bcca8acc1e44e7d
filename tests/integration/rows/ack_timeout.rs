//! Deliveries that are not acknowledged in time.

use crate::{
    dialogue::*,
    harness::{Broker, unique},
};

fn timed_out(channel: u16, ms: u32) -> String {
    format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel {channel} timed out. Timeout \
         value used: {ms} ms. This timeout value can be configured, see consumers doc guide to \
         learn more"
    )
}

#[test]
fn h91_a_delivery_that_is_never_acked_ends_its_channel() {
    let broker = Broker::start(&["consumer_timeout = 1500"]);
    let mut c = broker.client();
    c.open_channel(2);
    let (q, idle) = (unique("h91"), unique("idle"));
    for q in [&q, &idle] {
        c.call(1, declare(q));
    }
    c.put(&q, "x");
    // Nothing is outstanding here.
    c.call(2, consume(&idle, ""));
    let got = c.get_eventually(&q);
    assert!(!got.method.redelivered);
    c.expect_channel_error(1, 406, &timed_out(1, 1500), (0, 0));
    // It comes back, and the other channel goes on.
    let got = c.get_on(2, get(&q)).expect("requeued");
    assert!(got.method.redelivered);
    c.send(2, ack(got.method.delivery_tag));
    c.call(2, purge(&q));
}

#[test]
fn h92_consumer_and_queue_have_timeouts_of_their_own() {
    let broker = Broker::start(&["consumer_timeout = 2000"]);
    let mut c = broker.client();
    c.open_channel(2);
    c.open_channel(3);
    let (q, patient) = (unique("h92"), unique("h92p"));
    let arguments = table(&[("x-consumer-timeout", int(1200))]);
    c.call(1, declare_with(&q, arguments));
    let arguments = table(&[("x-consumer-timeout", int(3_600_000))]);
    c.call(1, declare_with(&patient, arguments));
    for q in [&q, &patient] {
        c.put(q, "x");
    }
    // The queue's own time is longer than the node's: this one stays.
    c.call(3, consume(&patient, ""));
    assert_eq!(c.expect_deliver(3).text(), "x");
    // The consumer's counts before the queue's.
    let mine = basic::Consume {
        arguments: table(&[("x-consumer-timeout", int(1000))]),
        ..consume(&q, "")
    };
    c.call(2, mine);
    assert_eq!(c.expect_deliver(2).text(), "x");
    c.expect_channel_error(2, 406, &timed_out(2, 1000), (0, 0));
    // The queue's before the node's.
    let got = c.get_eventually(&q);
    assert!(got.method.redelivered);
    c.expect_channel_error(1, 406, &timed_out(1, 1200), (0, 0));
    c.call(3, purge(&q));
}
