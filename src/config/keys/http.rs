//! Keys of the two HTTP listeners.

use std::time::Duration;

use super::Key;
use crate::config::draft::HttpListener;
use crate::config::value::{BadValue, bind_host, number, put};

const HOST: &str = "an IP address or host name";
const PORT: &str = "a port, 0 to 65535; 0 lets the system choose";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "management.tcp.port",
        default: "15672",
        accepts: PORT,
        doc: "Port of the management API and console.",
        set: |d, _, v| set_port(&mut d.management, v),
    },
    Key {
        name: "management.tcp.ip",
        default: "(every interface)",
        accepts: HOST,
        doc: "Address of the management API and console.",
        set: |d, _, v| set_host(&mut d.management, v),
    },
    Key {
        name: "management.tcp",
        default: "(listening)",
        accepts: "`none`",
        doc: "`none` serves no management API. Not a RabbitMQ key.",
        set: |d, _, v| turn_off(&mut d.management, v),
    },
    Key {
        name: "management.ssl.port",
        default: "(15671)",
        accepts: PORT,
        doc: "Port of the management API and console over TLS. Opened when any `management.ssl` \
              key is given; the one without TLS then only if `management.tcp` names it.",
        set: |d, _, v| put(&mut d.management_tls.port, number(v, 0, u16::MAX).map(Some)),
    },
    Key {
        name: "management.ssl.ip",
        default: "(every interface)",
        accepts: HOST,
        doc: "Its address.",
        set: |d, _, v| put(&mut d.management_tls.host, host(v).map(Some)),
    },
    Key {
        name: "prometheus.tcp.port",
        default: "15692",
        accepts: PORT,
        doc: "Port of the Prometheus metrics.",
        set: |d, _, v| set_port(&mut d.prometheus, v),
    },
    Key {
        name: "prometheus.tcp.ip",
        default: "(every interface)",
        accepts: HOST,
        doc: "Address of the Prometheus metrics.",
        set: |d, _, v| set_host(&mut d.prometheus, v),
    },
    Key {
        name: "prometheus.tcp",
        default: "(listening)",
        accepts: "`none`",
        doc: "`none` serves no metrics. Not a RabbitMQ key.",
        set: |d, _, v| turn_off(&mut d.prometheus, v),
    },
    Key {
        name: "prometheus.ssl.port",
        default: "(15691)",
        accepts: PORT,
        doc: "Port of the metrics over TLS. Opened when any `prometheus.ssl` key is given; the one \
              without TLS then only if `prometheus.tcp` names it.",
        set: |d, _, v| put(&mut d.prometheus_tls.port, number(v, 0, u16::MAX).map(Some)),
    },
    Key {
        name: "prometheus.ssl.ip",
        default: "(every interface)",
        accepts: HOST,
        doc: "Its address.",
        set: |d, _, v| put(&mut d.prometheus_tls.host, host(v).map(Some)),
    },
    Key {
        name: "prometheus.path",
        default: "/metrics",
        accepts: "a path beginning with `/`, of letters, digits, `/`, `.`, `-` and `_`",
        doc: "Path of the metrics on their listener.",
        set: |d, _, v| put(&mut d.config.prometheus_path, path(v)),
    },
    Key {
        name: "collect_statistics_interval",
        default: "5000",
        accepts: "milliseconds, 100 to 60000",
        doc: "How often counters are sampled: the interval rates are measured over and the step \
              of the finest history.",
        set: |d, _, v| {
            let time = number(v, 100, 60_000u32).map(|ms| Duration::from_millis(ms.into()));
            put(&mut d.config.sample_interval, time)
        },
    },
];

fn set_port(listener: &mut HttpListener, text: &str) -> Result<(), BadValue> {
    listener.named = true;
    put(&mut listener.address.port, number(text, 0, u16::MAX))
}

fn set_host(listener: &mut HttpListener, text: &str) -> Result<(), BadValue> {
    listener.named = true;
    put(&mut listener.address.host, host(text))
}

fn host(text: &str) -> Result<Option<String>, BadValue> {
    // RabbitMQ's way to say every interface.
    let every = text == "::" || text == "0.0.0.0";
    Ok(if every { None } else { Some(bind_host(text)?) })
}

fn turn_off(listener: &mut HttpListener, text: &str) -> Result<(), BadValue> {
    if text != "none" {
        return Err(BadValue::Form);
    }
    listener.on = false;
    Ok(())
}

fn path(text: &str) -> Result<String, BadValue> {
    // Braces and asterisks mean something to the HTTP router: keep to what is certainly plain.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let fine = text.len() > 1 && text.starts_with('/') && text.chars().all(plain);
    if fine {
        Ok(text.to_owned())
    } else {
        Err(BadValue::Form)
    }
}
