//! Sections 0 and 1.5, 1.6: errors that end the connection, heartbeats, closing.

use crate::{
    dialogue::*,
    harness::{client, shared, unique},
};
use std::{
    thread,
    time::{Duration, Instant},
};

#[test]
fn e02_long_texts_are_cut() {
    let mut c = client();
    let e = "e".repeat(255);
    c.send(
        1,
        exchange::Declare {
            passive: true,
            ..declare_exchange(&e, "direct")
        },
    );
    let close: channel::Close = c.expect(1);
    let full = format!("NOT_FOUND - no exchange '{e}' in vhost '/'");
    assert_eq!(close.reply_text.as_str(), format!("{}...", &full[..252]));
}

#[test]
fn e05_hard_error_ends_all_channels_and_exclusive_queues() {
    let mut c = client();
    let q = unique("e05");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.open_channel(2);
    c.send(
        2,
        basic::Publish {
            immediate: true,
            ..publish("", "")
        },
    );
    c.send_content(2, &properties(), b"");
    c.expect_connection_close(540, "NOT_IMPLEMENTED - immediate=true", (60, 40));
    // The queue is gone before the close is sent.
    let mut other = client();
    other.send(1, declare_passive(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    other.expect_channel_error(1, 404, &text, (50, 10));
    c.send(0, connection::CloseOk {});
    c.expect_eof();
}

#[test]
fn e06_only_close_ok_counts_after_a_close() {
    let mut c = client();
    let q = unique("e06");
    c.send(0, channel::Open {});
    c.expect_connection_close(
        504,
        "CHANNEL_ERROR - unexpected method in connection state running",
        (20, 10),
    );
    c.send(1, declare(&q));
    c.send(1, declare_passive(&q));
    c.expect_nothing();
    c.send(0, connection::CloseOk {});
    c.expect_eof();
}

#[test]
fn e06_close_ok_is_not_awaited_for_ever() {
    let mut c = shared().client_as(&Login {
        heartbeat: 2,
        ..Login::default()
    });
    c.send(0, channel::Open {});
    c.expect_connection_close(
        504,
        "CHANNEL_ERROR - unexpected method in connection state running",
        (20, 10),
    );
    c.expect_eof();
}

#[test]
fn e07_fatal_frame_errors_drop_the_peer() {
    let mut c = client();
    c.send_bytes(b"\x01\0\x01\0\0\0\x01x!");
    let _: connection::Close = c.expect(0);
    c.expect_eof();
}

#[test]
fn c32_heartbeats_come() {
    let mut c = shared().log_in(&Login {
        heartbeat: 6,
        ..Login::default()
    });
    let started = Instant::now();
    assert_eq!(c.frame_within(PATIENCE), Some(Frame::Heartbeat));
    // The first one is due after half the interval; whoever waits for the whole one is late.
    assert!(
        started.elapsed() < Duration::from_millis(5900),
        "after {:?}",
        started.elapsed()
    );
    c.send_frame(HEARTBEAT, 0, &[]);
    assert_eq!(c.frame_within(PATIENCE), Some(Frame::Heartbeat));
}

#[test]
fn c35_a_heartbeat_is_eight_bytes() {
    let mut c = shared().log_in(&Login {
        heartbeat: 1,
        ..Login::default()
    });
    // Until it takes us for dead, nothing else comes.
    let bytes = c.read_to_end();
    assert!(!bytes.is_empty());
    for frame in bytes.chunks(8) {
        assert_eq!(frame, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
    }
}

#[test]
fn c33_silent_peer_is_dropped() {
    let mut c = shared().log_in(&Login {
        heartbeat: 1,
        ..Login::default()
    });
    let started = Instant::now();
    c.expect_eof();
    let after = started.elapsed();
    assert!(
        after > Duration::from_millis(1500),
        "two intervals are allowed, not {after:?}"
    );
}

#[test]
fn c34_any_bytes_are_life() {
    let mut c = shared().client_as(&Login {
        heartbeat: 1,
        ..Login::default()
    });
    let frame = encode(METHOD, 1, &method_payload(&qos(1).into_class()));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        // half a frame at a time: bytes count, not frames
        for part in frame.chunks(frame.len().div_ceil(2)) {
            c.send_bytes(part);
            thread::sleep(Duration::from_millis(250));
        }
        let _: basic::QosOk = c.expect(1);
    }
}

#[test]
fn c36_close_ok_comes_after_exclusive_queues_are_gone() {
    let mut c = client();
    let q = unique("c36");
    c.call(
        1,
        queue::Declare {
            exclusive: true,
            ..declare(&q)
        },
    );
    c.call(0, close_connection());
    let mut other = client();
    other.send(1, declare_passive(&q));
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    other.expect_channel_error(1, 404, &text, (50, 10));
}

#[test]
fn c36_work_sent_before_close_is_done() {
    let mut c = client();
    let q = unique("c36w");
    c.call(1, declare(&q));
    for i in 0..100 {
        c.put(&q, &i.to_string());
    }
    c.call(0, close_connection());
    let mut other = client();
    assert_eq!(other.call(1, delete(&q)).message_count, 100);
}
