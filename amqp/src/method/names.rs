//! The names of methods, for people who read logs.

/// `class.method`, such as `basic.ack`; `None` for what is no method of the protocol.
pub fn method_name((class, method): (u16, u16)) -> Option<String> {
    let (name, methods): (&str, &[(u16, &str)]) = match class {
        super::CLASS_CONNECTION => ("connection", CONNECTION),
        super::CLASS_CHANNEL => ("channel", CHANNEL),
        super::CLASS_ACCESS => ("access", &[(10, "request"), (11, "request_ok")]),
        super::CLASS_EXCHANGE => ("exchange", EXCHANGE),
        super::CLASS_QUEUE => ("queue", QUEUE),
        super::CLASS_BASIC => ("basic", BASIC),
        super::CLASS_CONFIRM => ("confirm", &[(10, "select"), (11, "select_ok")]),
        super::CLASS_TX => ("tx", TX),
        _ => return None,
    };
    let (_, method) = methods.iter().find(|(id, _)| *id == method)?;
    Some(format!("{name}.{method}"))
}

type Names = &'static [(u16, &'static str)];

const CONNECTION: Names = &[
    (10, "start"),
    (11, "start_ok"),
    (20, "secure"),
    (21, "secure_ok"),
    (30, "tune"),
    (31, "tune_ok"),
    (40, "open"),
    (41, "open_ok"),
    (50, "close"),
    (51, "close_ok"),
    (60, "blocked"),
    (61, "unblocked"),
    (70, "update_secret"),
    (71, "update_secret_ok"),
];

const CHANNEL: Names = &[
    (10, "open"),
    (11, "open_ok"),
    (20, "flow"),
    (21, "flow_ok"),
    (40, "close"),
    (41, "close_ok"),
];

const EXCHANGE: Names = &[
    (10, "declare"),
    (11, "declare_ok"),
    (20, "delete"),
    (21, "delete_ok"),
    (30, "bind"),
    (31, "bind_ok"),
    (40, "unbind"),
    (51, "unbind_ok"),
];

const QUEUE: Names = &[
    (10, "declare"),
    (11, "declare_ok"),
    (20, "bind"),
    (21, "bind_ok"),
    (30, "purge"),
    (31, "purge_ok"),
    (40, "delete"),
    (41, "delete_ok"),
    (50, "unbind"),
    (51, "unbind_ok"),
];

const BASIC: Names = &[
    (10, "qos"),
    (11, "qos_ok"),
    (20, "consume"),
    (21, "consume_ok"),
    (30, "cancel"),
    (31, "cancel_ok"),
    (40, "publish"),
    (50, "return"),
    (60, "deliver"),
    (70, "get"),
    (71, "get_ok"),
    (72, "get_empty"),
    (80, "ack"),
    (90, "reject"),
    (100, "recover_async"),
    (110, "recover"),
    (111, "recover_ok"),
    (120, "nack"),
];

const TX: Names = &[
    (10, "select"),
    (11, "select_ok"),
    (20, "commit"),
    (21, "commit_ok"),
    (30, "rollback"),
    (31, "rollback_ok"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named() {
        assert_eq!(method_name((60, 80)).as_deref(), Some("basic.ack"));
        assert_eq!(method_name((10, 40)).as_deref(), Some("connection.open"));
        assert_eq!(method_name((60, 81)), None);
        assert_eq!(method_name((0, 0)), None);
    }
}
