//! Permissions on routing keys of topic exchanges (rows U-10, U-11).

use std::collections::HashMap;

use warren_amqp::ReplyError;

use super::permission::{Access, Pattern};
use crate::catalog::Catalog;

/// What routing keys one user may use in one vhost, by exchange. An exchange that is not in it
/// allows every key.
#[derive(Debug, Default)]
pub struct TopicPermissions(HashMap<String, TopicPermission>);

#[derive(Debug)]
struct TopicPermission {
    write: Pattern,
    read: Pattern,
}

impl TopicPermissions {
    /// Those of a user in a vhost, compiled.
    pub fn for_vhost(catalog: &Catalog, user: &str, vhost: &str) -> Self {
        let state = catalog.read();
        let own = state
            .topic_permissions(vhost)
            .filter(|(of, _, _)| *of == user);
        let own: Vec<_> = own
            .map(|(_, exchange, def)| (exchange.to_owned(), def.clone()))
            .collect();
        drop(state);
        let pattern = |pattern: &str| Pattern::new(&expand(pattern, user, vhost));
        let compiled = own.into_iter().map(|(exchange, def)| {
            let permission = TopicPermission {
                write: pattern(&def.write),
                read: pattern(&def.read),
            };
            (exchange, permission)
        });
        Self(compiled.collect())
    }

    /// Checks a routing key of a topic exchange.
    ///
    /// Errors: `ACCESS_REFUSED`, naming everything.
    pub fn check(
        &self,
        access: Access,
        exchange: &str,
        key: &str,
        vhost: &str,
        user: &str,
    ) -> Result<(), ReplyError> {
        let Some(permission) = self.0.get(exchange) else {
            return Ok(());
        };
        let pattern = match access {
            Access::Read => &permission.read,
            Access::Write | Access::Configure => &permission.write,
        };
        if pattern.matches(key) {
            return Ok(());
        }
        Err(ReplyError::access_refused(format!(
            "{} access to topic '{key}' in exchange '{exchange}' in vhost '{vhost}' refused for \
             user '{user}'",
            access.as_str()
        )))
    }
}

/// Puts user and vhost where the pattern says so, as plain text.
fn expand(pattern: &str, user: &str, vhost: &str) -> String {
    let mut expanded = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        expanded.push_str(before);
        let known = [("{username}", user), ("{vhost}", vhost)];
        match known.iter().find(|(name, _)| from.starts_with(name)) {
            Some((name, value)) => {
                expanded.push_str(&fancy_regex::escape(value));
                rest = &from[name.len()..];
            }
            None => {
                expanded.push('{');
                rest = &from[1..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::HashingAlgorithm;
    use crate::catalog::Command;
    use crate::catalog::testing::catalog_with;

    fn permissions(write: &str, read: &str) -> TopicPermissions {
        let (catalog, _dir) = catalog_with(&[
            Command::PutVhost {
                name: "v1".to_owned(),
                description: String::new(),
                tags: Vec::new(),
                default_queue_type: None,
            },
            Command::PutUser {
                name: "b.b".to_owned(),
                password_hash: String::new(),
                hashing_algorithm: HashingAlgorithm::Sha256,
                tags: Vec::new(),
            },
            Command::SetTopicPermission {
                user: "b.b".to_owned(),
                vhost: "v1".to_owned(),
                exchange: "t".to_owned(),
                write: write.to_owned(),
                read: read.to_owned(),
            },
        ]);
        TopicPermissions::for_vhost(&catalog, "b.b", "v1")
    }

    #[test]
    fn u10_keys_are_checked_where_there_is_an_entry() {
        let permissions = permissions("^a", "");
        let check = |access, exchange, key| permissions.check(access, exchange, key, "v1", "b.b");
        assert!(check(Access::Write, "t", "a.x").is_ok());
        assert!(check(Access::Write, "other", "x").is_ok());
        assert_eq!(
            check(Access::Write, "t", "no.k").unwrap_err().explanation,
            "write access to topic 'no.k' in exchange 't' in vhost 'v1' refused for user 'b.b'"
        );
        assert_eq!(
            check(Access::Read, "t", "a").unwrap_err().explanation,
            "read access to topic 'a' in exchange 't' in vhost 'v1' refused for user 'b.b'"
        );
        assert!(check(Access::Read, "t", "").is_ok());
    }

    #[test]
    fn u11_user_and_vhost_are_put_in_as_plain_text() {
        let permissions = permissions("^{username}-{vhost}-[0-9]{2}$", "{nobody}");
        let check = |key| permissions.check(Access::Write, "t", key, "v1", "b.b");
        assert!(check("b.b-v1-12").is_ok());
        assert!(check("bxb-v1-12").is_err());
        assert!(check("b.b-v1-1").is_err());
    }
}
