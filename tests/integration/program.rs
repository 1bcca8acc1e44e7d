//! The program itself: what it refuses to start with, how it stops, what it serves where.

use crate::{
    dialogue::*,
    harness::{Broker, Home, http_get, is_oracle, run_to_end},
};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

/// Starts the program with these options, which must end it with 1 and one line that says all of
/// `words`.
fn refused(home: &Home, options: &[&str], words: &[&str]) {
    let end = run_to_end(&mut home.command(options));
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_eq!(end.stdout, "", "not ready, so nothing is said on stdout");
    let lines: Vec<_> = end
        .stderr
        .lines()
        .filter(|line| line.starts_with("warren: "))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line for people: {end:?}")
    };
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line:?}");
    }
    assert!(!end.stderr.contains("panicked"), "{end:?}");
}

/// Everything below `dir` but the lock, with contents.
fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            files.extend(snapshot(&path));
            files.insert(name, Vec::new());
        } else if !path.ends_with("lock") {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn one_broker_for_one_data_directory() {
    if is_oracle() {
        return;
    }
    let broker = Broker::start(&[]);
    let dir = broker.data_dir();
    let dir = dir.to_str().unwrap();
    refused(&Home::new(&[]), &["--data-dir", dir], &[dir, "in use"]);
    broker.client().expect_alive();
}

#[test]
fn port_in_use() {
    if is_oracle() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let home = Home::new(&[]);
    for option in ["--amqp-addr", "--management-addr", "--prometheus-addr"] {
        refused(&home, &[option, &addr], &[&addr, "in use"]);
    }
    // Whoever was refused left nothing behind that keeps the next one from starting.
    drop(taken);
    Broker::start_in(home, &["--amqp-addr", &addr]).client();
}

#[test]
fn data_directory_that_cannot_be() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    let file = home.path().join("a-file");
    fs::write(&file, "not a directory").unwrap();
    let inside = file.join("data");
    for dir in [&file, &inside] {
        let dir = dir.to_str().unwrap();
        refused(&home, &["--data-dir", dir], &[dir]);
    }
    assert_eq!(fs::read(&file).unwrap(), b"not a directory");
}

#[test]
fn data_directory_of_a_newer_version() {
    if is_oracle() {
        return;
    }
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare("q")
        },
    );
    drop(c);
    assert!(broker.terminate().success());
    let dir = broker.data_dir();
    let format = dir.join("format");
    let now = fs::read_to_string(&format).unwrap();
    fs::write(&format, now.replace('1', "99")).unwrap();
    let before = snapshot(&dir);
    refused(broker.home(), &[], &[dir.to_str().unwrap(), "99"]);
    assert!(
        snapshot(&dir) == before,
        "something was changed in data of a newer version"
    );
    fs::write(&format, now).unwrap();
    broker.start_again();
    broker.client().call(1, declare_passive("q"));
}

#[test]
fn configuration_mistakes_name_their_line() {
    if is_oracle() {
        return;
    }
    for (lines, words) in [
        (
            &["heartbeat = 60", "", "heartbeet = 30"][..],
            &["warren.conf:4", "heartbeet"][..],
        ),
        (&["heartbeat = soon"], &["warren.conf:2", "heartbeat"]),
        (&["heartbeat"], &["warren.conf:2"]),
        (&["channel_max = -1"], &["warren.conf:2", "channel_max"]),
    ] {
        refused(&Home::new(lines), &[], words);
    }
    let home = Home::new(&[]);
    refused(
        &home,
        &["--config", "/no/such/file.conf"],
        &["/no/such/file.conf"],
    );
}

#[test]
fn definitions_that_cannot_be_read() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    let bad = home.path().join("bad.json");
    for (contents, word) in [("{\"users\": [", "bad.json"), ("[]", "bad.json")] {
        fs::write(&bad, contents).unwrap();
        let config = home.path().join("warren.conf");
        fs::write(config, format!("load_definitions = {}\n", bad.display())).unwrap();
        refused(&home, &[], &[word]);
    }
}

#[test]
fn command_line_mistakes() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    for options in [["--no-such-option", "x"], ["--amqp-addr", "nowhere"]] {
        let end = run_to_end(&mut home.command(&options));
        assert!(end.code.is_some_and(|code| code != 0), "{end:?}");
        assert!(
            end.stderr.contains(options[0]) || end.stderr.contains(options[1]),
            "{end:?}"
        );
    }
}

#[test]
fn version() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    let end = run_to_end(home.command(&[]).arg("--version"));
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(
        end.stdout.trim(),
        concat!("warren ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn signals_that_stop_in_order() {
    if is_oracle() {
        return; // Erlang has its own ideas about SIGINT
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut broker = Broker::start(&[]);
        let mut c = broker.client();
        c.call(
            1,
            queue::Declare {
                durable: true,
                ..declare("q")
            },
        );
        broker.process().signal(signal);
        c.expect_connection_error(
            320,
            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
            (0, 0),
        );
        let exit = broker.process().wait();
        assert!(exit.success(), "{signal:?}: {exit:?}");
        assert!(broker.log().contains("[info]"), "the log is on stderr");
    }
}

#[test]
fn stop_does_not_wait_for_ever() {
    if is_oracle() {
        return;
    }
    let mut broker = Broker::start(&[]);
    let mut silent = broker.peer();
    silent.start();
    let _deaf = broker.client(); // never answers the close
    let exit = broker.terminate();
    assert!(exit.success(), "{exit:?}");
}

#[test]
fn second_signal_stops_at_once() {
    if is_oracle() {
        return;
    }
    let mut broker = Broker::start(&[]);
    let mut deaf = broker.client();
    broker.process().signal(Signal::TERM);
    let _: connection::Close = deaf.expect(0); // not answered, so the broker waits for us
    let started = Instant::now();
    broker.process().signal(Signal::TERM);
    let exit = broker.process().wait();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?} is not at once",
        started.elapsed()
    );
    assert!(!exit.success(), "an interrupted stop is not a success");
}

/// A broker that recovers for as long as we like: its definitions come from a pipe.
struct Recovering {
    _home: Home,
    child: std::process::Child,
    definitions: Option<fs::File>,
}

impl Recovering {
    fn start() -> Recovering {
        let home = Home::bare(&[]);
        let pipe = home.path().join("definitions.json");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let line = format!("load_definitions = {}\n", pipe.display());
        fs::write(home.path().join("warren.conf"), line).unwrap();
        let mut recovering = Recovering {
            child: home.command(&[]).spawn().unwrap(),
            definitions: None,
            _home: home,
        };
        // Opening it for writing succeeds only once the broker reads.
        let deadline = Instant::now() + PATIENCE;
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        loop {
            if let Ok(writer) = rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()) {
                recovering.definitions = Some(writer.into());
                return recovering;
            }
            assert!(Instant::now() < deadline, "the definitions are not read");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the broker is still running");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Recovering {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn second_signal_ends_recovery() {
    if is_oracle() {
        return;
    }
    let mut broker = Recovering::start();
    broker.signal(Signal::TERM);
    // Two signals of a kind are one if they come at the same time; of two kinds they are two.
    broker.signal(Signal::INT);
    assert_eq!(broker.exit_code(), Some(1));
}

#[test]
fn hang_up_during_recovery_is_no_end() {
    if is_oracle() {
        return;
    }
    let mut broker = Recovering::start();
    broker.signal(Signal::HUP);
    broker.signal(Signal::TERM); // obeyed once recovery is done
    let mut definitions = broker.definitions.take().unwrap();
    definitions.write_all(b"{}").unwrap();
    drop(definitions);
    assert_eq!(broker.exit_code(), Some(0));
}

#[test]
fn addresses_that_are_off() {
    if is_oracle() {
        return;
    }
    let mut broker = Broker::start(&[]);
    let banner = broker.process().banner();
    assert!(!banner.contains("http://"), "{banner}");
    let home = Home::new(&[]);
    let options = ["--amqp-addr", "off", "--management-addr", "127.0.0.1:0"];
    let mut broker = Broker::start_in(home, &options);
    let banner = broker.process().banner();
    assert!(!banner.contains("amqp://"), "{banner}");
    let management = broker.management_addr();
    assert_eq!(http_get(management, "/api/overview", Some("guest")).0, 200);
}

#[test]
fn overview_and_health() {
    if is_oracle() {
        return; // the management plugin is not on
    }
    let home = Home::new(&[]);
    let mut broker = Broker::start_in(home, &["--management-addr", "127.0.0.1:0"]);
    let addr = broker.management_addr();
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.put("q", "x");
    c.call(1, consume("q", "t"));
    c.expect_bodies(&["x"]);
    c.put("q", "y");
    c.expect_bodies(&["y"]);
    c.call(1, cancel("t"));
    c.put("q", "z");
    c.call(1, qos(0));

    let (status, body) = http_get(addr, "/api/overview", Some("guest"));
    assert_eq!(status, 200);
    let overview: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(overview["product_name"], "Warren");
    assert_eq!(overview["product_version"], env!("CARGO_PKG_VERSION"));
    let objects = &overview["object_totals"];
    assert_eq!(objects["connections"], 1, "{objects}");
    assert_eq!(objects["channels"], 1, "{objects}");
    assert_eq!(objects["queues"], 1, "{objects}");
    assert_eq!(objects["consumers"], 0, "{objects}");
    let queues = &overview["queue_totals"];
    assert_eq!(queues["messages_ready"], 1, "{queues}");
    assert_eq!(queues["messages_unacknowledged"], 2, "{queues}");
    assert_eq!(queues["messages"], 3, "{queues}");

    let (status, body) = http_get(addr, "/api/health/checks/alarms", Some("guest"));
    assert_eq!((status, body.as_str()), (200, "{\"status\":\"ok\"}"));
}

#[test]
fn management_asks_who_is_there() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    let mut broker = Broker::start_in(home, &["--management-addr", "127.0.0.1:0"]);
    let addr = broker.management_addr();
    assert_eq!(http_get(addr, "/api/overview", None).0, 401);
    assert_eq!(http_get(addr, "/api/overview", Some("nobody")).0, 401);
    // bob has no tag that lets him in
    assert_eq!(http_get(addr, "/api/overview", Some("bob")).0, 401);
    assert_eq!(http_get(addr, "/api/no-such-thing", Some("guest")).0, 404);
    let (status, page) = http_get(addr, "/", None);
    assert!(status == 200 && page.contains("Warren"), "{status}: {page}");
}

#[test]
fn health_says_when_an_alarm_is_on() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&["vm_memory_high_watermark.absolute = 1000000"]);
    let mut broker = Broker::start_in(home, &["--management-addr", "127.0.0.1:0"]);
    let addr = broker.management_addr();
    let (status, body) = http_get(addr, "/api/health/checks/alarms", Some("guest"));
    assert_eq!(status, 503, "{body}");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["status"], "failed", "{body}");
    assert!(told["reason"].is_string(), "{body}");
}

#[test]
fn metrics() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&[]);
    let mut broker = Broker::start_in(home, &["--prometheus-addr", "127.0.0.1:0"]);
    let mut c = broker.client();
    c.call(1, declare("q"));
    c.put("q", "x");
    c.call(1, qos(0));
    let addr = broker.http_addr("Prometheus");
    let (status, text) = http_get(addr, "/metrics", None);
    assert_eq!(status, 200);
    for (name, value) in [
        ("rabbitmq_connections", "1"),
        ("rabbitmq_queues", "1"),
        ("rabbitmq_channels", "1"),
    ] {
        let line = format!("\n{name} {value}\n");
        assert!(text.contains(&line), "no {line:?} in {text}");
    }
    assert!(text.contains("rabbitmq_identity_info{"), "{text}");
    assert!(text.contains("rabbitmq_build_info{"), "{text}");
}
