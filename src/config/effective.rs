//! All settings in force, for operators: what was given, over the defaults of the table of keys.

use super::{Config, keys};

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// Every key with the value in force, in the order of docs/configuration.md. Keys with a
/// placeholder appear as often as they were given; keys without a value in words are left out
/// unless they were given.
pub(crate) fn effective(config: &Config) -> Vec<(String, String)> {
    let mut all = vec![("node_name".to_owned(), config.node_name.clone())];
    for key in keys::GROUPS.iter().flat_map(|(_, keys)| keys.iter()) {
        let given = |name: &str| keys::matches(key.name, &split(name)).is_some();
        let mut found = config
            .given
            .iter()
            .filter(|(name, _)| given(name))
            .peekable();
        if found.peek().is_none() && !key.default.starts_with('(') {
            all.push((key.name.to_owned(), key.default.to_owned()));
        }
        all.extend(found.cloned());
    }
    for (name, value) in &mut all {
        if name.ends_with("_pass") || name.ends_with("password") {
            HIDDEN.clone_into(value);
        }
    }
    all
}

fn split(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_goes_before_defaults_and_secrets_are_hidden() {
        let config = Config {
            node_name: "n@h".to_owned(),
            given: vec![
                ("default_pass".to_owned(), "secret".to_owned()),
                ("heartbeat".to_owned(), "7".to_owned()),
                ("listeners.tcp.a".to_owned(), "1".to_owned()),
                ("listeners.tcp.b".to_owned(), "2".to_owned()),
            ],
            ..Config::default()
        };
        let all = effective(&config);
        let value = |wanted: &str| {
            let mut found = all.iter().filter(|(name, _)| name == wanted);
            let first = found.next().map(|(_, value)| value.as_str());
            assert_eq!(found.next(), None, "{wanted}");
            first
        };
        assert_eq!(value("node_name"), Some("n@h"));
        assert_eq!(value("heartbeat"), Some("7"));
        assert_eq!(value("frame_max"), Some("131072"));
        assert_eq!(value("default_pass"), Some(HIDDEN));
        assert_eq!(value("listeners.tcp.a"), Some("1"));
        assert_eq!(value("listeners.tcp.b"), Some("2"));
    }
}
