//! Keys of the two HTTP listeners.

use std::time::Duration;

use super::Key;
use crate::config::draft::HttpListener;
use crate::config::value::{BadValue, bind_host, boolean, number, put};

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
        name: "management.path_prefix",
        default: "(none)",
        accepts: "a path such as `/mq`",
        doc: "What comes before the paths of the management API and console.",
        set: |d, _, v| put(&mut d.config.http.path_prefix, path(v)),
    },
    Key {
        name: "management.cors.allow_origins.<n>",
        default: "(none)",
        accepts: "an origin such as `https://ops.example`, or `*`",
        doc: "Pages from there may use the management API; with `*` all may, without a login.",
        set: |d, _, v| {
            d.config.http.cors_allow_origins.push(v.to_owned());
            Ok(())
        },
    },
    Key {
        name: "management.cors.max_age",
        default: "1800",
        accepts: "seconds, 0 to 4294967295",
        doc: "How long a browser may remember the answer to such a page's first question.",
        set: |d, _, v| put(&mut d.config.http.cors_max_age_s, number(v, 0, u32::MAX)),
    },
    Key {
        name: "management.http.max_body_size",
        default: "20000000",
        accepts: "bytes, 1 to 4294967295",
        doc: "Largest body of a request to the management API.",
        set: |d, _, v| {
            let size = number(v, 1, u32::MAX).map(|size| size as usize);
            put(&mut d.config.http.max_body_size, size)
        },
    },
    Key {
        name: "management.monitoring_reads_all_vhosts",
        default: "false",
        accepts: "`true` or `false`",
        doc: "Users tagged `monitoring` see queues, exchanges and bindings of vhosts they have no \
              permission in. Not a RabbitMQ key.",
        set: |d, _, v| put(&mut d.config.http.monitoring_reads_all_vhosts, boolean(v)),
    },
    Key {
        name: "management.console_directory",
        default: "(built in)",
        accepts: "a folder",
        doc: "Files of the console that are found in this folder are served instead of the built-in \
              ones, read at each request: for changing the console without building. Not a \
              RabbitMQ key.",
        set: |d, _, v| {
            d.config.http.console_directory = Some(v.into());
            Ok(())
        },
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
        name: "management.rates_mode",
        default: "basic",
        accepts: "`basic` or `detailed`",
        doc: "`detailed` also counts what passes between each channel and exchange, exchange and \
              queue, queue and channel; shown by single objects of the API.",
        set: |d, _, v| match v {
            "basic" => put(&mut d.config.detailed_rates, Ok(false)),
            "detailed" => put(&mut d.config.detailed_rates, Ok(true)),
            _ => Err(BadValue::Form),
        },
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
