//! Section 1.1 to 1.4: the handshake, authentication, and what is refused at open.

use crate::{
    dialogue::*,
    harness::{Broker, Home, client, is_oracle, shared},
};
use std::{
    net::{IpAddr, UdpSocket},
    time::{Duration, Instant},
};

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                       For details see the broker logfile.";

#[test]
fn c01_start_follows_the_protocol_header() {
    let mut c = shared().peer();
    c.send_bytes(b"AMQP");
    c.send_bytes(b"\0\0\x09\x01");
    let _: connection::Start = c.expect(0);
}

#[test]
fn c02_the_0_9_header_is_0_9_1() {
    let mut c = shared().peer();
    c.send_bytes(b"AMQP\x01\x01\0\x09");
    let start: connection::Start = c.expect(0);
    assert_eq!((start.version_major, start.version_minor), (0, 9));
}

#[test]
fn c03_other_headers_are_told_ours() {
    for hello in [
        b"AMQP\0\x01\0\0",
        b"AMQP\x03\x01\0\0",
        b"AMQP\0\0\x09\x02",
        b"XMPP\0\0\x09\x01",
    ] {
        let mut c = shared().peer();
        c.send_bytes(hello);
        assert_eq!(c.read_to_end(), PROTOCOL_HEADER, "after {hello:?}");
    }
}

#[test]
fn c03_0_8_is_refused() {
    let mut c = shared().peer();
    c.send_bytes(b"AMQP\x01\x01\x08\0");
    if is_oracle() {
        let _: connection::Start = c.expect(0);
    } else {
        assert_eq!(c.read_to_end(), PROTOCOL_HEADER);
    }
}

#[test]
fn c04_tls_and_http_on_the_plain_port() {
    for hello in [
        &b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03"[..],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut c = shared().peer();
        c.send_bytes(hello);
        assert_eq!(c.read_to_end(), PROTOCOL_HEADER, "after {hello:?}");
    }
}

#[test]
fn c05_silent_client_is_dropped() {
    let started = Instant::now();
    let mut c = shared().peer();
    c.read_to_end();
    assert!(
        started.elapsed() > Duration::from_secs(8),
        "after {:?}",
        started.elapsed()
    );
}

#[test]
fn c05_client_that_never_logs_in_is_dropped() {
    let started = Instant::now();
    let mut c = shared().peer();
    c.start();
    c.expect_eof();
    assert!(
        started.elapsed() > Duration::from_secs(8),
        "after {:?}",
        started.elapsed()
    );
}

#[test]
fn c05_client_that_never_opens_is_dropped() {
    let mut c = shared().peer();
    c.tune(&Login::default());
    c.expect_eof();
}

#[test]
fn c07_what_start_says() {
    let mut c = shared().peer();
    let start = c.start();
    assert_eq!((start.version_major, start.version_minor), (0, 9));
    assert_eq!(start.locales.as_bytes(), b"en_US");
    let mechanisms = text(&start.mechanisms).split(' ').collect::<Vec<_>>();
    assert!(
        mechanisms.contains(&"PLAIN") && mechanisms.contains(&"AMQPLAIN"),
        "{mechanisms:?}"
    );
    for key in [
        "product",
        "version",
        "platform",
        "copyright",
        "information",
        "cluster_name",
    ] {
        assert!(
            field(&start.server_properties, key)
                .as_long_string()
                .is_some(),
            "{key}"
        );
    }
    let capabilities = fields(field(&start.server_properties, "capabilities"));
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        assert_eq!(field(capabilities, name), &boolean(true), "{name}");
    }
}

#[test]
fn c08_locale_is_not_checked() {
    let mut c = shared().peer();
    c.start();
    c.send(
        0,
        connection::StartOk {
            locale: "xx_YY".into(),
            ..Login::default().start_ok()
        },
    );
    let _: connection::Tune = c.expect(0);
}

#[test]
fn c10_tune() {
    let mut c = shared().peer();
    let tune = c.authenticate(&Login::default());
    assert_eq!(
        (tune.channel_max, tune.frame_max, tune.heartbeat),
        (2047, 131_072, 60)
    );
}

#[test]
fn c11_tune_violations() {
    let good = Login::default();
    for bad in [
        Login {
            channel_max: 2048,
            ..good.clone()
        },
        Login {
            channel_max: 0,
            ..good.clone()
        },
        Login {
            frame_max: 131_073,
            ..good.clone()
        },
        Login {
            frame_max: 4095,
            ..good.clone()
        },
        Login {
            frame_max: 0,
            ..good
        },
    ] {
        let mut c = shared().peer();
        c.authenticate(&bad);
        c.send(0, bad.tune_ok());
        if is_oracle() {
            c.expect_eof();
        } else {
            let close: connection::Close = c.expect(0);
            assert_eq!(close.reply_code, 530, "{close:?}");
            c.send(0, connection::CloseOk {});
            c.expect_eof();
        }
    }
}

#[test]
fn c11_lower_values_are_taken() {
    let login = Login {
        channel_max: 1,
        frame_max: 4096,
        ..Login::default()
    };
    shared().client_as(&login).expect_nothing();
}

#[test]
fn c12_heartbeat_is_the_clients_choice() {
    for heartbeat in [0, 600] {
        shared().client_as(&Login {
            heartbeat,
            ..Login::default()
        });
    }
}

#[test]
fn c13_frames_are_small_before_login() {
    let mut c = shared().peer();
    c.start();
    let login = Login {
        password: "x".repeat(9000),
        ..Login::default()
    };
    c.send(0, login.start_ok());
    let said = c.read_to_end();
    assert!(
        !said.windows(4).any(|ids| ids == [0, 10, 0, 30]),
        "no tune: {said:?}"
    );
}

#[test]
fn c14_open_ok_carries_an_empty_name() {
    let mut c = shared().peer();
    c.log_in(&Login::default());
    assert_eq!(c.last_payload(), [0, 10, 0, 41, 0]);
}

#[test]
fn c14_reserved_fields_of_open_are_ignored() {
    let mut c = shared().peer();
    c.tune(&Login::default());
    c.send_raw_method(0, 10, 40, b"\x01/\x03abc\x01");
    let _: connection::OpenOk = c.expect(0);
}

#[test]
fn c15_pipelined_handshake() {
    let mut c = shared().peer();
    c.start();
    let login = Login::default();
    let q = crate::harness::unique("c15");
    let methods: [(u16, AMQPClass); 5] = [
        (0, login.start_ok().into_class()),
        (0, login.tune_ok().into_class()),
        (0, open_vhost("/").into_class()),
        (1, channel::Open {}.into_class()),
        (
            1,
            queue::Declare {
                exclusive: true,
                ..declare(&q)
            }
            .into_class(),
        ),
    ];
    let bytes = methods
        .iter()
        .map(|(ch, m)| encode(METHOD, *ch, &method_payload(m)));
    c.send_bytes(&bytes.collect::<Vec<_>>().concat());
    let _: connection::Tune = c.expect(0);
    let _: connection::OpenOk = c.expect(0);
    let _: channel::OpenOk = c.expect(1);
    let _: queue::DeclareOk = c.expect(1);
}

#[test]
fn c16_heartbeats_before_login() {
    let mut c = shared().peer();
    c.start();
    c.send_frame(HEARTBEAT, 0, &[]);
    c.send(0, Login::default().start_ok());
    let _: connection::Tune = c.expect(0);
    c.send_frame(HEARTBEAT, 0, &[]);
    c.send(0, Login::default().tune_ok());
    c.call(0, open_vhost("/"));
}

#[test]
fn c17_open_before_login() {
    let mut c = shared().peer();
    c.start();
    c.send(0, open_vhost("/"));
    c.expect_eof();
}

#[test]
fn c17_second_open() {
    let mut c = client();
    c.send(0, open_vhost("/"));
    c.expect_connection_error(
        504,
        "CHANNEL_ERROR - unexpected method in connection state running",
        (10, 40),
    );
}

#[test]
fn c20_plain_needs_an_empty_authzid() {
    let mut c = shared().peer();
    c.start();
    let start_ok = Login::default().start_ok();
    c.send(
        0,
        connection::StartOk {
            response: "guest\0guest\0guest".into(),
            ..start_ok
        },
    );
    expect_login_refused_kindly(&mut c);
}

/// Where RabbitMQ hangs up without a word, Warren says 403 first.
fn expect_login_refused_kindly(c: &mut Peer) {
    if !is_oracle() {
        let close: connection::Close = c.expect(0);
        assert_eq!(
            (close.reply_code, close.class_id, close.method_id),
            (403, 0, 0),
            "{close:?}"
        );
        c.send(0, connection::CloseOk {});
    }
    c.expect_eof();
}

#[test]
fn c21_amqplain() {
    let login = Login {
        mechanism: "AMQPLAIN".into(),
        ..Login::default()
    };
    shared().client_as(&login);
}

#[test]
fn c21_amqplain_with_a_bad_password() {
    let login = Login {
        mechanism: "AMQPLAIN".into(),
        password: "wrong".into(),
        ..Login::default()
    };
    let mut c = shared().peer();
    c.start();
    c.send(0, login.start_ok());
    let text = REFUSED.replace("PLAIN", "AMQPLAIN");
    c.expect_connection_error(403, &text, (0, 0));
}

#[test]
fn c24_bad_credentials() {
    for (user, password) in [("guest", "wrong"), ("nobody", "guest"), ("guest", "")] {
        let login = Login {
            user: user.into(),
            password: password.into(),
            ..Login::default()
        };
        let mut c = shared().peer();
        c.start();
        c.send(0, login.start_ok());
        c.expect_connection_error(403, REFUSED, (0, 0));
    }
}

#[test]
fn c24_bad_credentials_without_the_capability() {
    let started = Instant::now();
    let mut c = shared().peer();
    c.start();
    let login = Login {
        password: "wrong".into(),
        ..Login::default()
    };
    c.send(0, login.without("authentication_failure_close").start_ok());
    c.expect_eof();
    assert!(
        started.elapsed() > Duration::from_secs(2),
        "a guess costs 3 s (C-25)"
    );
}

#[test]
fn c24_unknown_mechanism() {
    let mut c = shared().peer();
    c.start();
    c.send(
        0,
        Login {
            mechanism: "MAGIC".into(),
            ..Login::default()
        }
        .start_ok(),
    );
    expect_login_refused_kindly(&mut c);
}

#[test]
fn c26_guest_only_from_here() {
    let Some(outside) = own_address() else { return };
    if is_oracle() {
        return; // it listens on loopback only
    }
    let home = Broker::start_with(&[], &["--amqp-addr", "0.0.0.0:0"]);
    let mut c = Peer::connect((outside, home.addr().port()).into());
    c.start();
    c.send(0, Login::default().start_ok());
    c.expect_connection_error(403, REFUSED, (0, 0));
    let mut c = Peer::connect((outside, home.addr().port()).into());
    c.log_in(&Login::as_user("imp"));
}

#[test]
fn c26_guest_from_anywhere_when_allowed() {
    let Some(outside) = own_address() else { return };
    if is_oracle() {
        return;
    }
    let home = Broker::start_with(&["loopback_users = none"], &["--amqp-addr", "0.0.0.0:0"]);
    Peer::connect((outside, home.addr().port()).into()).log_in(&Login::default());
}

/// An address of this machine other than loopback. (Connecting a UDP socket sends nothing.)
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn c29_update_secret() {
    let mut c = client();
    let update = connection::UpdateSecret {
        new_secret: "guest".into(),
        reason: "why not".into(),
    };
    c.call(0, update);
    c.expect_alive();
}

/// Logs in and opens `vhost`, which must be refused with 530 and this text.
fn refused_at_open(login: &Login, text: &str) {
    let mut c = shared().peer();
    c.tune(login);
    c.send(0, open_vhost(&login.vhost));
    c.expect_connection_error(530, text, (10, 40));
}

#[test]
fn s14_vhost_missing() {
    refused_at_open(
        &Login::default().at("nope"),
        "NOT_ALLOWED - vhost nope not found",
    );
}

#[test]
fn s14_no_permission_in_the_vhost() {
    let text = "NOT_ALLOWED - access to vhost 'v1' refused for user 'noperm'";
    refused_at_open(&Login::as_user("noperm").at("v1"), text);
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'bob'";
    refused_at_open(&Login::as_user("bob"), text);
}

#[test]
fn u01_first_user_of_a_blank_broker() {
    let broker = Broker::start_in(Home::bare(&[]), &[]);
    broker.client().expect_alive();
}

#[test]
fn u01_first_user_by_configuration() {
    let config = [
        "default_user = admin",
        "default_pass = secret",
        "default_vhost = main",
    ];
    let broker = Broker::start_in(Home::bare(&config), &[]);
    let login = Login {
        user: "admin".into(),
        password: "secret".into(),
        ..Login::default()
    };
    broker.client_as(&login.at("main")).expect_alive();
    let mut c = broker.peer();
    c.start();
    c.send(0, Login::default().start_ok());
    c.expect_connection_error(403, REFUSED, (0, 0));
}

#[test]
fn c25_an_address_with_many_failures_is_not_listened_to() {
    if is_oracle() {
        return;
    }
    let broker = Broker::start(&["proxy_protocol = true"]);
    let from = |address: &str| {
        let mut c = broker.peer();
        c.send_bytes(format!("PROXY TCP4 {address} 203.0.113.7 35646 5672\r\n").as_bytes());
        c
    };
    let wrong = Login {
        password: "wrong".into(),
        ..Login::as_user("bob").at("v1")
    };
    // The answer comes at once; who hangs up then is not held up by the three seconds.
    for _ in 0..150 {
        let mut c = from("198.51.100.1");
        c.start();
        c.send(0, wrong.start_ok());
        let close: connection::Close = c.expect(0);
        assert_eq!(close.reply_code, 403);
    }
    let log = broker.log();
    assert!(log.contains("too many failed logins"), "{log}");
    from("198.51.100.2").log_in(&Login::as_user("bob").at("v1"));
    // Failures are forgotten.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut c = from("198.51.100.1");
        c.start();
        c.send(0, Login::as_user("bob").start_ok());
        if let Frame::Method(0, AMQPClass::Connection(method)) = c.next_frame()
            && matches!(method, connection::AMQPMethod::Tune(_))
        {
            return;
        }
        assert!(Instant::now() < deadline, "still not listened to");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn u04_the_first_password_keeps_to_the_rules() {
    if is_oracle() {
        return;
    }
    let rules = [
        "credential_validator.validation_backend = rabbit_credential_validator_min_password_length",
        "credential_validator.min_length = 6",
    ];
    let home = Home::bare(&rules);
    let refused = crate::harness::run_to_end(&mut home.command(&[]));
    assert_eq!(refused.code, Some(1));
    let text = "minimum required password length: 6";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
    let better = [&rules[..], &["default_pass = secret"]].concat();
    let login = Login {
        password: "secret".into(),
        ..Login::default()
    };
    Broker::start_in(Home::bare(&better), &[]).log_in(&login);
}
