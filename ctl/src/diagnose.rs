//! How the node is: status, listeners, memory, health checks.

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Client, path};
use crate::commands::Command;
use crate::logs;
use crate::options::{Formatter, Options};
use crate::output;

/// Runs a command that looks at the node. A check that fails is `Unavailable`.
pub(crate) fn run(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    let check = |segments: &[&str], text: String| {
        let mut all = vec!["health", "checks"];
        all.extend(segments);
        client.get(&path(&all)).map(|_| options.say(|| text))
    };
    match command {
        Command::Status => status(client, options),
        Command::Ping => client
            .get("/api/whoami")
            .map(|_| options.say(|| "Ping succeeded".to_owned())),
        Command::Version => {
            let overview = client.get("/api/overview")?;
            output::write(&format!("{}\n", output::cell(&overview["product_version"])))
        }
        Command::Environment => output::write(&client.text("/api/config/effective")?),
        Command::Report => report(client, options),
        Command::Listeners => {
            let overview = client.get("/api/overview")?;
            let rows: Vec<Vec<Value>> = overview["listeners"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|l| {
                    vec![
                        l["ip_address"].clone(),
                        l["port"].clone(),
                        l["protocol"].clone(),
                    ]
                })
                .collect();
            output::rows(options, &["interface", "port", "protocol"], &rows)
        }
        Command::LogTail { number } => logs::tail(client, options, *number),
        Command::LogTailStream { duration } => logs::stream(client, options, *duration),
        Command::ClusterStatus => {
            let name = client.get("/api/cluster-name")?;
            let nodes = client.get("/api/nodes")?;
            let rows: Vec<Vec<Value>> = nodes
                .as_array()
                .into_iter()
                .flatten()
                .map(|n| {
                    vec![
                        n["name"].clone(),
                        n["running"].clone(),
                        name["name"].clone(),
                    ]
                })
                .collect();
            output::rows(options, &["node", "running", "cluster"], &rows)
        }
        Command::MemoryBreakdown => {
            let node = this_node(client)?;
            let name = node["name"].as_str().unwrap_or_default();
            let memory = client.get(&path(&["nodes", name, "memory"]))?;
            let rows: Vec<Vec<Value>> = memory["memory"]
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| value.is_u64())
                .map(|(key, value)| vec![key.as_str().into(), value.clone()])
                .collect();
            output::rows(options, &["what", "bytes"], &rows)
        }
        Command::CheckRunning => {
            let node = this_node(client)?;
            if node["running"] == json!(true) {
                options.say(|| "The node runs".to_owned());
                return Ok(());
            }
            Err(Failure::Unavailable("the node does not run".to_owned()))
        }
        Command::CheckAlarms => check(&["alarms"], "No alarm is on".to_owned()),
        Command::CheckLocalAlarms => {
            check(&["local-alarms"], "No alarm of this node is on".to_owned())
        }
        Command::CheckPortListener { port } => check(
            &["port-listener", &port.to_string()],
            format!("Port {port} is listened on"),
        ),
        Command::CheckProtocolListener { protocol } => check(
            &["protocol-listener", protocol],
            format!("Protocol {protocol} is served"),
        ),
        Command::CheckVirtualHosts => check(&["virtual-hosts"], "All virtual hosts run".to_owned()),
        Command::CheckCertificateExpiration { within, unit } => check(
            &["certificate-expiration", &within.to_string(), unit],
            format!("No certificate expires within {within} {unit}"),
        ),
        Command::CheckIfNodeIsQuorumCritical => check(
            &["node-is-quorum-critical"],
            "No quorum queue depends on this node alone".to_owned(),
        ),
        Command::CheckIfNodeIsMirrorSyncCritical => check(
            &["node-is-mirror-sync-critical"],
            "No mirrored queue depends on this node alone".to_owned(),
        ),
        _ => Err(Failure::Usage("no such command".to_owned())),
    }
}

/// What a person who is asked for help wants to see.
fn report(client: &Client, options: &Options) -> Result<(), Failure> {
    let bare = Options {
        formatter: Formatter::Table,
        ..options.clone()
    };
    status(client, &bare)?;
    output::write(&format!(
        "Settings\n\n{}",
        client.text("/api/config/effective")?
    ))?;
    let all = || Vec::new();
    for list in [
        Command::ListVhosts { columns: all() },
        Command::ListUsers,
        Command::ListConnections { columns: all() },
        Command::ListChannels { columns: all() },
        Command::ListPlugins,
    ] {
        output::write("\n")?;
        crate::list::run(client, &bare, &list)?;
    }
    Ok(())
}

fn this_node(client: &Client) -> Result<Value, Failure> {
    client.get("/api/nodes")?[0]
        .as_object()
        .map(|node| Value::Object(node.clone()))
        .ok_or_else(|| Failure::Broken("the node does not list itself".to_owned()))
}

fn status(client: &Client, options: &Options) -> Result<(), Failure> {
    let overview = client.get("/api/overview")?;
    let node = this_node(client)?;
    if options.formatter == Formatter::Json {
        return output::write(&format!(
            "{}\n",
            json!({ "overview": overview, "node": node })
        ));
    }
    let text = |value: &Value| output::cell(value);
    let number = |at: &str| overview.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    let seconds = node["uptime"].as_u64().unwrap_or(0) / 1000;
    let mut out = String::new();
    let mut section = |title: &str, lines: Vec<(&str, String)>| {
        out.push_str(&format!("{title}\n\n"));
        for (label, value) in lines {
            out.push_str(&format!("{label}: {value}\n"));
        }
        out.push('\n');
    };
    section(
        "Runtime",
        vec![
            ("Node", text(&node["name"])),
            ("OS PID", text(&node["os_pid"])),
            ("Uptime (seconds)", seconds.to_string()),
            ("Product", text(&overview["product_name"])),
            ("Version", text(&overview["product_version"])),
            ("RabbitMQ API level", text(&overview["rabbitmq_version"])),
            ("Data directory", text(&node["db_dir"])),
            ("Durability", text(&overview["durability"])),
        ],
    );
    let alarms = [("mem_alarm", "memory"), ("disk_free_alarm", "disk")];
    let on: Vec<&str> = alarms
        .iter()
        .filter(|(key, _)| node[*key] == json!(true))
        .map(|(_, name)| *name)
        .collect();
    section(
        "Alarms",
        vec![(
            "In effect",
            if on.is_empty() {
                "(none)".to_owned()
            } else {
                on.join(", ")
            },
        )],
    );
    section(
        "Limits",
        vec![
            (
                "Memory used",
                format!(
                    "{} of {} bytes",
                    text(&node["mem_used"]),
                    text(&node["mem_limit"])
                ),
            ),
            (
                "Disk free",
                format!(
                    "{} bytes, alarm below {}",
                    text(&node["disk_free"]),
                    text(&node["disk_free_limit"])
                ),
            ),
            (
                "File descriptors",
                format!("{} of {}", text(&node["fd_used"]), text(&node["fd_total"])),
            ),
        ],
    );
    section(
        "Totals",
        vec![
            (
                "Connection count",
                number("/object_totals/connections").to_string(),
            ),
            (
                "Channel count",
                number("/object_totals/channels").to_string(),
            ),
            ("Queue count", number("/object_totals/queues").to_string()),
            (
                "Exchange count",
                number("/object_totals/exchanges").to_string(),
            ),
            (
                "Consumer count",
                number("/object_totals/consumers").to_string(),
            ),
            (
                "Messages ready",
                number("/queue_totals/messages_ready").to_string(),
            ),
            (
                "Messages unacknowledged",
                number("/queue_totals/messages_unacknowledged").to_string(),
            ),
        ],
    );
    let listeners = overview["listeners"].as_array().into_iter().flatten();
    let listeners: Vec<(&str, String)> = listeners
        .map(|l| {
            (
                "Interface",
                format!(
                    "{}, port: {}, protocol: {}",
                    text(&l["ip_address"]),
                    text(&l["port"]),
                    text(&l["protocol"])
                ),
            )
        })
        .collect();
    section("Listeners", listeners);
    output::write(&out)
}
