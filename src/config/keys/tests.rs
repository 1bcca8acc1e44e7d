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
    for key in keys() {
        let (name, value, with) = example(key.name);
        let mut settings = [with, around(key.name)].concat();
        let before = config(&settings);
        settings.push((name, value));
        // These say what is always so.
        if key.name.ends_with("renegotiation") || key.name.ends_with("renegotiate") {
            assert_eq!(before, config(&settings), "{}", key.name);
            continue;
        }
        // This one only says that the path beside it is meant.
        if key.name == "definitions.import_backend" {
            assert!(Draft::new_with(&setting(name, value)).finish().is_err());
            continue;
        }
        assert_ne!(before, config(&settings), "{}", key.name);
    }
}

type Settings = Vec<(&'static str, &'static str)>;

/// A value unlike the key's default, and what it needs beside it to be seen.
fn example(name: &'static str) -> (&'static str, &'static str, Settings) {
    let alone = |name, value| (name, value, Vec::new());
    match name {
        "listeners.tcp.default" => alone(name, "5673"),
        "listeners.tcp.<n>" => alone("listeners.tcp.1", "127.0.0.1:5674"),
        "listeners.ssl.<n>" => alone("listeners.ssl.1", "127.0.0.1:5674"),
        "listeners.tcp" | "listeners.ssl" | "management.tcp" | "prometheus.tcp" => {
            alone(name, "none")
        }
        "default_user_tags.<tag>" => alone("default_user_tags.monitoring", "true"),
        "loopback_users.<user>" => alone("loopback_users.guest", "false"),
        "auth_mechanisms.<n>" => alone("auth_mechanisms.1", "PLAIN"),
        name if name.starts_with("message_interceptors") => alone(name, "true"),
        "password_hashing_module" => alone(name, "rabbit_password_hashing_sha512"),
        "credential_validator.validation_backend" => {
            alone(name, "rabbit_credential_validator_min_password_length")
        }
        "credential_validator.min_length" => (
            name,
            "5",
            vec![(
                "credential_validator.validation_backend",
                "rabbit_credential_validator_min_password_length",
            )],
        ),
        "credential_validator.regexp" => (
            name,
            "[0-9]",
            vec![
                ("credential_validator.regexp", "[a-z]"),
                (
                    "credential_validator.validation_backend",
                    "rabbit_credential_validator_password_regexp",
                ),
            ],
        ),
        "anonymous_login_pass" => (name, "secret", vec![("anonymous_login_user", "a")]),
        "tcp_listen_options.nodelay" | "log.console" => alone(name, "false"),
        "tcp_listen_options.keepalive" | "proxy_protocol" => alone(name, "true"),
        "durability" => alone(name, "os"),
        "log.console.level" => alone(name, "debug"),
        "log.console.formatter" => alone(name, "json"),
        "log.file.level" => (name, "error", vec![("log.file", "a.log")]),
        "log.file.formatter" => (name, "json", vec![("log.file", "a.log")]),
        "vm_memory_high_watermark.relative" => alone(name, "0.5"),
        "vm_memory_high_watermark_paging_ratio" => alone(name, "0.25"),
        "disk_free_limit.relative" => alone(name, "1.5"),
        "definitions.import_backend" => (
            name,
            "local_filesystem",
            vec![("definitions.local.path", "d.json")],
        ),
        "management.tcp.ip" | "prometheus.tcp.ip" => alone(name, "127.0.0.1"),
        "management.ssl.ip" | "prometheus.ssl.ip" => alone(name, "127.0.0.1"),
        "collect_statistics_interval" => alone(name, "1000"),
        "prometheus.path" | "management.path_prefix" => alone(name, "/other"),
        "management.rates_mode" => alone(name, "detailed"),
        "management.cors.allow_origins.<n>" => alone("management.cors.allow_origins.1", "*"),
        "management.console_directory" => alone(name, "/console"),
        "management.monitoring_reads_all_vhosts" => alone(name, "true"),
        "default_queue_type" => alone(name, "quorum"),
        "default_policies.operator.<name>.vhost_pattern"
        | "default_policies.operator.<name>.queue_pattern" => {
            let length = ("default_policies.operator.<name>.max_length", "5");
            (name, "5000", vec![length])
        }
        "ssl_handshake_timeout" => alone(name, "7000"),
        "ssl_cert_login_from" => alone(name, "common_name"),
        "ssl_cert_login_san_type" => (name, "uri", vec![("ssl_cert_login_from", SAN)]),
        "ssl_cert_login_san_index" => (name, "1", vec![("ssl_cert_login_from", SAN)]),
        _ => example_of_tls(name),
    }
}

const SAN: &str = "subject_alternative_name";

fn example_of_tls(name: &'static str) -> (&'static str, &'static str, Settings) {
    let Some((prefix, option)) = name
        .rsplit_once("ssl.")
        .or(name.rsplit_once("ssl_options."))
    else {
        return (name, "5000", Vec::new());
    };
    let cafile = || (key_of(prefix, "cacertfile"), "ca");
    let value = match option {
        "verify" => return (name, "verify_peer", vec![cafile()]),
        "fail_if_no_peer_cert" => {
            let verify = (key_of(prefix, "verify"), "verify_peer");
            return (name, "true", vec![cafile(), verify]);
        }
        "versions.<n>" => return (numbered(prefix, "versions"), "tlsv1.3", Vec::new()),
        "ciphers.<n>" => {
            let cipher = "ECDHE-RSA-AES128-GCM-SHA256";
            return (numbered(prefix, "ciphers"), cipher, Vec::new());
        }
        "honor_cipher_order" | "secure_renegotiate" => "true",
        "reuse_sessions" | "client_renegotiation" => "false",
        "depth" => "1",
        "default" | "port" => "5000",
        _ => "other.pem",
    };
    (name, value, Vec::new())
}

/// The option of this kind of listener; `prefix` is what stands before `ssl`.
fn key_of(prefix: &str, option: &str) -> &'static str {
    let ends = |key: &&Key| {
        key.name.strip_prefix(prefix).is_some_and(|rest| {
            rest.strip_prefix("ssl_options.")
                .or(rest.strip_prefix("ssl."))
                == Some(option)
        })
    };
    keys().find(ends).expect("a key of the table").name
}

fn numbered(prefix: &str, option: &str) -> &'static str {
    match (prefix, option) {
        ("management.", "versions") => "management.ssl.versions.1",
        ("management.", _) => "management.ssl.ciphers.1",
        ("prometheus.", "versions") => "prometheus.ssl.versions.1",
        ("prometheus.", _) => "prometheus.ssl.ciphers.1",
        (_, "versions") => "ssl_options.versions.1",
        (_, _) => "ssl_options.ciphers.1",
    }
}

/// What makes a key's group count at all: TLS needs files, and a listener.
fn around(name: &str) -> Settings {
    if name.starts_with("management.ssl") {
        let files = [
            ("management.ssl.certfile", "c"),
            ("management.ssl.keyfile", "k"),
        ];
        files.to_vec()
    } else if name.starts_with("prometheus.ssl") {
        let files = [
            ("prometheus.ssl.certfile", "c"),
            ("prometheus.ssl.keyfile", "k"),
        ];
        files.to_vec()
    } else if name.starts_with("ssl_") || name.starts_with("listeners.ssl") {
        let all = [
            ("ssl_options.certfile", "c"),
            ("ssl_options.keyfile", "k"),
            ("listeners.ssl.default", "5671"),
        ];
        all.to_vec()
    } else {
        Vec::new()
    }
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
        complaint("ssl_options.dhfile", "/x"),
        "w.conf:7: `ssl_options.dhfile` cannot be honoured by this version: \
         this option of Erlang's TLS does not exist here"
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
    assert!(complaint("ssl_options.versions.1", "tlsv1.1").contains("is the oldest"));
    assert!(complaint("ssl_options.ciphers.1", "RC4-MD5").contains("accepts a cipher suite"));
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
    let daily = "num_acceptors.tcp tcp_listen_options.linger ssl_options.password \
        reverse_dns_lookups auth_backends.1 \
        vm_memory_calculation_strategy \
        queue_leader_locator classic_queue.default_version \
        quorum_queue.initial_cluster_size cluster_formation.peer_discovery_backend \
        cluster_partition_handling net_ticktime definitions.https.url log.file.rotation.date \
        log.syslog log.exchange.level log.connection.level ssl_options.crl_check \
        management.csp.policy management.hsts.policy \
        prometheus.return_per_object_metrics prometheus.authentication.enabled \
        deprecated_features.permit.transient_nonexcl_queues collect_statistics \
        default_policies.operator.a.max_in_memory_length default_limits.vhosts.1";
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
fn row_c_40_tls_is_complete_or_refused() {
    let finished = |settings: &[(&str, &str)]| {
        let mut draft = Draft::new();
        for (key, value) in settings {
            apply(&mut draft, &setting(key, value)).unwrap();
        }
        draft.finish().map_err(|problem| problem.to_string())
    };
    let listener = ("listeners.ssl.default", "5671");
    let cert = ("ssl_options.certfile", "c.pem");
    let key = ("ssl_options.keyfile", "k.pem");
    let peer = ("ssl_options.verify", "verify_peer");
    let refused = |settings: &[(&str, &str)]| finished(settings).unwrap_err();
    assert!(refused(&[listener, cert]).contains("ssl_options.keyfile"));
    assert!(refused(&[listener, cert, key, peer]).contains("needs ssl_options.cacertfile"));
    let strict = ("ssl_options.fail_if_no_peer_cert", "true");
    assert!(refused(&[listener, cert, key, strict]).contains("verify_peer"));
    let config = finished(&[listener, cert, key]).unwrap();
    assert_eq!(config.amqp_tls_listeners, [ListenAddress::any(5671)]);
    // The plain listener stays: RabbitMQ's has to be turned off too.
    assert_eq!(config.amqp_listeners, [ListenAddress::any(5672)]);
    // Options without a listener are RabbitMQ's way to prepare one.
    assert!(finished(&[cert]).unwrap().amqp_tls_listeners.is_empty());
}

#[test]
fn http_over_tls_replaces_plain_http_that_nobody_named() {
    let tls = [
        ("management.ssl.certfile", "c"),
        ("management.ssl.keyfile", "k"),
    ];
    let only = config(&tls);
    assert_eq!(only.management, None);
    assert_eq!(only.management_tls.unwrap().0, ListenAddress::any(15671));
    let both = config(&[&tls[..], &[("management.tcp.port", "15672")]].concat());
    assert_eq!(both.management, Some(ListenAddress::any(15672)));
    assert!(both.management_tls.is_some() && both.prometheus_tls.is_none());
}

#[test]
fn row_c_23_anonymous_needs_a_user() {
    let finished = |settings: &[(&str, &str)]| {
        let mut draft = Draft::new();
        for (key, value) in settings {
            apply(&mut draft, &setting(key, value)).unwrap();
        }
        draft.finish().map_err(|problem| problem.to_string())
    };
    assert_eq!(finished(&[]).unwrap().login.anonymous, None);
    let asked = ("auth_mechanisms.1", "ANONYMOUS");
    assert!(
        finished(&[asked])
            .unwrap_err()
            .contains("anonymous_login_user")
    );
    let user = ("anonymous_login_user", "guest");
    assert!(finished(&[asked, user]).unwrap().login.anonymous.is_some());
    assert!(
        finished(&[user, ("anonymous_login_user", "none")])
            .unwrap()
            .login
            .anonymous
            .is_none()
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

#[test]
fn u6_u25_what_new_vhosts_begin_with() {
    let defaults = config(&[
        ("default_limits.vhosts.b.max_queues", "7"),
        ("default_limits.vhosts.a.pattern", "^dev"),
        ("default_limits.vhosts.a.max_connections", "-1"),
        ("default_policies.operator.cap.vhost_pattern", "^dev"),
        ("default_policies.operator.cap.message_ttl", "2h"),
        ("default_policies.operator.cap.max_length_bytes", "1MB"),
        ("default_users.ops.tags", "monitoring,policymaker"),
        ("default_users.ops.write", "^$"),
    ])
    .vhost_defaults;
    let limits: Vec<_> = defaults.limits.iter().map(|of| &*of.vhosts).collect();
    assert_eq!(limits, ["^dev", ".*"]);
    assert_eq!(defaults.limits[0].max_connections, Some(-1));
    let policy = &defaults.policies[0];
    assert_eq!((&*policy.name, &*policy.vhosts), ("cap", "^dev"));
    let definition = &policy.policy.definition;
    assert_eq!(definition["message-ttl"], 7_200_000);
    assert_eq!(definition["max-length-bytes"], 1_000_000);
    let ops = &defaults.users[0];
    assert_eq!(ops.tags, ["monitoring", "policymaker"]);
    assert_eq!((&*ops.write, &*ops.read), ("^$", ".*"));
    let empty = setting("default_policies.operator.cap.vhost_pattern", "^dev");
    assert!(Draft::new_with(&empty).finish().is_err());
}
