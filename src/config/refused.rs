//! RabbitMQ keys that this version cannot honour, with the reason given to the operator. They are
//! refused rather than ignored: a node that silently runs without TLS or without a policy its
//! configuration asks for is worse than one that does not start.

/// Beginnings of keys and why they are refused. A beginning covers the key of that name and every
/// key below it.
const REFUSED: &[(&str, &str)] = &[
    ("ssl_options", TLS_OPTION),
    ("ssl_options.password", ENCRYPTED_KEY),
    ("ssl_allow_poodle_attack", "TLS 1.2 is the oldest version"),
    ("management.ssl", TLS_OPTION),
    ("management.ssl.password", ENCRYPTED_KEY),
    (
        "management.listener",
        "use management.tcp.ip and management.tcp.port",
    ),
    ("prometheus.ssl", TLS_OPTION),
    ("prometheus.ssl.password", ENCRYPTED_KEY),
    (
        "num_acceptors",
        "accepting is not spread over a number of processes here",
    ),
    ("reverse_dns_lookups", "addresses are never looked up"),
    ("tcp_listen_options", "this socket option cannot be set"),
    ("socket_writer", ERLANG),
    ("connection_backpressure_detection", ERLANG),
    ("background_gc_enabled", ERLANG),
    ("background_gc_target_interval", ERLANG),
    (
        "vm_memory_calculation_strategy",
        "memory in use is always the resident set",
    ),
    ("session_max_per_connection", OTHER_PROTOCOL),
    ("link_max_per_session", OTHER_PROTOCOL),
    ("runtime_parameters", POLICY),
    (
        "default_policies",
        "of the keys of default operator policies, only those in the table exist",
    ),
    (
        "default_limits",
        "of the limits of new vhosts, only those in the table exist",
    ),
    (
        "default_users",
        "of the keys of users of new vhosts, only those in the table exist",
    ),
    (
        "auth_backends",
        "users are always looked up in the node's own list",
    ),
    ("auth_ldap", BACKEND),
    ("auth_http", BACKEND),
    ("auth_oauth2", BACKEND),
    ("auth_cache", BACKEND),
    ("quorum_queue", QUORUM),
    ("quorum_commands_soft_limit", QUORUM),
    ("quorum_cluster_size", QUORUM),
    ("raft", QUORUM),
    ("stream", "streams are not available yet"),
    (
        "classic_queue",
        "there is one storage format for classic queues here",
    ),
    ("queue_leader_locator", CLUSTER),
    ("queue_master_locator", CLUSTER),
    ("mirroring_sync_batch_size", CLUSTER),
    ("mirroring_sync_max_throughput", CLUSTER),
    ("mirroring_flow_control", CLUSTER),
    ("cluster_formation", CLUSTER),
    ("cluster_partition_handling", CLUSTER),
    ("cluster_keepalive_interval", CLUSTER),
    ("cluster_tags", "tags of clusters and nodes are not kept"),
    ("node_tags", "tags of clusters and nodes are not kept"),
    ("net_ticktime", CLUSTER),
    ("distribution", CLUSTER),
    ("queue_index_embed_msgs_below", STORAGE),
    ("queue_index_max_journal_entries", STORAGE),
    ("msg_store_file_size_limit", STORAGE),
    ("msg_store_credit_disc_bound", STORAGE),
    ("msg_store_io_batch_size", STORAGE),
    ("lazy_queue_explicit_gc_run_operation_threshold", STORAGE),
    ("mnesia_table_loading_retry_timeout", STORAGE),
    ("mnesia_table_loading_retry_limit", STORAGE),
    ("definitions.https", "definitions are read from files only"),
    (
        "definitions.skip_if_unchanged",
        "definitions are imported at every start",
    ),
    ("definitions.tls", "definitions are read from files only"),
    (
        "log.file.rotation",
        "log files are not rotated by the node: use logrotate, then `warren ctl rotate_logs` or SIGHUP",
    ),
    ("log.syslog", "logs go to standard error and a file only"),
    (
        "log.journald",
        "logs go to standard error, which systemd keeps, and a file only",
    ),
    ("log.exchange", "logs are not published"),
    ("log.connection", LOG_CATEGORY),
    ("log.channel", LOG_CATEGORY),
    ("log.queue", LOG_CATEGORY),
    ("log.mirroring", LOG_CATEGORY),
    ("log.federation", LOG_CATEGORY),
    ("log.upgrade", LOG_CATEGORY),
    ("log.user", LOG_CATEGORY),
    ("log.ra", LOG_CATEGORY),
    ("log.default", LOG_CATEGORY),
    ("log.prelaunch", LOG_CATEGORY),
    ("log.error_logger_format_depth", ERLANG),
    ("log.console.use_colors", "the console log has no colours"),
    (
        "log.console.stdio",
        "the console log goes to standard error",
    ),
    ("log.console.time_format", "the form of a line is fixed"),
    ("log.file.time_format", "the form of a line is fixed"),
    ("management.load_definitions", "use load_definitions"),
    (
        "management",
        "this part of the management API does not exist yet",
    ),
    (
        "management_agent",
        "this part of the management API does not exist yet",
    ),
    (
        "collect_statistics",
        "the counters that exist are always kept",
    ),
    (
        "prometheus.return_per_object_metrics",
        "metrics are aggregated",
    ),
    (
        "prometheus",
        "the metrics need no password and have no other settings",
    ),
    ("deprecated_features", "there is nothing to permit or deny"),
    ("product", "the product's name and version are its own"),
    ("motd_file", "there is no message of the day"),
    (
        "trace_vhosts",
        "tracing is switched on while the node runs: warren ctl trace_on",
    ),
    (
        "message_interceptors.outgoing",
        "only incoming messages are intercepted",
    ),
    (
        "event_exchange",
        "events are published in AMQP 0-9-1 to the vhost that event_exchange.vhost names",
    ),
    ("mqtt", OTHER_PROTOCOL),
    ("stomp", OTHER_PROTOCOL),
    ("web_mqtt", OTHER_PROTOCOL),
    ("web_stomp", OTHER_PROTOCOL),
    ("amqp1_0", OTHER_PROTOCOL),
    ("shovel", "shovels are not available"),
    ("federation", "federation is not available"),
    ("sysmon_handler", ERLANG),
    ("erlang", ERLANG),
    ("proxy_protocol_accept", "use proxy_protocol"),
    ("config_entry_decoder", "encrypted values are not supported"),
];

const TLS_OPTION: &str = "this option of Erlang's TLS does not exist here";
const ENCRYPTED_KEY: &str =
    "encrypted private keys are not read; keep the key unencrypted, readable by the broker alone";
const CLUSTER: &str = "a node stands alone: there are no clusters and mirrors yet";
const QUORUM: &str = "a quorum queue has one member, on this node, and nothing to be tuned";
const POLICY: &str = "policies and parameters are set through the management API or definitions";
const STORAGE: &str = "messages are stored in another way here";
const BACKEND: &str = "users are always looked up in the node's own list";
const LOG_CATEGORY: &str = "levels are set per sink (log.console.level, log.file.level)";
const OTHER_PROTOCOL: &str = "AMQP 0-9-1 is the only protocol";
const ERLANG: &str = "it tunes the Erlang machine, which is not there";

/// Why RabbitMQ's key of this name is refused; `None` when it is no RabbitMQ key we know of.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let below = |beginning: &str| {
        name.strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let known = REFUSED.iter().filter(|(beginning, _)| below(beginning));
    known
        .max_by_key(|(beginning, _)| beginning.len())
        .map(|(_, reason)| *reason)
}

/// The beginnings with their reasons, for the reference page.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    REFUSED.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_gives_the_reason() {
        assert_eq!(reason("ssl_options.dhfile"), Some(TLS_OPTION));
        assert_eq!(reason("ssl_options.password"), Some(ENCRYPTED_KEY));
        assert!(
            reason("management.csp.policy")
                .unwrap()
                .contains("does not exist yet")
        );
        assert_eq!(reason("ssl_optionsx"), None);
        assert_eq!(reason("heartbeat"), None);
    }

    #[test]
    fn no_beginning_stands_twice() {
        for (index, (name, _)) in REFUSED.iter().enumerate() {
            assert!(
                REFUSED
                    .iter()
                    .skip(index + 1)
                    .all(|(other, _)| other != name),
                "{name}"
            );
        }
    }
}
