//! Keys of what every new virtual host begins with.

use warren_broker::auth::check_pattern;

use super::Key;
use crate::config::Draft;
use crate::config::draft::{AccessDraft, LimitsDraft, PolicyDraft, names};
use crate::config::value::{BadValue, bytes, duration_ms, number, put, text};

const PATTERN: &str = "a regular expression";
const LIMIT: &str = "a number from -1 to 9223372036854775807; -1 for none";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "default_queue_type",
        default: "classic",
        accepts: "`classic` or `quorum`",
        doc: "Type of queues declared without one in vhosts that have no default of their own. Queues that are exclusive, auto-delete or not durable are classic.",
        set: |d, _, v| match v {
            "classic" => put(&mut d.config.vhost_defaults.queue_type, Ok(None)),
            "quorum" => put(
                &mut d.config.vhost_defaults.queue_type,
                Ok(Some(v.to_owned())),
            ),
            "stream" => Err(BadValue::Because("streams are not available yet")),
            _ => Err(BadValue::Form),
        },
    },
    Key {
        name: "default_limits.vhosts.<id>.pattern",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "New vhosts whose name matches get these limits; of several that match, the first by `<id>` counts.",
        set: |d, id, v| put(&mut limits(d, id).pattern, pattern(v).map(Some)),
    },
    Key {
        name: "default_limits.vhosts.<id>.max_connections",
        default: "(none)",
        accepts: LIMIT,
        doc: "Their limit `max-connections`.",
        set: |d, id, v| put(&mut limits(d, id).max_connections, limit(v)),
    },
    Key {
        name: "default_limits.vhosts.<id>.max_queues",
        default: "(none)",
        accepts: LIMIT,
        doc: "Their limit `max-queues`.",
        set: |d, id, v| put(&mut limits(d, id).max_queues, limit(v)),
    },
    Key {
        name: "default_policies.operator.<name>.vhost_pattern",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "New vhosts whose name matches get this operator policy.",
        set: |d, name, v| put(&mut policy(d, name).vhost_pattern, pattern(v).map(Some)),
    },
    Key {
        name: "default_policies.operator.<name>.queue_pattern",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "The queues it is for.",
        set: |d, name, v| put(&mut policy(d, name).queue_pattern, pattern(v).map(Some)),
    },
    Key {
        name: "default_policies.operator.<name>.expires",
        default: "(none)",
        accepts: TIME,
        doc: "Its `expires`.",
        set: |d, name, v| define(d, name, "expires", duration_ms(v)),
    },
    Key {
        name: "default_policies.operator.<name>.message_ttl",
        default: "(none)",
        accepts: TIME,
        doc: "Its `message-ttl`.",
        set: |d, name, v| define(d, name, "message-ttl", duration_ms(v)),
    },
    Key {
        name: "default_policies.operator.<name>.max_length",
        default: "(none)",
        accepts: COUNT,
        doc: "Its `max-length`.",
        set: |d, name, v| define(d, name, "max-length", count(v)),
    },
    Key {
        name: "default_policies.operator.<name>.max_length_bytes",
        default: "(none)",
        accepts: "bytes, with units such as `16MiB`",
        doc: "Its `max-length-bytes`.",
        set: |d, name, v| define(d, name, "max-length-bytes", bytes(v)),
    },
    Key {
        name: "default_policies.operator.<name>.delivery_limit",
        default: "(none)",
        accepts: COUNT,
        doc: "Its `delivery-limit`.",
        set: |d, name, v| define(d, name, "delivery-limit", count(v)),
    },
    Key {
        name: "default_users.<name>.vhost_pattern",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "The user `<name>` may use new vhosts whose name matches, and is created with the first of them if need be.",
        set: |d, name, v| put(&mut user(d, name).vhost_pattern, pattern(v).map(Some)),
    },
    Key {
        name: "default_users.<name>.password",
        default: "(none: no login by password)",
        accepts: "a password that is not empty",
        doc: "The user's password, if the user is created by this.",
        set: |d, name, v| put(&mut user(d, name).password, text(v).map(Some)),
    },
    Key {
        name: "default_users.<name>.tags",
        default: "(none)",
        accepts: "tags separated by commas",
        doc: "The user's tags, if the user is created by this.",
        set: |d, name, v| {
            user(d, name).tags = names(v).into_iter().collect();
            Ok(())
        },
    },
    Key {
        name: "default_users.<name>.configure",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "What the user may declare and delete in these vhosts.",
        set: |d, name, v| put(&mut user(d, name).configure, pattern(v).map(Some)),
    },
    Key {
        name: "default_users.<name>.write",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "What the user may publish to.",
        set: |d, name, v| put(&mut user(d, name).write, pattern(v).map(Some)),
    },
    Key {
        name: "default_users.<name>.read",
        default: "(`.*`)",
        accepts: PATTERN,
        doc: "What the user may consume from.",
        set: |d, name, v| put(&mut user(d, name).read, pattern(v).map(Some)),
    },
];

const TIME: &str = "milliseconds, or a time such as `30s`, `15m`, `12h`, `7d`";
const COUNT: &str = "a number from 0 to 4294967295";

fn limits<'d>(draft: &'d mut Draft, id: &str) -> &'d mut LimitsDraft {
    draft.vhosts.limits.entry(id.to_owned()).or_default()
}

fn policy<'d>(draft: &'d mut Draft, name: &str) -> &'d mut PolicyDraft {
    draft.vhosts.policies.entry(name.to_owned()).or_default()
}

fn user<'d>(draft: &'d mut Draft, name: &str) -> &'d mut AccessDraft {
    draft.vhosts.users.entry(name.to_owned()).or_default()
}

fn define(
    draft: &mut Draft,
    name: &str,
    key: &str,
    value: Result<u64, BadValue>,
) -> Result<(), BadValue> {
    let definition = &mut policy(draft, name).definition;
    definition.insert(key.to_owned(), value?.into());
    Ok(())
}

fn pattern(text: &str) -> Result<String, BadValue> {
    match check_pattern(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => Err(BadValue::Form),
    }
}

fn limit(text: &str) -> Result<Option<i64>, BadValue> {
    number(text, -1, i64::MAX).map(Some)
}

fn count(text: &str) -> Result<u64, BadValue> {
    number(text, 0, u64::from(u32::MAX))
}
