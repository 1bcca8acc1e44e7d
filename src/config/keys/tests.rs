//! Tests of the table: defaults are true, every key has an effect, mistakes are named.

use std::path::PathBuf;
use std::time::Duration;

use warren_broker::alarms::{DiskFreeLimit, MemoryWatermark};

use super::{GROUPS, Key, apply, refused};
use crate::config::files::{Origin, Setting};
use crate::config::value::Secret;
use crate::config::{AuthMechanism, Config, Draft, ListenAddress, LogFormat, LogLevel};

fn keys() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|(_, keys)| keys.iter())
}

fn setting(key: &str, value: &str) -> Setting {
    Setting {
        key: key.split('.').map(str::to_owned).collect(),
        value: value.to_owned(),
        origin: Origin::Line(std::rc::Rc::from(PathBuf::from("w.conf")), 7),
    }
}

fn config(settings: &[(&str, &str)]) -> Config {
    let mut draft = Draft::new();
    for (key, value) in settings {
        apply(&mut draft, &setting(key, value)).unwrap();
    }
    draft.finish().unwrap()
}

fn complaint(key: &str, value: &str) -> String {
    apply(&mut Draft::new(), &setting(key, value))
        .unwrap_err()
        .to_string()
}

#[test]
fn writing_a_default_changes_nothing() {
    for key in keys().filter(|key| !key.default.starts_with('(')) {
        assert_eq!(
            config(&[(key.name, key.default)]),
            Config::default(),
            "{}",
            key.name
        );
    }
}

#[test]
fn every_key_has_an_effect() {
    // For each key a value unlike its default, and what it needs beside it to be seen.
    let examples = |name: &str| match name {
        "listeners.tcp.default" => ("listeners.tcp.default", "5673", None),
        "listeners.tcp.<n>" => ("listeners.tcp.1", "127.0.0.1:5674", None),
        "listeners.tcp" | "management.tcp" | "prometheus.tcp" => (keyed(name), "none", None),
        "default_user_tags.<tag>" => ("default_user_tags.monitoring", "true", None),
        "loopback_users.<user>" => ("loopback_users.guest", "false", None),
        "auth_mechanisms.<n>" => ("auth_mechanisms.1", "PLAIN", None),
        "tcp_listen_options.nodelay" | "log.console" => (keyed(name), "false", None),
        "tcp_listen_options.keepalive" => (keyed(name), "true", None),
        "log.console.level" => (keyed(name), "debug", None),
        "log.console.formatter" => (keyed(name), "json", None),
        "log.file.level" => (keyed(name), "error", Some(("log.file", "a.log"))),
        "log.file.formatter" => (keyed(name), "json", Some(("log.file", "a.log"))),
        "vm_memory_high_watermark.relative" => (keyed(name), "0.5", None),
        "disk_free_limit.relative" => (keyed(name), "1.5", None),
        "definitions.import_backend" => (
            keyed(name),
            "local_filesystem",
            Some(("definitions.local.path", "d.json")),
        ),
        "management.tcp.ip" | "prometheus.tcp.ip" => (keyed(name), "127.0.0.1", None),
        "prometheus.path" => (keyed(name), "/other", None),
        _ => (keyed(name), "5000", None),
    };
    for key in keys() {
        let (name, value, with) = examples(key.name);
        let mut settings: Vec<_> = with.into_iter().collect();
        let before = config(&settings);
        settings.push((name, value));
        let after = config(&settings);
        // This one only says that the path beside it is meant.
        if key.name == "definitions.import_backend" {
            assert!(Draft::new_with(&setting(name, value)).finish().is_err());
        } else {
            assert_ne!(before, after, "{}", key.name);
        }
    }
}

fn keyed(name: &str) -> &'static str {
    keys()
        .find(|key| key.name == name)
        .expect("a key of the table")
        .name
}

impl Draft {
    fn new_with(setting: &Setting) -> Self {
        let mut draft = Self::new();
        apply(&mut draft, setting).unwrap();
        draft
    }
}

#[test]
fn no_key_stands_twice_or_is_also_refused() {
    let names: Vec<_> = keys().map(|key| key.name).collect();
    for (index, name) in names.iter().enumerate() {
        assert!(!names[index + 1..].contains(name), "{name}");
        let refused_exactly = refused::all().any(|(refused, _)| refused == *name);
        assert!(!refused_exactly, "{name}");
    }
}

#[test]
fn mistakes_name_the_line_and_what_is_accepted() {
    assert_eq!(
        complaint("hartbeat", "1"),
        "w.conf:7: unknown key `hartbeat`, did you mean `heartbeat`?"
    );
    assert_eq!(
        complaint("heartbeat", "soon"),
        "w.conf:7: `heartbeat` accepts seconds, 0 to 65535; 0 proposes no heartbeats"
    );
    assert_eq!(
        complaint("ssl_options.cacertfile", "/x"),
        "w.conf:7: `ssl_options.cacertfile` cannot be honoured by this version: \
         TLS is not available yet"
    );
    assert_eq!(
        complaint("management.tcp.prot", "1")
            .split(',')
            .nth(1)
            .unwrap(),
        " did you mean `management.tcp.port`?"
    );
    assert_eq!(
        complaint("qwertz.uiop", "1"),
        "w.conf:7: unknown key `qwertz.uiop`"
    );
    assert!(complaint("auth_mechanisms.1", "EXTERNAL").contains("needs TLS"));
    assert!(complaint("default_pass", "encrypted:abc").contains("encrypted values"));
    assert!(complaint("definitions.import_backend", "https").contains("from files only"));
}

#[test]
fn refused_keys_are_not_taken_for_typing_errors() {
    for (name, reason) in refused::all() {
        let told = complaint(&format!("{name}.something"), "1");
        assert!(told.ends_with(reason), "{told}");
    }
}

#[test]
fn a_refused_value_is_not_repeated() {
    assert!(!complaint("heartbeat", "my-password").contains("my-password"));
}

#[test]
fn every_daily_key_of_rabbitmq_is_known_or_refused_with_a_reason() {
    let daily = "listeners.ssl.default num_acceptors.tcp tcp_listen_options.linger proxy_protocol \
        reverse_dns_lookups consumer_timeout vhost_max auth_backends.1 password_hashing_module \
        anonymous_login_user credential_validator.min_length vm_memory_calculation_strategy \
        default_queue_type queue_leader_locator classic_queue.default_version \
        quorum_queue.initial_cluster_size cluster_formation.peer_discovery_backend \
        cluster_partition_handling net_ticktime definitions.https.url log.file.rotation.date \
        log.syslog log.exchange.level log.connection.level ssl_options.certfile \
        management.rates_mode management.path_prefix management.cors.allow_origins.1 \
        prometheus.return_per_object_metrics prometheus.authentication.enabled \
        deprecated_features.permit.transient_nonexcl_queues collect_statistics \
        collect_statistics_interval default_policies.operator.a.expires default_limits.vhosts.1";
    for name in daily.split_whitespace() {
        assert!(
            complaint(name, "1").contains("cannot be honoured"),
            "{name}"
        );
    }
}

#[test]
fn listeners_replace_the_default_one() {
    let listeners = |settings: &[(&str, &str)]| config(settings).amqp_listeners;
    assert_eq!(listeners(&[]), vec![ListenAddress::any(5672)]);
    assert_eq!(
        listeners(&[("listeners.tcp.1", "1111")]),
        vec![ListenAddress::any(1111)]
    );
    assert_eq!(
        listeners(&[
            ("listeners.tcp.2", "2222"),
            ("listeners.tcp.default", "5672")
        ]),
        vec![ListenAddress::any(2222), ListenAddress::any(5672)]
    );
    assert_eq!(
        listeners(&[("listeners.tcp", "none"), ("listeners.tcp.1", "1111")]),
        vec![]
    );
}

#[test]
fn lists_of_users_tags_and_mechanisms() {
    let guest_free = config(&[("loopback_users", "none")]);
    assert!(guest_free.login.loopback_users.is_empty());
    let listed = config(&[("loopback_users", "a, b c")]);
    assert_eq!(
        listed.login.loopback_users.into_iter().collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let added = config(&[("loopback_users.admin", "true")]);
    assert_eq!(
        added.login.loopback_users.into_iter().collect::<Vec<_>>(),
        ["admin", "guest"]
    );
    let tags = config(&[
        ("default_user_tags.management", "true"),
        ("default_user_tags.x", "off"),
    ]);
    assert_eq!(tags.login.default_user_tags, ["management"]);
    let mechanisms = config(&[
        ("auth_mechanisms.2", "PLAIN"),
        ("auth_mechanisms.1", "AMQPLAIN"),
    ]);
    assert_eq!(
        mechanisms.login.auth_mechanisms,
        [AuthMechanism::AmqPlain, AuthMechanism::Plain]
    );
}

#[test]
fn absolute_limits_win_in_any_order() {
    let (relative, absolute) = (
        ("vm_memory_high_watermark.relative", "0.6"),
        ("vm_memory_high_watermark.absolute", "2GB"),
    );
    for settings in [[relative, absolute], [absolute, relative]] {
        let watermark = config(&settings).resources.memory_watermark;
        assert_eq!(watermark, MemoryWatermark::Absolute(2_000_000_000));
    }
    let disk = config(&[("disk_free_limit.relative", "1.5")])
        .resources
        .disk_free_limit;
    assert_eq!(disk, DiskFreeLimit::Relative(1.5));
}

#[test]
fn the_log_file_follows_its_folder_and_name() {
    let path = |settings: &[(&str, &str)]| config(settings).log.file.map(|(path, _)| path);
    let node = Config::default().node_name;
    assert_eq!(path(&[("log.file", "a.log")]), Some(PathBuf::from("a.log")));
    assert_eq!(
        path(&[("log.file", "a.log"), ("log.dir", "/l")]),
        Some(PathBuf::from("/l/a.log"))
    );
    assert_eq!(
        path(&[("log.dir", "/l")]),
        Some(PathBuf::from(format!("/l/{node}.log")))
    );
    assert_eq!(path(&[("log.dir", "/l"), ("log.file", "false")]), None);
    let sink = config(&[
        ("log.console.level", "debug"),
        ("log.console.formatter", "json"),
    ]);
    let console = sink.log.console.unwrap();
    assert_eq!(
        (console.level, console.format),
        (LogLevel::Debug, LogFormat::Json)
    );
    assert_eq!(config(&[("log.console", "false")]).log.console, None);
}

#[test]
fn http_listeners_take_their_halves_apart() {
    let config = config(&[
        ("management.tcp.ip", "127.0.0.1"),
        ("prometheus.tcp.port", "9"),
        ("handshake_timeout", "500"),
        ("default_pass", "x"),
    ]);
    let management = config.management.unwrap();
    assert_eq!(management.to_string(), "127.0.0.1:15672");
    assert_eq!(config.prometheus, Some(ListenAddress::any(9)));
    assert_eq!(config.limits.handshake_timeout, Duration::from_millis(500));
    assert_eq!(config.login.default_pass, Secret::new("x"));
}

#[test]
fn out_of_range_values_are_refused() {
    for (key, value) in [
        ("frame_max", "4095"),
        ("frame_max", "-1"),
        ("initial_frame_max", "0"),
        ("channel_max", "65536"),
        ("max_message_size", "0"),
        ("max_message_size", "513MiB"),
        ("consumer_max_per_channel", "0"),
        ("vm_memory_high_watermark.relative", "1.5"),
        ("tcp_listen_options.sndbuf", "0"),
        ("tcp_listen_options.nodelay", "yes"),
        ("listeners.tcp", "5672"),
        ("log.file", ""),
        ("log.console.level", "loud"),
        ("prometheus.path", "metrics"),
        ("prometheus.path", "/{x}"),
        ("management.tcp.ip", "not an address"),
        ("auth_mechanisms.x", "PLAIN"),
        ("default_user", ""),
    ] {
        assert!(
            complaint(key, value).contains("accepts "),
            "{key} = {value}"
        );
    }
    assert_eq!(config(&[("frame_max", "0")]).limits.frame_max, 0);
}
