//! Section 1.7 and what else comes before AMQP: TLS, logging in by certificate, the PROXY
//! protocol; and logging in without credentials.

use crate::{
    dialogue::*,
    harness::{
        Broker, Home, is_oracle,
        tls::{self, Authority, Identity},
    },
};
use rcgen::SanType;
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// A broker with a TLS listener, and what else the configuration says.
fn tls_broker(authority: &Authority, config: &[&str]) -> Broker {
    let mut lines = authority.options("ssl_options");
    lines.push("listeners.ssl.1 = 127.0.0.1:0".to_owned());
    lines.extend(config.iter().map(|line| (*line).to_owned()));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Broker::start(&lines)
}

fn tls_addr(broker: &mut Broker) -> SocketAddr {
    let addr = broker.process().banner_value("AMQPS");
    addr.expect("a line in the banner")
        .parse()
        .expect("an address")
}

/// A peer over TLS.
fn peer(broker: &mut Broker, authority: &Authority, identity: Option<&Identity>) -> Peer {
    let config = authority.client_config(identity);
    let socket = tls::connect(tls_addr(broker), config).expect("a TLS connection");
    Peer::over_tls(socket)
}

/// Whether a client with this certificate is let in: with TLS 1.3 one learns that by reading.
fn is_let_in(broker: &mut Broker, authority: &Authority, identity: Option<&Identity>) -> bool {
    let config = authority.client_config(identity);
    let Ok(mut socket) = tls::connect(tls_addr(broker), config) else {
        return false;
    };
    let mut start = [0; 8];
    socket.write_all(PROTOCOL_HEADER).is_ok() && socket.read_exact(&mut start).is_ok()
}

fn external() -> Login {
    Login {
        mechanism: "EXTERNAL".into(),
        ..Login::default()
    }
}

const STRICT: [&str; 2] = [
    "ssl_options.verify = verify_peer",
    "ssl_options.fail_if_no_peer_cert = true",
];

const REFUSED: &str = "Login was refused using authentication mechanism EXTERNAL";

#[test]
fn c40_amqp_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &[]);
    let addr = tls_addr(&mut broker);
    for version in rustls::ALL_VERSIONS {
        let config = authority.client_config_for(None, &[version]);
        let socket = tls::connect(addr, config).expect("a TLS connection");
        let mut c = Peer::over_tls(socket);
        c.log_in(&Login::default());
        c.open_channel(1);
        c.call(1, declare("q"));
        c.call(1, confirm::Select::default());
        // Large enough for many records, in both directions.
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        c.publish_with(1, publish("", "q"), &properties(), &body);
        let _: basic::Ack = c.expect(1);
        assert_eq!(c.get("q").expect("a message").body, body);
        c.call(1, delete("q"));
        c.call(0, close_connection());
    }
}

#[test]
fn c40_versions_and_ciphers_are_those_allowed() {
    let authority = Authority::new();
    let config = [
        "ssl_options.versions.1 = tlsv1.2",
        "ssl_options.ciphers.1 = ECDHE-ECDSA-AES128-GCM-SHA256",
    ];
    let mut broker = tls_broker(&authority, &config);
    let addr = tls_addr(&mut broker);
    let newest = authority.client_config_for(None, &[&rustls::version::TLS13]);
    assert!(tls::connect(addr, newest).is_err());
    let socket = tls::connect(addr, authority.client_config(None)).expect("a TLS connection");
    let suite = socket
        .conn
        .negotiated_cipher_suite()
        .expect("a suite")
        .suite();
    assert_eq!(
        suite,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    );
}

#[test]
fn c40_clients_without_a_good_certificate_are_turned_away() {
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &STRICT);
    assert!(!is_let_in(&mut broker, &authority, None));
    let stranger = Authority::new().client("bob");
    assert!(!is_let_in(&mut broker, &authority, Some(&stranger)));
    let friend = authority.client("bob");
    assert!(is_let_in(&mut broker, &authority, Some(&friend)));
    // Without `fail_if_no_peer_cert`, one may have none, but not a wrong one.
    let mut lenient = tls_broker(&authority, &STRICT[..1]);
    assert!(is_let_in(&mut lenient, &authority, None));
    assert!(!is_let_in(&mut lenient, &authority, Some(&stranger)));
}

#[test]
fn c40_depth_limits_the_chain() {
    let authority = Authority::new();
    let far = authority.client_of_intermediate("bob");
    let near = authority.client("bob");
    let mut broker = tls_broker(&authority, &STRICT);
    assert!(is_let_in(&mut broker, &authority, Some(&far)));
    let shallow = [STRICT[0], STRICT[1], "ssl_options.depth = 0"];
    let mut broker = tls_broker(&authority, &shallow);
    assert!(!is_let_in(&mut broker, &authority, Some(&far)));
    assert!(is_let_in(&mut broker, &authority, Some(&near)));
}

#[test]
fn c40_start_is_refused_without_usable_files() {
    if is_oracle() {
        return;
    }
    let lines = [
        "listeners.ssl.1 = 127.0.0.1:0",
        "ssl_options.certfile = /nonexistent/cert.pem",
        "ssl_options.keyfile = /nonexistent/key.pem",
    ];
    let home = Home::new(&lines);
    let refused = crate::harness::run_to_end(&mut home.command(&[]));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("/nonexistent/"),
        "{}",
        refused.stderr
    );
    assert!(!home.path().join("data").exists());
}

#[test]
fn c22_external_takes_the_name_from_the_certificate() {
    let authority = Authority::new();
    let definitions = authority.path("definitions.json");
    let text = r#"{"users": [{"name": "O=Test\\, Inc.,CN=bob", "password_hash": "",
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""},
            {"name": "bob.example", "password_hash": "",
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}],
        "vhosts": [{"name": "/"}],
        "permissions": [
            {"user": "O=Test\\, Inc.,CN=bob", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
            {"user": "bob.example", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}"#;
    fs::write(&definitions, text).expect("a file");
    let load = format!("load_definitions = {}", definitions.display());
    let dns = SanType::DnsName("bob.example".try_into().expect("a name"));
    let uri = SanType::URI("bob:uri".try_into().expect("a name"));
    let bob = authority.client_with("bob", vec![uri, dns]);
    let san = [
        "ssl_cert_login_from = subject_alternative_name",
        "ssl_cert_login_san_type = dns",
    ];
    for more in [&[][..], &san] {
        let config = [&STRICT[..], &["auth_mechanisms.1 = EXTERNAL", &load], more].concat();
        let mut broker = tls_broker(&authority, &config);
        let mut c = peer(&mut broker, &authority, Some(&bob));
        c.log_in(&external());
        c.open_channel(1);
        c.call(1, declare("q"));
    }
}

#[test]
fn c22_external_is_refused_without_a_user_or_certificate() {
    let authority = Authority::new();
    let config = [
        STRICT[0],
        "ssl_cert_login_from = common_name",
        "auth_mechanisms.1 = EXTERNAL",
        "auth_mechanisms.2 = PLAIN",
    ];
    let mut broker = tls_broker(&authority, &config);
    let nobody = authority.client("nobody");
    for identity in [Some(&nobody), None] {
        let mut c = peer(&mut broker, &authority, identity);
        c.start();
        c.send(0, external().start_ok());
        c.expect_connection_error_like(403, REFUSED);
    }
    // A certificate is no substitute for a password, nor a password for a certificate.
    let mut c = peer(&mut broker, &authority, Some(&nobody));
    c.log_in(&Login::default());
    let bob = authority.client("bob");
    let mut c = peer(&mut broker, &authority, Some(&bob));
    c.log_in(&external().at("v1"));
    // Nor is EXTERNAL known where there is no TLS.
    let mut c = broker.peer();
    let start = c.start();
    assert_eq!(start.mechanisms.as_bytes(), b"PLAIN");
    c.send(0, external().start_ok());
    c.expect_connection_error_like(403, REFUSED);
}

#[test]
fn c41_changed_certificates_are_used_without_a_restart() {
    if is_oracle() {
        return;
    }
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &[]);
    let mut old = peer(&mut broker, &authority, None);
    old.log_in(&Login::default());
    let deadline = Instant::now() + PATIENCE;
    authority.install("server", &authority.server("second"));
    while !shows(&mut broker, &authority) {
        assert!(Instant::now() < deadline, "the new certificate is not used");
        thread::sleep(Duration::from_millis(50));
    }
    old.expect_alive();
    // What cannot be used changes nothing.
    let good = fs::read(authority.path("server.pem")).expect("a file");
    fs::write(authority.path("server.pem"), "nonsense").expect("a file");
    broker.process().signal(rustix::process::Signal::HUP);
    while !broker.log().contains("TLS certificates not loaded") {
        assert!(Instant::now() < deadline, "nothing is said of it");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(is_let_in(&mut broker, &authority, None));
    fs::write(authority.path("server.pem"), good).expect("a file");
    broker.process().signal(rustix::process::Signal::HUP);
    while !shows(&mut broker, &authority) {
        assert!(Instant::now() < deadline, "the good one is not used again");
    }
    assert!(broker.process().is_running());
}

/// Whether the broker shows the certificate that its file holds.
fn shows(broker: &mut Broker, authority: &Authority) -> bool {
    let config = authority.client_config(None);
    let socket = tls::connect(tls_addr(broker), config).expect("a TLS connection");
    tls::is_in(
        &tls::server_certificate(&socket),
        &authority.path("server.pem"),
    )
}

#[test]
fn c41_hang_up_without_tls_is_no_end() {
    let mut broker = Broker::start(&[]);
    broker.process().signal(rustix::process::Signal::HUP);
    broker.client().expect_alive();
    assert!(broker.process().is_running());
}

#[test]
fn c05_a_tls_handshake_has_its_own_time() {
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &["ssl_handshake_timeout = 300"]);
    let mut socket = TcpStream::connect(tls_addr(&mut broker)).expect("a connection");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    assert_eq!(socket.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn c04_plain_amqp_on_the_tls_port_is_turned_away() {
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &[]);
    let mut socket = TcpStream::connect(tls_addr(&mut broker)).expect("a connection");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket option");
    socket.write_all(PROTOCOL_HEADER).expect("bytes are sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok();
    assert!(!answer.starts_with(b"AMQP"), "{answer:?}");
    peer(&mut broker, &authority, None).log_in(&Login::default());
}

#[test]
fn c40_management_over_tls() {
    if is_oracle() {
        return;
    }
    let authority = Authority::new();
    let mut lines = authority.options("management.ssl");
    lines.push("management.ssl.port = 0".to_owned());
    lines.push("management.ssl.ip = 127.0.0.1".to_owned());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut broker = Broker::start(&lines);
    let url = broker.process().banner_value("Management").expect("a line");
    let addr = url.trim_start_matches("https://").trim_end_matches('/');
    let addr = addr.parse().expect("an address");
    let config = authority.client_config(None);
    let mut socket = tls::connect(addr, config).expect("a TLS connection");
    let request = "GET /api/overview HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                   Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n";
    socket
        .write_all(request.as_bytes())
        .expect("bytes are sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""protocol":"https""#), "{answer}");
}

const PROXY_V1: &[u8] = b"PROXY TCP4 198.51.100.22 203.0.113.7 35646 5672\r\n";
const PROXY_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x16\xcb\0\x71\x07\x8b\x3e\x16\x28";

/// The name of a connection that either header announces.
const PROXIED: &str = "198.51.100.22:35646 -> 203.0.113.7:5672";

#[test]
fn c18_proxy_protocol_gives_the_clients_address() {
    let mut broker = Broker::start(&["proxy_protocol = true"]);
    for header in [PROXY_V1, PROXY_V2] {
        // guest may come from this machine only, and this is another one.
        let mut c = broker.peer();
        c.send_bytes(header);
        c.start();
        c.send(0, Login::default().start_ok());
        c.expect_connection_error_like(403, "ACCESS_REFUSED");
        let mut c = broker.peer();
        c.send_bytes(header);
        c.log_in(&Login::as_user("bob").at("v1"));
    }
    if !is_oracle() {
        let log = broker.log();
        assert!(log.contains("can only connect via localhost"), "{log}");
        assert!(log.contains(PROXIED), "{log}");
    }
    // A health check of the balancer keeps the socket's own addresses.
    let mut c = broker.peer();
    c.send_bytes(b"PROXY UNKNOWN\r\n");
    c.log_in(&Login::default());
    assert!(broker.process().is_running());
}

#[test]
fn c18_clients_without_the_header_are_turned_away() {
    let broker = Broker::start(&["proxy_protocol = true"]);
    let mut c = broker.peer();
    c.send_bytes(PROTOCOL_HEADER);
    c.send_bytes(&[0; 8]);
    c.expect_eof();
}

#[test]
fn c18_proxy_protocol_comes_before_tls() {
    let authority = Authority::new();
    let mut broker = tls_broker(&authority, &["proxy_protocol = true"]);
    let mut socket = TcpStream::connect(tls_addr(&mut broker)).expect("a connection");
    socket.write_all(PROXY_V2).expect("bytes are sent");
    let socket = tls::over(socket, authority.client_config(None)).expect("a TLS connection");
    let mut c = Peer::over_tls(socket);
    c.log_in(&Login::as_user("bob").at("v1"));
    if !is_oracle() {
        assert!(broker.log().contains(PROXIED));
    }
}

#[test]
fn c23_anonymous_is_off_unless_a_user_is_named() {
    let anonymous = Login {
        mechanism: "ANONYMOUS".into(),
        ..Login::default()
    };
    let offered = |c: &mut Peer| {
        let start = c.start();
        text(&start.mechanisms).contains("ANONYMOUS")
    };
    let mut c = crate::harness::shared().peer();
    assert!(!offered(&mut c));
    if is_oracle() {
        return; // 3.10 knows it as a plugin only
    }
    c.send(0, anonymous.start_ok());
    c.expect_connection_error_like(403, "mechanism ANONYMOUS");
    let bob = ["anonymous_login_user = bob", "anonymous_login_pass = bob"];
    let broker = Broker::start(&bob);
    assert!(offered(&mut broker.peer()));
    broker.client_as(&anonymous.clone().at("v1")).expect_alive();
    // bob has no business in `/`.
    let mut c = broker.peer();
    c.tune(&anonymous);
    c.send(0, open_vhost("/"));
    c.expect_connection_error_like(530, "refused for user 'bob'");
    // A password that is not theirs lets nobody in.
    let broker = Broker::start(&["anonymous_login_user = bob"]);
    let mut c = broker.peer();
    c.start();
    c.send(0, anonymous.start_ok());
    c.expect_connection_error_like(403, "mechanism ANONYMOUS");
}
