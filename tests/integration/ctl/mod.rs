//! `warren ctl` against a running broker, as people type it: what it does, how its answers look in
//! each form, and the exit status scripts rely on. How the node is looked after stands in `node`.

mod node;

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::dialogue::*;
use crate::harness::{Broker, http_get, program};

/// What a command left behind.
struct Outcome {
    line: String,
    status: i32,
    out: String,
    err: String,
}

impl Outcome {
    /// It ended with 0.
    #[track_caller]
    fn fine(self) -> String {
        self.ended(0).out
    }

    #[track_caller]
    fn ended(self, status: i32) -> Self {
        let Self { line, out, err, .. } = &self;
        assert_eq!(self.status, status, "{line}\n{out}\n{err}");
        self
    }
}

/// The command line against one broker.
struct Ctl {
    broker: Broker,
    url: String,
}

impl Ctl {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// `config` holds lines for the configuration file.
    fn start_with(config: &[&str]) -> Self {
        let options = ["--management-addr", "127.0.0.1:0"];
        let mut broker = Broker::start_with(config, &options);
        let url = format!("http://{}", broker.management_addr());
        Self { broker, url }
    }

    /// What a load balancer is told.
    fn ready(&self) -> u16 {
        let addr = self.url.strip_prefix("http://").unwrap().parse().unwrap();
        http_get(addr, "/api/health/checks/ready-to-serve-clients", None).0
    }

    /// Runs a command given as its words.
    fn words(&self, words: &[&str]) -> Outcome {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        run(&self.url, &words, "")
    }

    /// The answer as JSON.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["--formatter", "json"]].concat();
        let text = self.words(&words).fine();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{words:?}: {e}: {text}"))
    }
}

fn run(url: &str, words: &[String], input: &str) -> Outcome {
    let mut child = Command::new(program())
        .arg("ctl")
        .args(["--uri", url])
        .args(words)
        .env_remove("WARREN_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome {
        line: words.join(" "),
        status: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn users_and_permissions() {
    let ctl = Ctl::start();
    let column = |words: &[&str], name: &str, wanted: &str| {
        let rows = ctl.json(words);
        let rows = rows.as_array().unwrap();
        let row = rows.iter().find(|row| row["user"] == wanted);
        row.map(|row| row[name].clone())
    };
    let tags = || column(&["list_users"], "tags", "alice");
    ctl.words(&["add_user", "alice", "pw"]).fine();
    ctl.words(&["add_user", "alice", "pw"]).ended(65);
    assert_eq!(tags().unwrap(), serde_json::json!([]));
    ctl.words(&["set_user_tags", "alice", "management", "policymaker"])
        .fine();
    let wanted = serde_json::json!(["management", "policymaker"]);
    assert_eq!(tags().unwrap(), wanted);
    ctl.words(&["authenticate_user", "alice", "pw"]).fine();
    ctl.words(&["authenticate_user", "alice", "no"]).ended(77);
    let changed = run(
        &ctl.url,
        &["change_password".into(), "alice".into()],
        "pw2\n",
    );
    changed.fine();
    ctl.words(&["authenticate_user", "alice", "pw2"]).fine();
    assert_eq!(tags().unwrap(), wanted);
    ctl.words(&["set_permissions", "-p", "/", "alice", "^a", ".*", ""])
        .fine();
    let permission = |name| column(&["list_permissions", "-p", "/"], name, "alice");
    assert_eq!(permission("configure").unwrap(), "^a");
    let own = ctl.json(&["list_user_permissions", "alice"]);
    assert_eq!(own[0]["vhost"], "/");
    ctl.words(&["set_permissions_globally", "alice", "x", "y", "z"])
        .fine();
    assert_eq!(permission("read").unwrap(), "z");
    let vhosts = ctl.json(&["list_vhosts"]);
    let own = ctl.json(&["list_user_permissions", "alice"]);
    assert_eq!(
        own.as_array().unwrap().len(),
        vhosts.as_array().unwrap().len()
    );
    ctl.words(&["clear_permissions", "-p", "/", "alice"]).fine();
    assert_eq!(permission("configure"), None);
    ctl.words(&["set_topic_permissions", "alice", "amq.topic", "^w", "^r"])
        .fine();
    let topics = ctl.json(&["list_topic_permissions"]);
    assert_eq!(topics[0]["exchange"], "amq.topic");
    let topics = ctl.json(&["list_user_topic_permissions", "alice"]);
    assert_eq!(topics[0]["write"], "^w");
    ctl.words(&["clear_topic_permissions", "alice"]).fine();
    ctl.words(&["set_user_limits", "alice", r#"{"max-channels":7}"#])
        .fine();
    let limits = ctl.json(&["list_user_limits", "--user", "alice"]);
    assert_eq!(limits[0]["limits"]["max-channels"], 7);
    ctl.words(&["clear_user_limits", "alice", "all"]).fine();
    assert_eq!(
        ctl.json(&["list_user_limits", "--global"]),
        serde_json::json!([])
    );
    ctl.words(&["clear_password", "alice"]).fine();
    ctl.words(&["authenticate_user", "alice", "pw2"]).ended(77);
    ctl.words(&["delete_user", "alice"]).fine();
    ctl.words(&["delete_user", "alice"]).ended(65);
    assert_eq!(tags(), None);
    let hash = ctl.words(&["hash_password", "secret"]).fine();
    assert_eq!(hash.trim().len(), 48, "{hash}");
}

#[test]
fn vhosts_policies_and_parameters() {
    let ctl = Ctl::start();
    let add = [
        "add_vhost",
        "shop",
        "--description",
        "a shop",
        "--tags",
        "a,b",
    ];
    ctl.words(&add).fine();
    let shop = || {
        let vhosts = ctl.json(&["list_vhosts", "name", "description", "tags"]);
        let vhosts = vhosts.as_array().unwrap();
        vhosts.iter().find(|vhost| vhost["name"] == "shop").cloned()
    };
    assert_eq!(shop().unwrap()["description"], "a shop");
    let update = ["update_vhost_metadata", "shop", "--description", "b"];
    ctl.words(&update).fine();
    ctl.words(&["set_vhost_tags", "shop", "c", "d"]).fine();
    let now = serde_json::json!({"name": "shop", "description": "b", "tags": ["c", "d"]});
    assert_eq!(shop().unwrap(), now);
    ctl.words(&["update_vhost_metadata", "nope", "--description", "b"])
        .ended(65);
    ctl.words(&["set_permissions", "-p", "shop", "guest", ".*", ".*", ".*"])
        .fine();
    ctl.words(&["set_vhost_limits", "-p", "shop", r#"{"max-queues":3}"#])
        .fine();
    let limits = ctl.json(&["list_vhost_limits", "-p", "shop"]);
    assert_eq!(limits[0]["limits"]["max-queues"], 3);
    ctl.words(&["clear_vhost_limits", "-p", "shop"]).fine();
    assert_eq!(
        ctl.json(&["list_vhost_limits", "--global"]),
        serde_json::json!([])
    );
    let definition = r#"{"max-length":5}"#;
    for (set, list, clear) in [
        ("set_policy", "list_policies", "clear_policy"),
        (
            "set_operator_policy",
            "list_operator_policies",
            "clear_operator_policy",
        ),
    ] {
        let line = [set, "-p", "shop", "--priority", "2", "--apply-to", "queues"];
        ctl.words(&[&line[..], &["limit", "^q", definition]].concat())
            .fine();
        let listed = ctl.json(&[list, "-p", "shop"]);
        assert_eq!(
            (&listed[0]["name"], &listed[0]["priority"]),
            (&"limit".into(), &2.into())
        );
        ctl.words(&[set, "-p", "shop", "limit", "^q", "no json"])
            .ended(64);
        ctl.words(&[set, "-p", "shop", "limit", "^q", r#"{"nope":1}"#])
            .ended(65);
        ctl.words(&[clear, "-p", "shop", "limit"]).fine();
        ctl.words(&[clear, "-p", "shop", "limit"]).ended(65);
    }
    ctl.words(&["set_global_parameter", "colour", r#""blue""#])
        .fine();
    let globals = ctl.json(&["list_global_parameters"]);
    let colour = globals
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "colour");
    assert_eq!(colour.unwrap()["value"], "blue");
    ctl.words(&["clear_global_parameter", "colour"]).fine();
    let value = r#"{"uri":"amqp://127.0.0.1:1"}"#;
    let upstream = ["-p", "shop", "federation-upstream", "up"];
    ctl.words(&[&["set_parameter"], &upstream[..], &[value]].concat())
        .fine();
    assert_eq!(ctl.json(&["list_parameters"])[0]["name"], "up");
    ctl.words(&[&["clear_parameter"], &upstream[..]].concat())
        .fine();
    ctl.words(&["set_parameter", "-p", "shop", "nope", "n", "{}"])
        .ended(65);
    ctl.words(&["enable_vhost_deletion_protection", "shop"])
        .fine();
    ctl.words(&["delete_vhost", "shop"]).ended(65);
    ctl.words(&["disable_vhost_deletion_protection", "shop"])
        .fine();
    ctl.words(&["delete_vhost", "shop"]).fine();
    assert_eq!(shop(), None);
}

#[test]
fn policies_that_match() {
    let ctl = Ctl::start();
    let mut c = ctl.broker.client();
    c.call(1, declare("orders.eu"));
    for (name, to, priority) in [
        ("low", "all", "1"),
        ("high", "queues", "5"),
        ("exchanges", "exchanges", "9"),
    ] {
        let line = ["set_policy", "--priority", priority, "--apply-to", to];
        let definition = match to {
            "queues" => r#"{"max-length":5}"#,
            _ => r#"{"alternate-exchange":"amq.fanout"}"#,
        };
        ctl.words(&[&line[..], &[name, "^(orders|amq)", definition]].concat())
            .fine();
    }
    let names = |words: &[&str]| -> Vec<String> {
        let line = [&["list_policies_that_match"], words].concat();
        let rows = ctl.json(&line);
        let names = rows.as_array().unwrap().iter();
        names
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["orders.eu"]), ["high", "low"]);
    let exchange = ["--object-type", "exchange", "amq.topic"];
    assert_eq!(names(&exchange), ["exchanges", "low"]);
    ctl.words(&["list_policies_that_match", "nope"]).ended(65);
}

#[test]
fn lists_in_every_form() {
    let ctl = Ctl::start();
    let mut c = ctl.broker.client();
    c.call(1, declare("a,b"));
    c.call(1, declare("q\"2"));
    c.call(1, bind("a,b", "amq.topic", "k.*"));
    c.call(1, consume("a,b", "tag"));
    let table = ctl.words(&["list_queues", "name", "messages"]).ended(0);
    assert_eq!(table.out, "name\tmessages\na,b\t0\nq\"2\t0\n");
    assert_eq!(table.err, "Listing queues ...\n");
    let quiet = ctl.words(&["-q", "list_queues", "name"]).ended(0);
    assert_eq!((&*quiet.out, &*quiet.err), ("a,b\nq\"2\n", ""));
    let csv = ctl
        .words(&["list_queues", "name,messages", "--formatter", "csv"])
        .ended(0);
    assert_eq!(csv.out, "name,messages\n\"a,b\",0\n\"q\"\"2\",0\n");
    assert_eq!(csv.err, "");
    let json = ctl.json(&["list_queues", "name", "durable"]);
    assert_eq!(
        json[0],
        serde_json::json!({"name": "a,b", "durable": false})
    );
    let drawn = ctl
        .words(&["list_queues", "name", "--formatter", "pretty_table"])
        .fine();
    assert!(drawn.contains("\u{2502} a,b  \u{2502}"), "{drawn}");
    assert_eq!(
        ctl.words(&["-q", "list_queues", "name", "--offline"])
            .fine(),
        ""
    );
    assert_eq!(
        ctl.words(&["-q", "list_queues", "name", "--online"]).fine(),
        "a,b\nq\"2\n"
    );
    assert_eq!(ctl.words(&["-q", "list_unresponsive_queues"]).fine(), "");
    ctl.words(&["list_queues", "nope"]).ended(64);
    ctl.words(&["list_queues", "-p", "missing"]).ended(65);
    for (list, column, wanted) in [
        ("list_exchanges", "name", "amq.topic"),
        ("list_bindings", "routing_key", "k.*"),
        ("list_connections", "user", "guest"),
        ("list_channels", "user", "guest"),
        ("list_consumers", "consumer_tag", "tag"),
        ("list_vhosts", "name", "/"),
        ("list_users", "user", "guest"),
        ("list_permissions", "user", "guest"),
        ("list_feature_flags", "state", "enabled"),
        ("list_plugins", "name", ""),
    ] {
        let rows = ctl.json(&[list]);
        let mut rows = rows.as_array().unwrap().iter();
        let found = rows.any(|row| wanted.is_empty() || row[column] == wanted);
        assert!(found, "{list}: {column}");
        for formatter in ["table", "csv", "pretty_table"] {
            let text = ctl.words(&[list, "--formatter", formatter]).fine();
            assert!(text.contains(wanted), "{list} {formatter}: {text}");
        }
    }
}

#[test]
fn queues_connections_and_definitions() {
    let ctl = Ctl::start();
    let mut c = ctl.broker.client();
    c.call(1, confirm_select());
    c.call(
        1,
        queue::Declare {
            durable: true,
            ..declare("orders")
        },
    );
    c.publish("", "orders", "one");
    c.expect::<basic::Ack>(1);
    let file = ctl.broker.home().path().join("defs.json");
    let file = file.to_str().unwrap();
    ctl.words(&["export_definitions", file]).fine();
    assert!(
        ctl.words(&["export_definitions", "-"])
            .fine()
            .contains("\"orders\"")
    );
    ctl.words(&["delete_queue", "orders", "--if-empty"])
        .ended(65);
    ctl.words(&["purge_queue", "orders"]).fine();
    ctl.words(&["delete_queue", "orders", "--if-empty", "--if-unused"])
        .fine();
    ctl.words(&["delete_queue", "orders"]).ended(65);
    ctl.words(&["import_definitions", "--dry-run", file]).fine();
    assert_eq!(ctl.words(&["-q", "list_queues", "name"]).fine(), "");
    ctl.words(&["import_definitions", file]).fine();
    assert_eq!(ctl.words(&["-q", "list_queues", "name"]).fine(), "orders\n");
    let piped = std::fs::read_to_string(file).unwrap();
    let words = ["import_definitions".to_owned(), "-".to_owned()];
    run(&ctl.url, &words, &piped).fine();
    run(
        &ctl.url,
        &words,
        r#"{"queues":[{"name":"x","vhost":"nope"}]}"#,
    )
    .ended(65);
    run(&ctl.url, &words, "no json").ended(64);
    ctl.words(&["import_definitions", "/nonexistent"]).ended(65);
    let name = ctl.json(&["list_connections", "name"])[0]["name"].clone();
    let name = name.as_str().unwrap();
    ctl.words(&["close_connection", name, "tidying up"]).fine();
    c.expect_connection_close(320, "CONNECTION_FORCED - tidying up", (0, 0));
    ctl.words(&["close_connection", "1.2.3.4:5 -> 6.7.8.9:10", "no"])
        .ended(65);
    for close in [
        &["close_all_connections", "bye"][..],
        &["close_all_connections", "--vhost-only", "bye"],
        &["close_all_user_connections", "guest", "bye"],
    ] {
        let mut c = ctl.broker.client();
        ctl.words(close).fine();
        c.expect_connection_close(320, "CONNECTION_FORCED - bye", (0, 0));
    }
}

#[test]
fn a_wrong_line_ends_with_the_status_scripts_expect() {
    let ctl = Ctl::start();
    ctl.words(&[]).ended(64);
    ctl.words(&["no_such_command"]).ended(64);
    ctl.words(&["add_user"]).ended(64);
    ctl.words(&["list_queues", "--formatter", "xml"]).ended(64);
    ctl.words(&["--username", "guest", "--password", "no", "list_queues"])
        .ended(77);
    ctl.words(&["add_user", "plain", "pw"]).fine();
    ctl.words(&["--username", "plain", "--password", "pw", "list_queues"])
        .ended(77);
    ctl.words(&["set_user_tags", "plain", "management"]).fine();
    let plain = ["--username", "plain", "--password", "pw"];
    ctl.words(&[&plain[..], &["list_users"]].concat()).ended(77);
    ctl.words(&[&plain[..], &["list_vhosts"]].concat()).fine();
    run("http://127.0.0.1:1", &["ping".to_owned()], "").ended(69);
    let completion = ctl.words(&["completion", "bash"]).fine();
    assert!(completion.contains("list_queues"));
    assert!(ctl.words(&["--help"]).fine().contains("list_queues"));
    assert!(ctl.words(&["help", "add_user"]).fine().contains("password"));
}
