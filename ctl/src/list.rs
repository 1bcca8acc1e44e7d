//! What shows: lists with RabbitMQ's column names.

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Client, path};
use crate::commands::Command;
use crate::options::Options;
use crate::output;

/// How one list is had: where, which columns by default, and names that differ in the API.
struct List<'a> {
    what: &'a str,
    path: String,
    columns: Vec<&'a str>,
}

/// Runs a `list_...`.
pub(crate) fn run(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    let list = describe(options, command);
    options.say(|| format!("Listing {} ...", list.what));
    let mut found = match client.get(&list.path)? {
        Value::Array(rows) => rows,
        other => vec![other],
    };
    if let Command::ListVhostLimits { .. } | Command::ListUserLimits { .. } = command {
        found.retain(|row| row.as_object().is_some_and(|row| !row.is_empty()));
    }
    if let Some(unknown) = list.columns.iter().find(|column| {
        !known(column) && !found.is_empty() && found.iter().all(|row| value(row, column).is_null())
    }) {
        return Err(Failure::Usage(format!(
            "Info key(s) {unknown} are not supported"
        )));
    }
    let rows: Vec<Vec<Value>> = found
        .iter()
        .map(|row| {
            list.columns
                .iter()
                .map(|column| value(row, column))
                .collect()
        })
        .collect();
    output::rows(options, &list.columns, &rows)
}

/// Columns that may be absent from every row and are right all the same.
fn known(column: &str) -> bool {
    const OPTIONAL: [&str; 14] = [
        "policy",
        "operator_policy",
        "idle_since",
        "head_message_timestamp",
        "exclusive_consumer_tag",
        "single_active_consumer_tag",
        "owner_pid",
        "effective_policy_definition",
        "user_provided_name",
        "ssl_protocol",
        "ssl_cipher",
        "peer_cert_subject",
        "peer_cert_issuer",
        "message_stats",
    ];
    OPTIONAL.contains(&column)
}

fn describe<'a>(options: &'a Options, command: &'a Command) -> List<'a> {
    let vhost = options.vhost.as_str();
    let chosen = |columns: &'a [String], default: &[&'a str]| {
        let mut all: Vec<&str> = columns
            .iter()
            .flat_map(|column| column.split([',', ' ']))
            .filter(|c| !c.is_empty())
            .collect();
        if all.is_empty() {
            all.extend(default);
        }
        all
    };
    let fixed = |what, path, columns: &[&'static str]| List {
        what,
        path,
        columns: columns.to_vec(),
    };
    match command {
        Command::ListQueues { columns } => List {
            what: "queues",
            path: path(&["queues", vhost]),
            columns: chosen(columns, &["name", "messages"]),
        },
        Command::ListExchanges { columns } => List {
            what: "exchanges",
            path: path(&["exchanges", vhost]),
            columns: chosen(columns, &["name", "type"]),
        },
        Command::ListBindings { columns } => List {
            what: "bindings",
            path: path(&["bindings", vhost]),
            columns: chosen(
                columns,
                &[
                    "source_name",
                    "source_kind",
                    "destination_name",
                    "destination_kind",
                    "routing_key",
                    "arguments",
                ],
            ),
        },
        Command::ListConnections { columns } => List {
            what: "connections",
            path: path(&["connections"]),
            columns: chosen(columns, &["user", "peer_host", "peer_port", "state"]),
        },
        Command::ListChannels { columns } => List {
            what: "channels",
            path: path(&["channels"]),
            columns: chosen(
                columns,
                &["name", "user", "consumer_count", "messages_unacknowledged"],
            ),
        },
        Command::ListConsumers { columns } => List {
            what: "consumers",
            path: path(&["consumers", vhost]),
            columns: chosen(
                columns,
                &[
                    "queue_name",
                    "channel_name",
                    "consumer_tag",
                    "ack_required",
                    "prefetch_count",
                    "active",
                    "arguments",
                ],
            ),
        },
        Command::ListVhosts { columns } => List {
            what: "vhosts",
            path: path(&["vhosts"]),
            columns: chosen(columns, &["name"]),
        },
        Command::ListUsers => fixed("users", path(&["users"]), &["user", "tags"]),
        Command::ListPermissions => fixed(
            "permissions",
            path(&["vhosts", vhost, "permissions"]),
            &["user", "configure", "write", "read"],
        ),
        Command::ListUserPermissions { username } => fixed(
            "permissions",
            path(&["users", username, "permissions"]),
            &["vhost", "configure", "write", "read"],
        ),
        Command::ListTopicPermissions => fixed(
            "topic permissions",
            path(&["vhosts", vhost, "topic-permissions"]),
            &["user", "exchange", "write", "read"],
        ),
        Command::ListUserTopicPermissions { username } => fixed(
            "topic permissions",
            path(&["users", username, "topic-permissions"]),
            &["vhost", "exchange", "write", "read"],
        ),
        Command::ListPolicies => fixed(
            "policies",
            path(&["policies", vhost]),
            &[
                "vhost",
                "name",
                "pattern",
                "apply-to",
                "definition",
                "priority",
            ],
        ),
        Command::ListOperatorPolicies => fixed(
            "operator policies",
            path(&["operator-policies", vhost]),
            &[
                "vhost",
                "name",
                "pattern",
                "apply-to",
                "definition",
                "priority",
            ],
        ),
        Command::ListParameters => fixed(
            "runtime parameters",
            path(&["parameters"]),
            &["vhost", "component", "name", "value"],
        ),
        Command::ListGlobalParameters => fixed(
            "global runtime parameters",
            path(&["global-parameters"]),
            &["name", "value"],
        ),
        Command::ListVhostLimits { global } => fixed(
            "limits",
            if *global {
                path(&["vhost-limits"])
            } else {
                path(&["vhost-limits", vhost])
            },
            &["vhost", "limits"],
        ),
        Command::ListUserLimits { user, .. } => fixed(
            "limits",
            user.as_deref().map_or_else(
                || path(&["user-limits"]),
                |user| path(&["user-limits", user]),
            ),
            &["user", "limits"],
        ),
        _ => fixed(
            "feature flags",
            path(&["feature-flags"]),
            &["name", "state"],
        ),
    }
}

/// A column of a row: some names differ from the API's, the rest may be paths with dots.
fn value(row: &Value, column: &str) -> Value {
    let direct = |name: &str| row.get(name).cloned();
    let found = match column {
        "user" => direct("user").or_else(|| direct("name")),
        "limits" => direct("value"),
        "source_name" => direct("source"),
        "destination_name" => direct("destination"),
        "source_kind" => Some(json!("exchange")),
        "destination_kind" => direct("destination_type"),
        "queue_name" => row.pointer("/queue/name").cloned(),
        "channel_name" | "channel_pid" => row.pointer("/channel_details/name").cloned(),
        "connection" => row
            .pointer("/connection_details/name")
            .cloned()
            .or_else(|| direct("name")),
        "pid" => direct("name"),
        _ => direct(column),
    };
    found
        .or_else(|| {
            row.pointer(&format!("/{}", column.replace('.', "/")))
                .cloned()
        })
        .unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_by_rabbitmqs_names() {
        let binding = json!({"source": "x", "destination": "q", "destination_type": "queue"});
        assert_eq!(value(&binding, "source_name"), "x");
        assert_eq!(value(&binding, "source_kind"), "exchange");
        assert_eq!(value(&binding, "destination_kind"), "queue");
        let consumer = json!({"queue": {"name": "q"}, "channel_details": {"name": "c"}});
        assert_eq!(value(&consumer, "queue_name"), "q");
        assert_eq!(value(&consumer, "channel_pid"), "c");
        let queue = json!({"name": "q", "message_stats": {"ack": 3}});
        assert_eq!(value(&queue, "message_stats.ack"), 3);
        assert_eq!(value(&queue, "nope"), Value::Null);
    }
}
