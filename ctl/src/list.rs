//! What shows: lists with RabbitMQ's column names.

use serde_json::{Value, json};

use crate::Failure;
use crate::client::{Client, path};
use crate::commands::{Command, ObjectType};
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
    match command {
        // A queue that can be listed answers, and is online.
        Command::ListUnresponsiveQueues { .. } | Command::ListQueues { offline: true, .. } => {
            found.clear();
        }
        _ => {}
    }
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
    const POLICY: &[&str] = &[
        "vhost",
        "name",
        "pattern",
        "apply-to",
        "definition",
        "priority",
    ];
    const BINDING: &[&str] = &[
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ];
    const CONSUMER: &[&str] = &[
        "queue_name",
        "channel_name",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ];
    const PERMISSION: [&str; 4] = ["user", "configure", "write", "read"];
    const TOPIC: [&str; 4] = ["user", "exchange", "write", "read"];
    let vhost = options.vhost.as_str();
    let limits_of = |all: bool| {
        if all {
            vec!["vhost-limits"]
        } else {
            vec!["vhost-limits", vhost]
        }
    };
    // What it is, where it is, the columns by default, and those asked for.
    let (what, at, default, asked): (_, Vec<&str>, &[&str], &[String]) = match command {
        Command::ListQueues { columns, .. } | Command::ListUnresponsiveQueues { columns } => (
            "queues",
            vec!["queues", vhost],
            &["name", "messages"],
            columns,
        ),
        Command::ListExchanges { columns } => (
            "exchanges",
            vec!["exchanges", vhost],
            &["name", "type"],
            columns,
        ),
        Command::ListBindings { columns } => {
            ("bindings", vec!["bindings", vhost], BINDING, columns)
        }
        Command::ListConnections { columns } => {
            let default = &["user", "peer_host", "peer_port", "state"];
            ("connections", vec!["connections"], default, columns)
        }
        Command::ListChannels { columns } => {
            let default = &["name", "user", "consumer_count", "messages_unacknowledged"];
            ("channels", vec!["channels"], default, columns)
        }
        Command::ListConsumers { columns } => {
            ("consumers", vec!["consumers", vhost], CONSUMER, columns)
        }
        Command::ListVhosts { columns } => ("vhosts", vec!["vhosts"], &["name"], columns),
        Command::ListUsers => ("users", vec!["users"], &["user", "tags"], &[]),
        Command::ListPermissions => {
            let at = vec!["vhosts", vhost, "permissions"];
            ("permissions", at, &PERMISSION, &[])
        }
        Command::ListUserPermissions { username } => {
            let at = vec!["users", username, "permissions"];
            let columns = &["vhost", "configure", "write", "read"];
            ("permissions", at, columns, &[])
        }
        Command::ListTopicPermissions => {
            let at = vec!["vhosts", vhost, "topic-permissions"];
            ("topic permissions", at, &TOPIC, &[])
        }
        Command::ListUserTopicPermissions { username } => {
            let at = vec!["users", username, "topic-permissions"];
            let columns = &["vhost", "exchange", "write", "read"];
            ("topic permissions", at, columns, &[])
        }
        Command::ListPolicies => ("policies", vec!["policies", vhost], POLICY, &[]),
        Command::ListOperatorPolicies => (
            "operator policies",
            vec!["operator-policies", vhost],
            POLICY,
            &[],
        ),
        Command::ListPoliciesThatMatch { name, object_type } => {
            let of = match object_type {
                ObjectType::Queue => "queues",
                ObjectType::Exchange => "exchanges",
            };
            let at = vec!["console", of, vhost, name, "policies"];
            let columns = &["name", "pattern", "apply-to", "definition", "priority"];
            ("policies that match", at, columns, &[])
        }
        Command::ListParameters => {
            let columns = &["vhost", "component", "name", "value"];
            ("runtime parameters", vec!["parameters"], columns, &[])
        }
        Command::ListGlobalParameters => {
            let at = vec!["global-parameters"];
            ("global runtime parameters", at, &["name", "value"], &[])
        }
        Command::ListVhostLimits { global } => {
            ("limits", limits_of(*global), &["vhost", "limits"], &[])
        }
        Command::ListUserLimits { user, .. } => {
            let mut at = vec!["user-limits"];
            at.extend(user.as_deref());
            ("limits", at, &["user", "limits"], &[])
        }
        Command::ListFeatureFlags { columns } => (
            "feature flags",
            vec!["feature-flags"],
            &["name", "state"],
            columns,
        ),
        Command::ListDeprecatedFeatures => {
            let columns = &["name", "deprecation_phase"];
            (
                "deprecated features",
                vec!["deprecated-features"],
                columns,
                &[],
            )
        }
        _ => ("plug-ins", vec!["nodes"], &["name", "enabled_plugins"], &[]),
    };
    let names = asked.iter().flat_map(|column| column.split([',', ' ']));
    let mut columns: Vec<&str> = names.filter(|column| !column.is_empty()).collect();
    if columns.is_empty() {
        columns.extend(default);
    }
    let path = path(&at);
    List {
        what,
        path,
        columns,
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
