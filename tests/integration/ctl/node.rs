//! `warren ctl` looking after the node itself: its limits, its listeners, its log.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Ctl;
use crate::dialogue::*;

#[test]
fn a12_the_node_is_looked_after() {
    let ctl = Ctl::start();
    let fine = |words: &[&str], part: &str| {
        let outcome = ctl.words(words).ended(0);
        let text = outcome.out + &outcome.err;
        assert!(text.contains(part), "{words:?}: {text}");
    };
    fine(&["ping"], "Ping succeeded");
    fine(&["await_startup"], "up");
    fine(&["version"], env!("CARGO_PKG_VERSION"));
    fine(&["server_version"], env!("CARGO_PKG_VERSION"));
    fine(&["status"], "OS PID");
    fine(&["environment"], "heartbeat = 60");
    fine(&["environment"], "management.tcp.port = 127.0.0.1:0");
    fine(&["report"], "Listing vhosts");
    fine(&["listeners"], "amqp");
    fine(&["cluster_status"], "@");
    fine(&["memory_breakdown"], "binary");
    let amqp = ctl.broker.addr().port().to_string();
    for check in [
        &["check_running"][..],
        &["check_alarms"],
        &["check_local_alarms"],
        &["check_port_listener", &amqp],
        &["check_protocol_listener", "amqp"],
        &["check_virtual_hosts"],
        &[
            "check_certificate_expiration",
            "--within",
            "1",
            "--unit",
            "years",
        ],
        &["check_if_node_is_quorum_critical"],
        &["check_if_node_is_mirror_sync_critical"],
    ] {
        fine(check, "");
    }
    ctl.words(&["check_port_listener", "1"]).ended(69);
    ctl.words(&["check_protocol_listener", "mqtt"]).ended(69);
    ctl.words(&[
        "check_certificate_expiration",
        "--within",
        "1",
        "--unit",
        "ages",
    ])
    .ended(65);
    fine(&["set_vm_memory_high_watermark", "absolute", "1kB"], "Done");
    ctl.words(&["check_alarms"]).ended(69);
    fine(&["status"], "memory");
    fine(&["set_vm_memory_high_watermark", "0.9"], "Done");
    fine(&["set_disk_free_limit", "4000000TB"], "Done");
    ctl.words(&["check_local_alarms"]).ended(69);
    fine(&["set_disk_free_limit", "mem_relative", "0"], "Done");
    fine(&["check_alarms"], "");
    ctl.words(&["set_disk_free_limit", "lots"]).ended(64);
    fine(&["trace_on"], "Trace enabled for vhost /");
    fine(&["trace_off"], "Trace disabled for vhost /");
    fine(&["set_log_level", "debug"], "Done");
    ctl.words(&["set_log_level", "loud"]).ended(65);
    fine(&["set_cluster_name", "renamed"], "");
    fine(&["cluster_status"], "renamed");
    fine(&["enable_feature_flag", "all"], "");
    fine(&["rebalance"], "");
    fine(&["reset_stats"], "");
    fine(&["stop", "--timeout", "60"], "stopped");
    ctl.words(&["ping"]).ended(69);
    ctl.words(&["await_startup", "--timeout", "1"]).ended(69);
}

#[test]
fn listeners_close_and_open_again() {
    let ctl = Ctl::start();
    let mut early = ctl.broker.client();
    ctl.words(&["suspend_listeners"]).fine();
    ctl.words(&["suspend_listeners"]).fine();
    let addr = ctl.broker.addr();
    let refused = TcpStream::connect(addr).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(ctl.ready(), 503);
    // Who is connected notices nothing, and operators are still let in.
    early.call(1, declare("q"));
    let guest = ctl.words(&["list_connections", "user"]).fine();
    assert_eq!(guest, "user\nguest\n");
    let somebody_else = TcpListener::bind(addr).unwrap();
    let outcome = ctl.words(&["resume_listeners"]).ended(69);
    let wanted = format!("cannot serve AMQP on {addr}: ");
    assert!(outcome.err.contains(&wanted), "{}", outcome.err);
    assert_eq!(ctl.ready(), 503);
    drop(somebody_else);
    ctl.words(&["resume_listeners"]).fine();
    ctl.words(&["resume_listeners"]).fine();
    assert_eq!(ctl.ready(), 200);
    ctl.broker.client().call(1, declare("q"));
    early.call(1, declare("q"));
    let log = ctl.broker.log();
    for line in [
        "Asked to suspend 1 client connection listeners. No new client connections will be \
         accepted until these listeners are resumed!",
        "Asked to resume 1 client connection listeners. New client connections will be accepted",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn the_log_is_shown_and_followed() {
    let ctl = Ctl::start();
    ctl.words(&["set_log_level", "info"]).fine();
    drop(ctl.broker.client());
    let last = ctl.words(&["log_tail"]).fine();
    assert!(last.lines().count() <= 10, "{last}");
    let log = ctl.broker.log();
    for line in last.lines() {
        assert!(line.contains("+00:00 ["), "{line}");
        assert!(log.lines().any(|logged| logged == line), "{line}: {log}");
    }
    assert!(last.contains("accepting AMQP connection"), "{last}");
    assert_eq!(
        ctl.words(&["log_tail", "-N", "1"]).fine().lines().count(),
        1
    );
    let items = ctl.json(&["log_tail", "--number", "2"]);
    assert_eq!(items.as_array().unwrap().len(), 2);
    let logged = || {
        ctl.broker
            .log()
            .matches("accepting AMQP connection")
            .count()
    };
    let before = logged();
    let followed = std::thread::scope(|scope| {
        let reader = scope.spawn(|| ctl.words(&["log_tail_stream", "-d", "3"]));
        while !reader.is_finished() {
            drop(ctl.broker.client());
            std::thread::sleep(Duration::from_millis(100));
        }
        reader.join().unwrap().fine()
    });
    let seen = followed.matches("accepting AMQP connection").count();
    assert!((1..=logged() - before).contains(&seen), "{followed}");
}

#[test]
fn a_log_file_that_was_moved_gets_a_successor() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (file, first, second) = (path("warren.log"), path("1"), path("2"));
    let mut ctl = Ctl::start_with(&[&format!("log.file = {}", file.display())]);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    std::fs::rename(&file, &first).unwrap();
    ctl.words(&["rotate_logs"]).fine();
    assert!(read(&first).contains("is opened anew"));
    drop(ctl.broker.client());
    assert!(!read(&first).contains("accepting AMQP connection"));
    assert!(read(&file).contains("accepting AMQP connection"));
    // A signal does the same, for logrotate.
    std::fs::rename(&file, &second).unwrap();
    ctl.broker.process().signal(rustix::process::Signal::HUP);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !file.exists() {
        assert!(Instant::now() < deadline, "no new file");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let outcome = ctl.words(&["rotate_logs"]).ended(69);
    assert!(
        outcome.err.contains("cannot open log file"),
        "{}",
        outcome.err
    );
}
