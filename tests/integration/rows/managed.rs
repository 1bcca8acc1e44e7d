//! Brokers whose management API a row needs, and short ways to use it.

use crate::{
    dialogue::PATIENCE,
    harness::{Broker, Home, http_get, http_send},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// A broker of its own with its management API.
pub(super) fn managed() -> (Broker, SocketAddr) {
    managed_with(&[])
}

/// The same with this configuration.
pub(super) fn managed_with(config: &[&str]) -> (Broker, SocketAddr) {
    let home = Home::new(config);
    let mut broker = Broker::start_in(home, &["--management-addr", "127.0.0.1:0"]);
    let addr = broker.management_addr();
    (broker, addr)
}

/// Creates or changes what stands at `path`.
#[track_caller]
pub(super) fn put(addr: SocketAddr, path: &str, body: &str) {
    let (status, answer) = http_send(addr, "PUT", path, Some("guest"), body);
    assert!(matches!(status, 201 | 204), "{status} {answer}");
}

/// Deletes what stands at `path`.
#[track_caller]
pub(super) fn remove(addr: SocketAddr, path: &str) {
    let (status, answer) = http_send(addr, "DELETE", path, Some("guest"), "");
    assert_eq!(status, 204, "{answer}");
}

/// Asks until `check` holds.
#[track_caller]
pub(super) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What guest sees at `path`, which must be there.
#[track_caller]
pub(super) fn see(addr: SocketAddr, path: &str) -> Value {
    let (status, body) = http_get(addr, path, Some("guest"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
}
