//! The table of configuration keys: for each its name, default, accepted values, meaning and
//! setter. One file per group. Every key in it has an effect; a RabbitMQ key without one here is
//! in `refused`.

mod http;
mod login;
mod logs;
mod network;
mod resources;
mod tls;
mod vhosts;

use super::draft::Draft;
use super::files::{Problem, Setting};
use super::value::BadValue;
use super::{refused, suggest};

/// One key.
pub(super) struct Key {
    /// Dotted name; a part in angle brackets stands for any one part.
    pub(super) name: &'static str,
    /// The default as one would write it, or a description in parentheses.
    pub(super) default: &'static str,
    /// What values are accepted.
    pub(super) accepts: &'static str,
    /// What it does.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the reference page shows it")
    )]
    pub(super) doc: &'static str,
    /// Puts a value in its place. The second argument is what stands for the part in angle
    /// brackets, empty for keys without one.
    pub(super) set: fn(&mut Draft, &str, &str) -> Result<(), BadValue>,
}

/// All keys, in the order and under the headings of docs/configuration.md.
pub(super) const GROUPS: [(&str, &[Key]); 9] = [
    ("Listeners and limits", network::KEYS),
    ("AMQP over TLS", tls::KEYS),
    ("Users and logging in", login::KEYS),
    ("New virtual hosts", vhosts::KEYS),
    ("Memory, disk and data", resources::KEYS),
    ("Logging", logs::KEYS),
    ("Management and metrics", http::KEYS),
    ("Management over TLS", tls::MANAGEMENT),
    ("Metrics over TLS", tls::PROMETHEUS),
];

/// Finds the key of a setting and hands it the value.
pub(super) fn apply(draft: &mut Draft, setting: &Setting) -> Result<(), Problem> {
    let problem = |text| Problem::new(&setting.origin, text);
    let name = setting.key.join(".");
    let Some((key, part)) = find(&setting.key) else {
        return Err(problem(unknown(&name, &setting.key)));
    };
    if setting.value.starts_with("encrypted:") {
        return Err(problem(format!(
            "`{name}`: encrypted values are not supported"
        )));
    }
    (key.set)(draft, part, &setting.value).map_err(|bad| {
        // The value itself is left out: it may be a secret in the wrong place.
        problem(match bad {
            BadValue::Form => format!("`{name}` accepts {}", key.accepts),
            BadValue::Because(reason) => format!("`{name}`: {reason}; accepted: {}", key.accepts),
        })
    })
}

/// A slip of the finger goes before the reasons: `management.tcp.prot` is no missing feature.
fn unknown(name: &str, parts: &[String]) -> String {
    let nearest = |edits| {
        let all = GROUPS
            .iter()
            .flat_map(|(_, keys)| keys.iter().map(|key| key.name));
        suggest::nearest(parts, all, edits)
    };
    if let Some(meant) = nearest(2) {
        return format!("unknown key `{name}`, did you mean `{meant}`?");
    }
    if let Some(reason) = refused::reason(name) {
        return format!("`{name}` cannot be honoured by this version: {reason}");
    }
    match nearest(name.chars().count() / 4) {
        Some(meant) => format!("unknown key `{name}`, did you mean `{meant}`?"),
        None => format!("unknown key `{name}`"),
    }
}

/// The key with this name, and the part that stands for its placeholder. A key spelled out goes
/// before one with a placeholder.
fn find(parts: &[String]) -> Option<(&'static Key, &str)> {
    let mut found = None;
    for key in GROUPS.iter().flat_map(|(_, keys)| keys.iter()) {
        match matches(key.name, parts) {
            Some("") => return Some((key, "")),
            Some(part) => found = Some((key, part)),
            None => {}
        }
    }
    found
}

/// What stands for the placeholder of the key `name` in `parts`, empty for a key without one; none
/// when the parts are another key.
pub(super) fn matches<'a>(name: &str, parts: &'a [String]) -> Option<&'a str> {
    let mut placeholder = "";
    let mut left = parts.iter();
    for wanted in name.split('.') {
        let part = left.next()?;
        if wanted.starts_with('<') {
            placeholder = part;
        } else if wanted != part {
            return None;
        }
    }
    left.next().is_none().then_some(placeholder)
}

#[cfg(test)]
mod tests;
