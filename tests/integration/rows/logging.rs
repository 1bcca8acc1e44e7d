//! Section 9.4: the lines operators look for.

use super::managed::eventually;
use crate::{
    dialogue::*,
    harness::{Broker, is_oracle},
};
use std::net::TcpStream;

/// Waits until the broker has logged a line with all these parts.
#[track_caller]
fn await_line(broker: &Broker, parts: &[&str]) -> String {
    let mut found = None;
    eventually(&format!("a line with {parts:?}"), || {
        let log = broker.log();
        let mut lines = log.lines();
        found = lines
            .find(|line| parts.iter().all(|part| line.contains(part)))
            .map(str::to_owned);
        found.is_some()
    });
    found.unwrap_or_default()
}

#[test]
fn o11_lines_of_a_connections_life() {
    if is_oracle() {
        return; // its log is elsewhere
    }
    let broker = Broker::start(&[]);
    let mut c = broker.client();
    let end = format!("-> {})", broker.addr());
    await_line(&broker, &["[info] ", "accepting AMQP connection (", &end]);
    let granted = "user 'guest' authenticated and granted access to vhost '/'";
    await_line(&broker, &["[info] connection (", &end, granted]);
    c.call(0, close_connection());
    let who = ", vhost: '/', user: 'guest')";
    await_line(&broker, &["closing AMQP connection (", who]);
    drop(broker.client());
    let reason = "client unexpectedly closed TCP connection";
    await_line(&broker, &["closing AMQP connection (", who, reason]);
    let mut silent = broker.log_in(&Login {
        heartbeat: 1,
        ..Login::default()
    });
    silent.expect_eof();
    let reason = "missed heartbeats from client, timeout: 1s";
    await_line(&broker, &["closing AMQP connection (", who, reason]);
}

#[test]
fn o12_errors_name_operation_and_cause() {
    if is_oracle() {
        return; // its log is elsewhere
    }
    let broker = Broker::start(&[]);
    let mut c = broker.client();
    c.send(1, ack(9));
    let _: channel::Close = c.expect(1);
    await_line(
        &broker,
        &[
            "[error] Channel error on connection (",
            ", vhost: '/', user: 'guest'), channel 1: operation basic.ack caused a channel \
             exception precondition_failed: unknown delivery tag 9",
        ],
    );
    let mut c = broker.client();
    c.send(1, channel::Open {});
    let _: connection::Close = c.expect(0);
    await_line(
        &broker,
        &[
            "[error] Error on AMQP connection (",
            "operation channel.open caused a connection exception channel_error: second \
             'channel.open' seen",
        ],
    );
}

#[test]
fn o10_lines_begin_with_time_and_level() {
    if is_oracle() {
        return; // its log is elsewhere
    }
    let broker = Broker::start(&[]);
    drop(broker.client());
    let line = await_line(&broker, &["accepting AMQP connection"]);
    let (time, rest) = line.split_at(32);
    assert_eq!((&time[10..11], &time[26..]), (" ", "+00:00"), "{line}");
    assert!(rest.starts_with(" [info] "), "{line}");
}

#[test]
fn c6_who_says_nothing_is_not_worth_a_line() {
    if is_oracle() {
        return; // its log is elsewhere
    }
    let broker = Broker::start(&[]);
    let silent = TcpStream::connect(broker.addr()).expect("a connection");
    let port = silent.local_addr().expect("an address").port();
    drop(silent);
    drop(broker.client());
    await_line(&broker, &["client unexpectedly closed TCP connection"]);
    let log = broker.log();
    assert!(!log.contains(&format!(":{port} ")), "{log}");
}
