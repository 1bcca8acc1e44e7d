//! Section 8: memory and disk alarms.

use crate::{
    dialogue::*,
    harness::{Broker, is_oracle},
};
use std::time::Duration;

/// A broker whose memory is over the watermark from the start.
fn low_on_memory() -> Broker {
    Broker::start(&["vm_memory_high_watermark.absolute = 1000000"])
}

fn low_on_disk() -> Broker {
    Broker::start(&["disk_free_limit.absolute = 1000000GB"])
}

/// Publishes, and expects to be blocked for it with this reason.
fn expect_blocked(c: &mut Peer, reason: &str) {
    c.publish("amq.fanout", "", "x");
    let blocked: connection::Blocked = c.expect(0);
    assert_eq!(blocked.reason.as_str(), reason);
}

#[test]
fn a01_a04_memory_alarm_blocks_who_publishes() {
    let broker = low_on_memory();
    let mut c = broker.client();
    c.call(1, qos(1)); // nothing published, nothing blocked
    expect_blocked(&mut c, "low on memory");
    c.publish("amq.fanout", "", "y");
    c.send(1, qos(2)); // the socket is not read any more
    c.expect_nothing_for(Duration::from_millis(500));
}

#[test]
fn a02_disk_alarm() {
    let broker = low_on_disk();
    expect_blocked(&mut broker.client(), "low on disk");
}

#[test]
fn a05_both_alarms() {
    if is_oracle() {
        return; // which reason comes depends on which alarm it notices first
    }
    let broker = Broker::start(&[
        "vm_memory_high_watermark.absolute = 1000000",
        "disk_free_limit.absolute = 1000000GB",
    ]);
    expect_blocked(&mut broker.client(), "low on disk & memory");
}

#[test]
fn a05_blocked_without_the_capability_is_silent() {
    let broker = low_on_memory();
    let mut c = broker.client_as(&Login::default().without("connection.blocked"));
    c.publish("amq.fanout", "", "x");
    c.send(1, qos(2));
    c.expect_nothing_for(Duration::from_millis(500));
}

#[test]
fn a06_those_who_never_publish_work_on() {
    let broker = low_on_memory();
    let mut publisher = broker.client();
    expect_blocked(&mut publisher, "low on memory");
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, bind("q", "amq.fanout", ""));
    c.call(1, consume("q", "t"));
    c.call(1, cancel("t"));
    assert!(c.get("q").is_none());
    c.call(1, tx::Select {});
    c.call(1, tx::Commit {});
    c.call(1, delete("q"));
    c.call(0, close_connection());
}

#[test]
fn c34_blocked_connections_are_not_dropped_for_silence() {
    let broker = low_on_memory();
    let mut c = broker.client_as(&Login {
        heartbeat: 1,
        ..Login::default()
    });
    expect_blocked(&mut c, "low on memory");
    c.expect_nothing_for(Duration::from_secs(5)); // only heartbeats, which do not count
}

#[test]
fn a05_unblocked_when_memory_is_free_again() {
    if is_oracle() {
        return; // takes an Erlang VM of a known size
    }
    // What is ready goes to the disk before memory is short. What a transaction holds cannot, and
    // is what lets the alarm come first.
    let broker = Broker::start(&[
        "vm_memory_high_watermark.absolute = 300MB",
        "vm_memory_high_watermark_paging_ratio = 1",
        "queue_resident_bytes = 10GB",
        "memory_monitor_interval = 100",
    ]);
    let mut cleaner = broker.client();
    cleaner.call(1, declare("q"));
    let body = vec![0; 1_000_000];
    cleaner.open_channel(2);
    cleaner.call(2, tx::Select {});
    for _ in 0..100 {
        cleaner.publish_with(2, publish("", "q"), &properties(), &body);
    }
    let mut c = broker.client();
    for _ in 0..1000 {
        c.publish_with(1, publish("", "q"), &properties(), &body);
        if let Some(frame) = c.frame_within(Duration::from_millis(1)) {
            let blocked = connection::Blocked {
                reason: "low on memory".into(),
            };
            assert_eq!(frame, Frame::Method(0, blocked.into_class()));
            cleaner.call(1, purge("q"));
            let _: connection::Unblocked = c.expect(0);
            c.call(1, qos(1));
            return;
        }
    }
    panic!("a gigabyte went in without an alarm at 300 MB");
}

#[test]
fn a01_relative_watermark_of_the_memory_there_is() {
    if is_oracle() {
        return;
    }
    // A tenth of a small machine is less than any broker needs, nine tenths of this one are more.
    let small = [
        "total_memory_available_override_value = 10MB",
        "vm_memory_high_watermark.relative = 0.1",
    ];
    expect_blocked(&mut Broker::start(&small).client(), "low on memory");
    let broker = Broker::start(&["vm_memory_high_watermark.relative = 0.9"]);
    let mut c = broker.client();
    c.publish("amq.fanout", "", "x");
    c.call(1, qos(1));
}

#[test]
fn a02_relative_disk_limit_in_multiples_of_memory() {
    if is_oracle() {
        return;
    }
    let config = [
        "total_memory_available_override_value = 1000TB",
        "vm_memory_high_watermark.relative = 1",
        "disk_free_limit.relative = 1.0",
    ];
    expect_blocked(&mut Broker::start(&config).client(), "low on disk");
}

#[test]
fn a11_the_log_says_so_in_rabbitmqs_words() {
    if is_oracle() {
        return;
    }
    let log = low_on_memory().log();
    for line in [
        "memory resource limit alarm set on node",
        "*** Publishers will be blocked until this alarm clears ***",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

#[test]
fn a14_consumers_on_other_connections_go_on_during_an_alarm() {
    let broker = low_on_disk();
    let mut publisher = broker.client();
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.call(1, consume("q", "t"));
    // What was sent before the block is taken still counts; what comes behind it waits.
    expect_blocked(&mut publisher, "low on disk");
    let mut other = broker.client();
    other.call(1, declare("other"));
    other.call(1, delete("other"));
    c.call(1, cancel("t"));
    c.call(1, delete("q"));
}
