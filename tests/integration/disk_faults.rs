//! Disks that are full, damaged or slow, and what `warren log` says of a damaged one.

use crate::{
    dialogue::*,
    harness::{Broker, Home, is_oracle, run_to_end},
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn durable(c: &mut Peer, q: &str) {
    let request = queue::Declare {
        durable: true,
        ..declare(q)
    };
    c.call(1, request);
}

fn put(c: &mut Peer, q: &str, body: &[u8]) {
    let persistent = properties().with_delivery_mode(2);
    c.publish_with(1, publish("", q), &persistent, body);
}

fn put_confirmed(c: &mut Peer, q: &str, bodies: impl Iterator<Item = String>) {
    for body in bodies {
        put(c, q, body.as_bytes());
        c.expect::<basic::Ack>(1);
    }
}

/// Takes everything out of a queue.
fn all(c: &mut Peer, q: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(message) = c.get(q) {
        found.push(message.text().to_owned());
    }
    found
}

fn is(event: &Event, wanted: impl Fn(&AMQPClass) -> bool) -> bool {
    matches!(event, Event::Frame(Frame::Method(_, method)) if wanted(method))
}

/// A small file system of its own for the data; gone with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None when we may not mount.
    fn mount(at: &Path, megabytes: u32) -> Option<SmallDisk> {
        fs::create_dir_all(at).expect("a folder");
        let options = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|it| it.status.success())
            .then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).output().ok();
    }
}

#[test]
fn a_full_disk_holds_confirms_back_and_loses_nothing() {
    if is_oracle() {
        return;
    }
    let home = Home::new(&["disk_free_limit.absolute = 1"]);
    let Some(disk) = SmallDisk::mount(&home.path().join("data"), 24) else {
        eprintln!("skipped: a file system cannot be mounted here");
        return;
    };
    let mut broker = Broker::start_in(home, &[]);
    let mut c = broker.client();
    c.quiet();
    durable(&mut c, "q");
    c.call(1, confirm_select());
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).expect("room for the ballast");

    let body = |n: u64| format!("{n:06}{}", "x".repeat(60_000));
    let (mut sent, mut confirmed, mut blocked) = (0u64, 0, false);
    let start = Instant::now();
    let mut last = start;
    while !blocked {
        assert!(
            start.elapsed() < PATIENCE,
            "{sent} sent, {confirmed} confirmed"
        );
        // Who does not publish is not blocked.
        if sent < confirmed + 20 || last.elapsed() > Duration::from_millis(300) {
            put(&mut c, "q", body(sent).as_bytes());
            sent += 1;
            last = Instant::now();
        }
        let event = c.listen(Duration::from_millis(2));
        if let Event::Frame(Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))) =
            &event
        {
            confirmed = ack.delivery_tag;
        } else if is(&event, |m| {
            matches!(m, AMQPClass::Connection(connection::AMQPMethod::Blocked(_)))
        }) {
            blocked = true;
        } else {
            assert!(matches!(event, Event::Nothing), "{event:?}");
        }
    }
    assert!(confirmed > 20 && confirmed < sent, "{confirmed} of {sent}");
    // Nothing is confirmed, consumers are served.
    let event = c.listen(Duration::from_secs(2));
    assert!(matches!(event, Event::Nothing), "{event:?}");
    let mut consumer = broker.client();
    assert_eq!(consumer.get("q").expect("a message").text(), body(0));
    drop(consumer);

    fs::remove_file(&ballast).expect("the ballast");
    let mut unblocked = false;
    while confirmed < sent || !unblocked {
        assert!(
            start.elapsed() < PATIENCE * 2,
            "{confirmed} of {sent} confirmed"
        );
        match c.listen(Duration::from_millis(50)) {
            Event::Frame(Frame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))) => {
                confirmed = ack.delivery_tag;
            }
            event
                if is(&event, |m| {
                    matches!(
                        m,
                        AMQPClass::Connection(connection::AMQPMethod::Unblocked(_))
                    )
                }) =>
            {
                unblocked = true;
            }
            Event::Nothing => {}
            event => panic!("{event:?}"),
        }
    }
    put_confirmed(&mut c, "q", std::iter::once("last".to_owned()));
    broker.kill9();
    broker.start_again();
    let found = all(&mut broker.client(), "q");
    let expected: Vec<String> = (0..sent).map(body).chain(["last".to_owned()]).collect();
    assert!(
        found == expected,
        "{} of {} messages",
        found.len(),
        expected.len()
    );
    drop(broker);
}

/// A broker that has stopped, with messages 0 to 19 of `q` in its first segment and one more in
/// the second.
fn stopped_with_messages() -> Broker {
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    durable(&mut c, "q");
    c.call(1, confirm_select());
    put_confirmed(&mut c, "q", (0..20).map(|n| format!("<message {n}>")));
    broker.restart();
    let mut c = broker.client();
    // The last record of a file cannot be told from one that was never finished.
    durable(&mut c, "r");
    c.call(1, confirm_select());
    put_confirmed(&mut c, "q", std::iter::once("<message 20>".to_owned()));
    assert!(broker.terminate().success());
    broker
}

fn segments(broker: &Broker) -> Vec<PathBuf> {
    let entries = fs::read_dir(broker.data_dir().join("log")).expect("the log");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "wlog"));
    paths.sort();
    paths
}

fn position(bytes: &[u8], text: &str) -> usize {
    let found = bytes
        .windows(text.len())
        .position(|at| at == text.as_bytes());
    found.unwrap_or_else(|| panic!("{text} is in the file"))
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a segment");
    change(&mut bytes);
    fs::write(path, bytes).expect("a segment");
}

fn messages(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|n| format!("<message {n}>")).collect()
}

/// `warren log WHAT DIR`: exit code and what it said.
fn log_tool(broker: &Broker, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
    command.arg("log").args(args).arg(broker.data_dir());
    let ended = run_to_end(&mut command);
    (ended.code, ended.stdout + &ended.stderr)
}

#[test]
fn a_flipped_bit_costs_its_message_and_names_it() {
    if is_oracle() {
        return;
    }
    let mut broker = stopped_with_messages();
    damage(&segments(&broker)[0], |bytes| {
        let at = position(bytes, "<message 7>");
        bytes[at + 3] ^= 4;
    });
    broker.start_again();
    let log = broker.log();
    let line = log.lines().find(|line| line.contains("is lost to damage"));
    let line = line.unwrap_or_else(|| panic!("the loss is logged: {log}"));
    for part in ["queue=\"q\"", "seq=8", "segment=1", "offset="] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let found = all(&mut broker.client(), "q");
    assert_eq!(found, messages((0..21).filter(|n| *n != 7)));
}

#[test]
fn a_truncated_segment_costs_what_was_cut_off() {
    if is_oracle() {
        return;
    }
    let mut broker = stopped_with_messages();
    damage(&segments(&broker)[0], |bytes| {
        let at = position(bytes, "<message 15>");
        bytes.truncate(at + 2);
    });
    broker.start_again();
    let found = all(&mut broker.client(), "q");
    assert_eq!(found, messages((0..15).chain([20])));
}

#[test]
fn log_verify_finds_damage_and_log_repair_takes_it_out() {
    if is_oracle() {
        return;
    }
    let mut broker = stopped_with_messages();
    let (code, said) = log_tool(&broker, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("queue 'q' in vhost '/'") && said.contains("21 messages"),
        "{said}"
    );
    damage(&segments(&broker)[0], |bytes| {
        let at = position(bytes, "<message 3>");
        bytes[at] = b'{';
    });
    let (code, said) = log_tool(&broker, &["verify"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("LOST: message 4 of queue 'q' in vhost '/'"),
        "{said}"
    );
    let (code, said) = log_tool(&broker, &["verify", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &found["clean"]), (Some(1), &false.into()));
    assert_eq!(found["queues"][0]["lost"][0], 4);
    assert_eq!(found["queues"][0]["messages"], 20);

    let (code, said) = log_tool(&broker, &["repair"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("kept in removed-"), "{said}");
    let (code, said) = log_tool(&broker, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    let before = broker.log().len();
    broker.start_again();
    assert!(
        !broker.log()[before..].contains("damage"),
        "{}",
        broker.log()
    );
    // Nobody looks while the broker runs.
    for what in ["verify", "repair"] {
        let (code, said) = log_tool(&broker, &[what]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("in use by another process"), "{said}");
    }
    let found = all(&mut broker.client(), "q");
    assert_eq!(found, messages((0..21).filter(|n| *n != 3)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
    command.args(["log", "verify", "/nonexistent/warren"]);
    assert_eq!(run_to_end(&mut command).code, Some(2));
}

#[test]
fn damaged_definitions_are_repaired() {
    if is_oracle() {
        return;
    }
    let mut broker = stopped_with_messages();
    let folder = broker.data_dir().join("definitions");
    let mut logs: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("definitions")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|it| it == "clog"))
        .collect();
    logs.sort();
    damage(&logs[0], |bytes| {
        let at = position(bytes, "DeclareQueue");
        bytes[at] ^= 1;
    });
    let (code, said) = log_tool(&broker, &["verify"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = log_tool(&broker, &["repair"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = log_tool(&broker, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    // The view knew what the log had lost.
    broker.start_again();
    assert_eq!(all(&mut broker.client(), "q"), messages(0..21));
}

#[test]
fn a_process_that_is_stopped_for_a_while_goes_on() {
    if is_oracle() {
        return;
    }
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    durable(&mut c, "q");
    c.call(1, confirm_select());
    let sent = 60;
    for n in 0..sent {
        if n % 20 == 10 {
            broker.process().signal(Signal::STOP);
        }
        put(&mut c, "q", format!("<message {n}>").as_bytes());
        if n % 20 == 15 {
            std::thread::sleep(Duration::from_millis(50));
            broker.process().signal(Signal::CONT);
        }
    }
    let mut confirmed = 0;
    while confirmed < u64::from(sent) {
        confirmed = c.expect::<basic::Ack>(1).delivery_tag;
    }
    broker.kill9();
    broker.start_again();
    assert_eq!(all(&mut broker.client(), "q"), messages(0..sent));
}

/// A disk that takes its time for every sync, by strace: no confirm comes before the sync is done.
#[test]
fn no_confirm_leaves_before_its_sync() {
    let has_strace = Command::new("strace").arg("-V").output();
    if is_oracle() || !has_strace.is_ok_and(|it| it.status.success()) {
        eprintln!("skipped: strace is not here");
        return;
    }
    let mut broker = Broker::start(&[]);
    let mut c = broker.client();
    durable(&mut c, "q");
    c.call(1, confirm_select());
    put_confirmed(&mut c, "q", std::iter::once("warm".to_owned()));
    let delay = Duration::from_millis(300);
    let tracer = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fdatasync"])
        .args([
            "-e",
            "inject=fdatasync:delay_enter=300000",
            "-o",
            "/dev/null",
        ])
        .args(["-p", &broker.process().id().to_string()])
        .spawn();
    let Ok(mut tracer) = tracer else { return };
    // Until the tracer is there, confirms are quick.
    let start = Instant::now();
    let mut slow = 0;
    while slow < 5 && start.elapsed() < PATIENCE {
        if !matches!(tracer.try_wait(), Ok(None)) {
            eprintln!("skipped: strace may not trace here");
            return;
        }
        let sent = Instant::now();
        put(&mut c, "q", b"x");
        c.expect::<basic::Ack>(1);
        if sent.elapsed() >= delay {
            slow += 1;
        } else {
            assert_eq!(slow, 0, "a confirm after {:?}", sent.elapsed());
        }
    }
    tracer.kill().ok();
    tracer.wait().ok();
    assert_eq!(slow, 5, "the delay was never seen");
}
