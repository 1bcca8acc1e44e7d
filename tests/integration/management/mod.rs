//! The management API of a running broker, one file per area.

mod breakdown;
mod client;
mod console;
mod counters;
mod lists;
mod metrics;
mod shapes;
mod speed;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Broker, http_get};

/// A broker with this configuration that serves HTTP.
fn start(config: &[&str]) -> Broker {
    let http = [
        "--management-addr",
        "127.0.0.1:0",
        "--prometheus-addr",
        "127.0.0.1:0",
    ];
    Broker::start_with(config, &http)
}

/// What guest gets from `/api{path}`: status and JSON.
fn api(broker: &mut Broker, path: &str) -> (u16, Value) {
    let (status, body) = http_get(
        broker.management_addr(),
        &format!("/api{path}"),
        Some("guest"),
    );
    let value = serde_json::from_str(&body);
    (
        status,
        value.unwrap_or_else(|e| panic!("{path}: {e}: {body}")),
    )
}

/// The same of something that is there.
#[track_caller]
fn see(broker: &mut Broker, path: &str) -> Value {
    let (status, value) = api(broker, path);
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Asks again and again until `path` shows what `good` looks for.
#[track_caller]
fn await_seen(broker: &mut Broker, path: &str, good: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, value) = api(broker, path);
        if good(&value) {
            return value;
        }
        assert!(Instant::now() < deadline, "{path} still is {value:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A name as part of a path.
fn encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
